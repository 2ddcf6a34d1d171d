//go:build cgo && !nocgo

package cachelora

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

type golden struct {
	Texts     []string    `json:"texts"`
	Tokens    []int       `json:"tokens"`
	MaxTokens int         `json:"max_tokens"`
	Vectors   [][]float32 `json:"vectors"`
}

func tiny(t testing.TB) string {
	t.Helper()
	directory := os.Getenv("CACHELORA_TEST_TINY")
	if directory == "" {
		t.Fatal("CACHELORA_TEST_TINY names the directory that `python tests/tiny_bundle.py DIRECTORY` wrote; `make test-go` sets it")
	}
	return directory
}

func readGolden(t testing.TB) golden {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(tiny(t), "golden.json"))
	if err != nil {
		t.Fatal(err)
	}
	var found golden
	if err := json.Unmarshal(content, &found); err != nil {
		t.Fatal(err)
	}
	return found
}

func open(t testing.TB, opts ...Option) *Embedder {
	t.Helper()
	embedder, err := Open(filepath.Join(tiny(t), "bundle"), opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { embedder.Close() })
	return embedder
}

func TestVectorsArePyTorchs(t *testing.T) {
	embedder, want := open(t), readGolden(t)
	for i, text := range want.Texts {
		vector, info, err := embedder.EmbedWithInfo(context.Background(), text)
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if cosine := Similarity(vector, want.Vectors[i]); cosine < 0.99999 {
			t.Errorf("%q: cosine to PyTorch %v", text, cosine)
		}
		if info.Tokens != want.Tokens[i] || info.Truncated != (want.Tokens[i] > want.MaxTokens) {
			t.Errorf("%q: %+v, want %d tokens", text, info, want.Tokens[i])
		}
	}
	if embedder.Dimension() != len(want.Vectors[0]) || embedder.MaxTokens() != want.MaxTokens {
		t.Errorf("dimension %d, max tokens %d", embedder.Dimension(), embedder.MaxTokens())
	}
	if embedder.Backend() != "onnxruntime" || len(embedder.Fingerprint()) != 64 {
		t.Errorf("backend %q, fingerprint %q", embedder.Backend(), embedder.Fingerprint())
	}
}

func TestBackends(t *testing.T) {
	plain, int8 := filepath.Join(tiny(t), "bundle"), filepath.Join(tiny(t), "bundle-int8")
	namespaces := map[string]string{}
	for _, of := range []struct {
		dir     string
		chosen  Backend
		backend string
	}{
		{plain, BackendAuto, "onnxruntime"},
		{int8, BackendAuto, "fused"},
		{int8, BackendFused, "fused"},
		{int8, BackendONNXRuntime, "onnxruntime"},
	} {
		embedder, err := Open(of.dir, WithBackend(of.chosen))
		if err != nil {
			t.Fatal(err)
		}
		defer embedder.Close()
		if embedder.Backend() != of.backend || (embedder.Kernel() != "") != (of.backend == "fused") {
			t.Errorf("%+v: backend %q, kernel %q", of, embedder.Backend(), embedder.Kernel())
		}
		namespaces[of.dir+embedder.Backend()] = embedder.Fingerprint()
	}
	if namespaces[int8+"fused"] == namespaces[int8+"onnxruntime"] {
		t.Error("two encoders, whose vectors differ, have one fingerprint")
	}
	if _, err := Open(plain, WithBackend(BackendFused)); !errors.Is(err, ErrBundleInvalid) {
		t.Errorf("no int8 weights: %v", err)
	}
	if _, err := Open(plain, WithBackend(7)); !errors.Is(err, ErrInvalidArgument) {
		t.Errorf("a backend that is none: %v", err)
	}
}

func TestBatchIsTheTextsAlone(t *testing.T) {
	embedder, want := open(t, WithThreads(2)), readGolden(t)
	vectors, err := embedder.EmbedBatch(context.Background(), want.Texts)
	if err != nil {
		t.Fatal(err)
	}
	if len(vectors) != len(want.Texts) {
		t.Fatalf("%d vectors for %d texts", len(vectors), len(want.Texts))
	}
	for i, text := range want.Texts {
		alone, err := embedder.Embed(context.Background(), text)
		if err != nil {
			t.Fatal(err)
		}
		for j := range alone {
			if math.Abs(float64(alone[j]-vectors[i][j])) > 1e-6 {
				t.Fatalf("%q differs at %d: %v and %v", text, j, alone[j], vectors[i][j])
			}
		}
	}
	if none, err := embedder.EmbedBatch(context.Background(), nil); err != nil || len(none) != 0 {
		t.Errorf("an empty batch gives %v, %v", none, err)
	}
}

