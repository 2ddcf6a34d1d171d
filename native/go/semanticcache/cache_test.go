//go:build cgo && !nocgo

package semanticcache

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	cachelora "github.com/cachelora/cachelora/native/go"
	"github.com/cachelora/cachelora/native/go/router"
)

func tinyBundle(t *testing.T) string {
	t.Helper()
	directory := os.Getenv("CACHELORA_TEST_TINY")
	if directory == "" {
		t.Fatal("CACHELORA_TEST_TINY names the directory that `python tests/tiny_bundle.py DIRECTORY` wrote; `make test-go` sets it")
	}
	return filepath.Join(directory, "bundle")
}

func write(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(path, []byte(strings.ReplaceAll(content, "BUNDLE", tinyBundle(t))), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestOpen(t *testing.T) {
	cache, err := Open(context.Background(), write(t, `
bert_model:
  model_id: models/base
semantic_cache:
  enabled: true
  backend_type: redis
  similarity_threshold: 0.8
  lora_model: BUNDLE
  max_entries: 100
classifier: {anything: goes}
`), WithRouter(router.WithWorkers(3)))
	if err != nil {
		t.Fatal(err)
	}
	defer cache.Close()
	if cache.Threshold != 0.8 || cache.BackendType != "redis" || !cache.Enabled || cache.Base != "models/base" ||
		cache.Directory != tinyBundle(t) || cache.Provider.Snapshot().Workers != 3 {
		t.Errorf("%+v", cache)
	}
	vector, err := cache.Provider.Embed(context.Background(), "how")
	if err != nil || len(vector) != cache.Provider.Dimension() {
		t.Errorf("%v, %v", vector, err)
	}
	if err := errors.Join(cache.Close(), cache.Close()); err != nil {
		t.Error(err)
	}
	if _, err := cache.Provider.Embed(context.Background(), "how"); !errors.Is(err, router.ErrClosed) {
		t.Error(err)
	}
}

func TestWithoutAThresholdTheBundlesOwnIsTaken(t *testing.T) {
	path := write(t, "semantic_cache: {enabled: true, lora_model: BUNDLE}\n")
	for rate, want := range map[float64]float32{0.05: 0.875, 0.25: 0.75} {
		cache, err := Open(context.Background(), path, WithMaxFalseHitRate(rate))
		if err != nil {
			t.Fatal(err)
		}
		if cache.Threshold != want || cache.BackendType != "memory" {
			t.Errorf("%v: %v, %s", rate, cache.Threshold, cache.BackendType)
		}
		cache.Close()
	}
	_, err := Open(context.Background(), path, WithMaxFalseHitRate(0.01))
	var mistake *ConfigError
	if !errors.Is(err, cachelora.ErrNotCalibrated) || !errors.As(err, &mistake) || mistake.Key != "semantic_cache.similarity_threshold" || mistake.Line != 1 {
		t.Errorf("not calibrated: %v", err)
	}
}

func TestWhereBundlesAreFound(t *testing.T) {
	shelf := t.TempDir()
	t.Setenv("CACHELORA_MODELS", shelf)
	if err := os.Symlink(tinyBundle(t), filepath.Join(shelf, "acme--support-cache")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"acme/support-cache", "hub:acme/support-cache", "beside/bundle"} {
		path := write(t, "semantic_cache:\n  enabled: true\n  lora_model: "+name+"\n")
		if name == "beside/bundle" {
			if err := os.Mkdir(filepath.Join(filepath.Dir(path), "beside"), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(tinyBundle(t), filepath.Join(filepath.Dir(path), name)); err != nil {
				t.Fatal(err)
			}
		}
		cache, err := Open(context.Background(), path)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		cache.Close()
	}
}

func TestTheBaseMustMatch(t *testing.T) {
	path := write(t, "bert_model:\n  model_id: sentence-transformers/all-MiniLM-L12-v2\nsemantic_cache:\n  enabled: true\n  lora_model: BUNDLE\n")
	_, err := Open(context.Background(), path)
	var mistake *ConfigError
	if !errors.As(err, &mistake) || !errors.Is(err, ErrBase) || mistake.Line != 5 || mistake.Key != "semantic_cache.lora_model" {
		t.Fatal(err)
	}
	for _, part := range []string{path + ":5:", `"base"`, "line 2", `"sentence-transformers/all-MiniLM-L12-v2"`} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%v: %s is not said", err, part)
		}
	}
	// What the program says goes before what the file says.
	cache, err := Open(context.Background(), path, WithBase("/models/Base"))
	if err != nil {
		t.Fatal(err)
	}
	cache.Close()
	if _, err := Open(context.Background(), path, WithBase("other")); !errors.Is(err, ErrBase) {
		t.Error(err)
	}
}

func TestDisabledOpensNothing(t *testing.T) {
	for _, content := range []string{
		"semantic_cache: {enabled: false, lora_model: /nowhere}", "semantic_cache: {enabled: false}", "semantic_cache: {}",
	} {
		if _, err := Open(context.Background(), write(t, content)); !errors.Is(err, ErrDisabled) {
			t.Errorf("%s: %v", content, err)
		}
	}
}

func TestMistakesSayLineKeyAndExpectation(t *testing.T) {
	const head = "# a router's configuration\nsemantic_cache:\n  enabled: true\n"
	for _, one := range []struct {
		content string
		line    int
		key     string
		parts   []string
	}{
		{"", 1, "semantic_cache", []string{"empty", "expected"}},
		{"- a\n- b\n", 1, "semantic_cache", []string{"expected"}},
		{"categories: []\n", 1, "semantic_cache", []string{"missing", "lora_model"}},
		{"a: 1\nsemantic_cache: true\n", 2, "semantic_cache", []string{"expected", "enabled"}},
		{"a: 1\nsemantic_cache:\n", 2, "semantic_cache", []string{"expected", "enabled"}},
		{head, 2, "semantic_cache.lora_model", []string{"missing", "expected"}},
		{head + "  lora_modell: x\n", 4, "semantic_cache.lora_modell", []string{"not known", "lora_model", "ttl_seconds"}},
		{head + "  enabled: false\n", 4, "semantic_cache.enabled", []string{"line 3"}},
		{head + "  lora_model: x\nsemantic_cache:\n  enabled: false\n", 5, "semantic_cache", []string{"line 2", "once"}},
		{"bert_model: {}\nbert_model: {}\n" + head, 2, "bert_model", []string{"line 1", "once"}},
		{"bert_model:\n  model_id: a\n  model_id: b\n" + head, 3, "bert_model.model_id", []string{"line 2", "once"}},
		{"semantic_cache:\n  enabled: \"true\"\n", 2, "semantic_cache.enabled", []string{`"true"`, "true or false"}},
		{"semantic_cache:\n  enabled: 1\n", 2, "semantic_cache.enabled", []string{"1 was found", "true or false"}},
		{head + "  backend_type: postgres\n", 4, "semantic_cache.backend_type", []string{`"postgres"`, "memory", "redis"}},
		{head + "  backend_type: [memory]\n", 4, "semantic_cache.backend_type", []string{"a list"}},
		{head + "  similarity_threshold: high\n", 4, "semantic_cache.similarity_threshold", []string{`"high"`, "number"}},
		{head + "  similarity_threshold: 85\n", 4, "semantic_cache.similarity_threshold", []string{"85", "up to 1"}},
		{head + "  similarity_threshold: .nan\n", 4, "semantic_cache.similarity_threshold", []string{".nan", "number"}},
		{head + "  similarity_threshold: -0.5\n", 4, "semantic_cache.similarity_threshold", []string{"-0.5"}},
		{head + "  similarity_threshold:\n", 4, "semantic_cache.similarity_threshold", []string{"nothing was found"}},
		{head + "  lora_model: {id: x}\n", 4, "semantic_cache.lora_model", []string{"a block was found", "expected"}},
		{head + "  lora_model: ''\n", 4, "semantic_cache.lora_model", []string{"expected"}},
		{head + "\n  lora_model: acme/missing\n", 5, "semantic_cache.lora_model", []string{"acme/missing", "cachelora.json", "cachelora pull"}},
		{head + "  lora_model: BUNDLE/../adapter\n", 4, "semantic_cache.lora_model", []string{"is an adapter", "cachelora export"}},
		{"bert_model: {model_id: 3}\n" + head, 1, "bert_model.model_id", []string{"3 was found"}},
	} {
		path := write(t, one.content)
		_, err := Open(context.Background(), path)
		var mistake *ConfigError
		if !errors.As(err, &mistake) || mistake.Line != one.line || mistake.Key != one.key || mistake.File != path {
			t.Errorf("%q: %v; want line %d, %s", one.content, err, one.line, one.key)
			continue
		}
		for _, part := range one.parts {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%v: %q is not said", err, part)
			}
		}
	}
	if _, err := Open(context.Background(), write(t, head+"  lora_model: acme/missing\n")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing: %v", err)
	}
	if _, err := Open(context.Background(), write(t, "semantic_cache: [\n")); err == nil || !strings.Contains(err.Error(), "line ") {
		t.Errorf("no YAML: %v", err)
	}
	if _, err := Open(context.Background(), "/nowhere/config.yaml"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}

func TestAnAliasIsWhatItStandsFor(t *testing.T) {
	config, err := Read(write(t, "base: &b {model_id: base}\nbert_model: *b\nlimit: &l 0.9\nsemantic_cache: {enabled: true, similarity_threshold: *l, lora_model: x}\n"))
	if err != nil || config.SimilarityThreshold != 0.9 || config.Base != "base" {
		t.Errorf("%+v, %v", config, err)
	}
}

func TestAnIdOfTheHubThatIsNotThereIsPulled(t *testing.T) {
	t.Setenv("CACHELORA_MODELS", t.TempDir())
	t.Setenv("PATH", t.TempDir())
	path := write(t, "semantic_cache:\n  enabled: true\n  lora_model: hub:acme/missing@v1\n")
	if _, err := Open(context.Background(), path); !errors.Is(err, exec.ErrNotFound) || !strings.Contains(err.Error(), "config.yaml:3: ") {
		t.Errorf("without the command: %v", err)
	}
	t.Setenv("CACHELORA_MODELS", "")
	if _, err := Open(context.Background(), path); err == nil || !strings.Contains(err.Error(), "CACHELORA_MODELS is not set") {
		t.Errorf("without a place: %v", err)
	}
}
