// Package preload runs programs that were linked to another library with libcachelora_router.so before it.
// `make test-preload` builds the programs and says where they are.
package preload

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	cachelora "github.com/cachelora/cachelora/native/go"
)

const (
	programs = "../../build/test/preload"
	library  = "../../target/release/libcachelora_router.so"
	// The model's last token, in the vocabulary of tests/tiny_bundle.py.
	separator = 3
)

type ofText struct {
	Vector         []float32
	Failed         bool
	SequenceLength int
	IDs            []int
	Tokens         []string
}

type answer struct {
	InitializedBefore, Init, Initialized, InitAgain bool

	Texts                     []ofText
	Similarities              []float32
	Index                     int
	Score                     float32
	Class                     int
	Confidence                float32
	Other                     []float32
	VectorsLent, TokensLent   int
	CallsAtOnce, Disagreement int64
}

type golden struct {
	Texts     []string    `json:"texts"`
	TokenIDs  [][]int     `json:"token_ids"`
	Vectors   [][]float32 `json:"vectors"`
	MaxTokens int         `json:"max_tokens"`
}

func tiny(t *testing.T, name string) string {
	t.Helper()
	directory := os.Getenv("CACHELORA_TEST_TINY")
	if directory == "" {
		t.Fatal("CACHELORA_TEST_TINY names the directory that `python tests/tiny_bundle.py DIRECTORY` wrote; `make test-preload` sets it")
	}
	return filepath.Join(directory, name)
}

// goldens reads what PyTorch and its tokenizer give; a C string can't hold the text with a NUL.
func goldens(t *testing.T) golden {
	t.Helper()
	content, err := os.ReadFile(tiny(t, "golden.json"))
	if err != nil {
		t.Fatal(err)
	}
	var all, found golden
	if err := json.Unmarshal(content, &all); err != nil {
		t.Fatal(err)
	}
	found.MaxTokens = all.MaxTokens
	for index, text := range all.Texts {
		if !strings.Contains(text, "\x00") {
			found.Texts = append(found.Texts, text)
			found.TokenIDs = append(found.TokenIDs, all.TokenIDs[index])
			found.Vectors = append(found.Vectors, all.Vectors[index])
		}
	}
	if len(found.Texts) < 200 {
		t.Fatalf("only %d texts", len(found.Texts))
	}
	return found
}

// run starts a program with the environment besides and returns what it wrote to stdout and stderr.
func run(t *testing.T, input []byte, environment []string, command ...string) (string, string) {
	t.Helper()
	process := exec.Command(command[0], command[1:]...)
	process.Env = append(os.Environ(), environment...)
	process.Stdin = bytes.NewReader(input)
	var stdout, stderr strings.Builder
	process.Stdout, process.Stderr = &stdout, &stderr
	if err := process.Run(); err != nil {
		t.Fatalf("%v: %v\n%s%s", command, err, stdout.String(), stderr.String())
	}
	return stdout.String(), stderr.String()
}

// ask runs the program that stands for the router.
func ask(t *testing.T, texts []string, maxLength, threads int, environment ...string) (answer, string) {
	t.Helper()
	question, err := json.Marshal(map[string]any{"Texts": texts, "MaxLength": maxLength, "Threads": threads})
	if err != nil {
		t.Fatal(err)
	}
	stdout, stderr := run(t, question, environment, filepath.Join(programs, "router"))
	var found answer
	if err := json.Unmarshal([]byte(stdout), &found); err != nil {
		t.Fatalf("%v: %s", err, stdout)
	}
	return found, stderr
}

func preloaded(t *testing.T, bundle string) []string {
	t.Helper()
	path, err := filepath.Abs(library)
	if err != nil {
		t.Fatal(err)
	}
	return []string{"LD_PRELOAD=" + path, "CACHELORA_BUNDLE=" + bundle}
}

// What the stand-in computes itself is its own, with and without the library before it.
func checkItsOwn(t *testing.T, found answer) {
	t.Helper()
	if found.Class != 3 || found.Confidence != 0.25 {
		t.Errorf("the classifier says %d, %v", found.Class, found.Confidence)
	}
	if !slices.Equal(found.Other, []float32{42, 42, 42}) {
		t.Errorf("the vector of another model is %v", found.Other)
	}
	if found.VectorsLent != 0 || found.TokensLent != 0 {
		t.Errorf("%d vectors and %d tokens of the stand-in were not freed", found.VectorsLent, found.TokensLent)
	}
}

func TestWithoutPreloadTheStandInAnswers(t *testing.T) {
	found, _ := ask(t, []string{"a", "password"}, 0, 2, "CACHELORA_BUNDLE="+tiny(t, "bundle-int8"))
	checkItsOwn(t, found)
	of := ofText{Vector: []float32{42, 42, 42}, SequenceLength: 1, IDs: []int{42}, Tokens: []string{"standin"}}
	if !reflect.DeepEqual(found.Texts, []ofText{of, of}) || found.Index != 43 || found.Similarities[0] != 42 {
		t.Errorf("%+v", found)
	}
}