func TestManyGoroutinesGetTheSameBits(t *testing.T) {
	embedder, want := open(t), readGolden(t)
	texts := want.Texts[:40]
	first := make([][]float32, len(texts))
	for i, text := range texts {
		first[i], _ = embedder.Embed(context.Background(), text)
	}
	var group sync.WaitGroup
	for range 16 {
		group.Add(1)
		go func() {
			defer group.Done()
			for i, text := range texts {
				vector, err := embedder.Embed(context.Background(), text)
				if err != nil || !slices.Equal(vector, first[i]) {
					t.Errorf("%q: other bits, %v", text, err)
				}
			}
		}()
	}
	group.Wait()
}

func TestThreshold(t *testing.T) {
	embedder := open(t)
	if threshold, err := embedder.Threshold("all", 0.05); err != nil || threshold != 0.875 {
		t.Errorf("%v, %v", threshold, err)
	}
	_, err := embedder.Threshold("all", 0.01)
	if !errors.Is(err, ErrNotCalibrated) || !strings.Contains(err.Error(), "0.05") {
		t.Errorf("%v", err)
	}
}

func TestErrors(t *testing.T) {
	_, err := Open(filepath.Join(t.TempDir(), "nowhere"))
	if !errors.Is(err, ErrBundleNotFound) || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
	var found *Error
	if !errors.As(err, &found) || found.Code != CodeBundleNotFound || !strings.Contains(found.Message, "nowhere") {
		t.Errorf("%#v", found)
	}
	if errors.Is(err, ErrBundleInvalid) {
		t.Error("one kind of failure is another")
	}

	embedder := open(t)
	if _, err := embedder.Embed(context.Background(), "a\xffb"); !errors.Is(err, ErrInvalidUTF8) {
		t.Errorf("%v", err)
	}
	strict := open(t, RejectTooLong())
	if _, err := strict.Embed(context.Background(), strings.Repeat("password ", 500)); !errors.Is(err, ErrInputTooLong) {
		t.Errorf("%v", err)
	}
	if _, err := Open(filepath.Join(tiny(t), "bundle"), WithThreads(-1)); !errors.Is(err, ErrInvalidArgument) {
		t.Errorf("%v", err)
	}
	if _, err := Open(filepath.Join(tiny(t), "bundle"), WithONNXRuntime("/nowhere/libonnxruntime.so")); !errors.Is(err, ErrInvalidArgument) {
		t.Errorf("another library in one process: %v", err)
	}
}

func TestContext(t *testing.T) {
	embedder := open(t)
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := embedder.Embed(ended, "a"); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if _, err := embedder.EmbedBatch(ended, []string{"a"}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestCloseWaitsAndIsIdempotent(t *testing.T) {
	embedder, err := Open(filepath.Join(tiny(t), "bundle"))
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	started := make(chan struct{}, 8)
	for range 8 {
		group.Add(1)
		go func() {
			defer group.Done()
			started <- struct{}{}
			for {
				// A call either finishes with a vector or finds the embedder closed; nothing else.
				vector, err := embedder.Embed(context.Background(), "how can i reset my password")
				if errors.Is(err, ErrClosed) {
					return
				}
				if err != nil || len(vector) != embedder.Dimension() {
					t.Errorf("%v", err)
					return
				}
			}
		}()
	}
	for range 8 {
		<-started
	}
	for range 3 {
		if err := embedder.Close(); err != nil {
			t.Error(err)
		}
	}
	group.Wait()
	if _, err := embedder.Threshold("all", 0.05); !errors.Is(err, ErrClosed) {
		t.Errorf("%v", err)
	}
	if _, err := embedder.EmbedBatch(context.Background(), []string{"a"}); !errors.Is(err, ErrClosed) {
		t.Errorf("%v", err)
	}
}