func TestPreloadGivesTheBundlesVectors(t *testing.T) {
	golden := goldens(t)
	for _, name := range []string{"bundle", "bundle-int8"} {
		t.Run(name, func(t *testing.T) {
			found, stderr := ask(t, golden.Texts, 0, 16, preloaded(t, tiny(t, name))...)
			checkItsOwn(t, found)
			if found.InitializedBefore || !found.Init || !found.Initialized || found.InitAgain {
				t.Errorf("initialised before %v, init %v, initialised %v, second init %v",
					found.InitializedBefore, found.Init, found.Initialized, found.InitAgain)
			}
			embedder, err := cachelora.Open(tiny(t, name))
			if err != nil {
				t.Fatal(err)
			}
			defer embedder.Close()
			if !strings.Contains(stderr, embedder.Fingerprint()) {
				t.Errorf("stderr does not tell the fingerprint: %s", stderr)
			}

			vectors := make([][]float32, len(golden.Texts))
			for index, text := range golden.Texts {
				if vectors[index], err = embedder.Embed(context.Background(), text); err != nil {
					t.Fatal(err)
				}
				of := found.Texts[index]
				if !slices.Equal(of.Vector, vectors[index]) {
					t.Errorf("the vector of %q is not the Go package's, bit for bit", text)
				}
				if cosine := cachelora.Similarity(of.Vector, golden.Vectors[index]); name == "bundle" && cosine < 0.99999 {
					t.Errorf("cosine %v to PyTorch's vector of %q", cosine, text)
				}
				ids := cut(golden.TokenIDs[index], golden.MaxTokens)
				if !slices.Equal(of.IDs, ids) || len(of.Tokens) != len(ids) || of.SequenceLength != len(ids) {
					t.Errorf("the tokens of %q are %v, not %v", text, of.IDs, ids)
				}
				if of.Tokens[0] != "[CLS]" || of.Tokens[len(ids)-1] != "[SEP]" {
					t.Errorf("the tokens of %q are %q", text, of.Tokens)
				}
			}

			// The first text is empty; what is nearest to it is for the vectors to say.
			nearest, score := 1, cachelora.Similarity(vectors[0], vectors[1])
			for index := 1; index < len(vectors); index++ {
				if similarity := cachelora.Similarity(vectors[0], vectors[index]); similarity > score {
					nearest, score = index, similarity
				}
				expected := cachelora.Similarity(vectors[index-1], vectors[index])
				if found.Similarities[index-1] != expected {
					t.Errorf("similarity %v, not %v", found.Similarities[index-1], expected)
				}
			}
			if found.Index != nearest || found.Score != score {
				t.Errorf("nearest is %d with %v, not %d with %v", found.Index, found.Score, nearest, score)
			}

			if found.CallsAtOnce != int64(16*len(golden.Texts)) || found.Disagreement != 0 {
				t.Errorf("%d of %d calls at once gave something else", found.Disagreement, found.CallsAtOnce)
			}
		})
	}
}

// cut shortens ids as a tokenizer does: the special token at the end stays.
func cut(ids []int, limit int) []int {
	if len(ids) <= limit {
		return ids
	}
	return append(slices.Clone(ids[:limit-1]), separator)
}

func TestMaxLengthCutsTheText(t *testing.T) {
	texts := []string{"the password of my account is not safe", "the password of my", "the"}
	found, _ := ask(t, texts, 6, 2, preloaded(t, tiny(t, "bundle-int8"))...)
	long, short := found.Texts[0], found.Texts[1]
	if long.SequenceLength != 6 || !slices.Equal(long.IDs, short.IDs) || !slices.Equal(long.Vector, short.Vector) {
		t.Errorf("%v and %v differ", long.Tokens, short.Tokens)
	}
	if slices.Equal(long.Vector, found.Texts[2].Vector) || found.Similarities[0] < 0.99999 {
		t.Errorf("similarities %v", found.Similarities)
	}
	if expected := []string{"[CLS]", "the", "password", "of", "my", "[SEP]"}; !slices.Equal(long.Tokens, expected) {
		t.Errorf("%q", long.Tokens)
	}
}

// Without a bundle nothing is served, the stand-in's sentinels least of all, and stderr says what to do.
func TestWithoutABundle(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing")
	for bundle, says := range map[string]string{"": "set CACHELORA_BUNDLE to the directory", missing: missing} {
		found, stderr := ask(t, []string{"a", "b"}, 0, 0, preloaded(t, bundle)...)
		checkItsOwn(t, found)
		if found.Init || found.Initialized || !found.Texts[0].Failed || found.Index != 0 || found.Score != -1 {
			t.Errorf("%q: %+v", bundle, found)
		}
		first, _, _ := strings.Cut(stderr, "\n")
		if !strings.HasPrefix(first, "libcachelora_router: init_similarity_model: ") || !strings.Contains(first, says) {
			t.Errorf("%q: %s", bundle, stderr)
		}
		if strings.Count(stderr, "init_similarity_model: ") != 2 {
			t.Errorf("two calls of init, and not a line each: %s", stderr)
		}
	}
}

func TestMisuseIsAnsweredAsAnError(t *testing.T) {
	// Freed memory is filled, so that whoever still reads it is found out.
	environment := append(preloaded(t, tiny(t, "bundle-int8")), "MALLOC_PERTURB_=165")
	_, stderr := run(t, nil, environment, filepath.Join(programs, "misuse"))
	for _, part := range []string{"text is NULL", "text is not UTF-8", "a candidate is NULL (number 1, from 0)",
		"num_candidates is -2147483648", "the limit is 2, but 2 special tokens surround every text", "is open already"} {
		if !strings.Contains(stderr, part) {
			t.Errorf("no %q on stderr: %s", part, stderr)
		}
	}
}

func TestValgrindFindsNothing(t *testing.T) {
	valgrind, err := exec.LookPath("valgrind")
	if err != nil {
		t.Skip("valgrind is not installed")
	}
	// Valgrind does not know every instruction of the fast kernels.
	environment := append(preloaded(t, tiny(t, "bundle-int8")), "CACHELORA_KERNEL=portable")
	_, stderr := run(t, nil, environment, valgrind, "--error-exitcode=9", "--leak-check=full",
		"--show-leak-kinds=definite", "--errors-for-leak-kinds=definite", filepath.Join(programs, "misuse"))
	if !strings.Contains(stderr, "ERROR SUMMARY: 0 errors") {
		t.Error(stderr)
	}
}
