//go:build cgo && !nocgo

package conformance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	cachelora "github.com/cachelora/cachelora/native/go"
	candle "github.com/vllm-project/semantic-router/candle-binding"
)

// fresh runs a test again in a process of its own, because what a program has opened stays open. It returns
// true in that process.
func fresh(t *testing.T) bool {
	t.Helper()
	if os.Getenv("CONFORMANCE_FRESH") == t.Name() {
		return true
	}
	command := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	command.Env = append(os.Environ(), "CONFORMANCE_FRESH="+t.Name())
	output, err := command.CombinedOutput()
	if err != nil || !strings.Contains(string(output), "--- PASS: "+t.Name()) {
		t.Errorf("%v\n%s", err, output)
	}
	return false
}

// shelf returns a directory of bundles that has ours under each of the names.
func shelf(t *testing.T, names ...string) string {
	t.Helper()
	directory := t.TempDir()
	for _, name := range names {
		if err := os.Symlink(bundle, filepath.Join(directory, name)); err != nil {
			t.Fatal(err)
		}
	}
	return directory
}

func initialise(t *testing.T) {
	t.Helper()
	if err := candle.InitModel(bundle, true); err != nil {
		t.Fatal(err)
	}
	if err := candle.InitEmbeddingModels(bundle, bundle, bundle, true); err != nil {
		t.Fatal(err)
	}
}

func wanted(t *testing.T, texts ...string) [][]float32 {
	t.Helper()
	embedder, err := cachelora.Open(bundle)
	if err != nil {
		t.Fatal(err)
	}
	defer embedder.Close()
	vectors := make([][]float32, len(texts))
	for i, text := range texts {
		if vectors[i], err = embedder.Embed(context.Background(), text); err != nil {
			t.Fatal(err)
		}
	}
	return vectors
}

func TestEveryFunctionHasTheRoutersSignature(t *testing.T) {
	for name, one := range functions {
		if found := reflect.TypeOf(one.function).String(); found != one.signature {
			t.Errorf("%s: %s, want %s", name, found, one.signature)
		}
	}
}

func TestEveryStructureHasTheRoutersFields(t *testing.T) {
	for name, one := range structs {
		if found := fieldsOf(one.value); !slices.Equal(found, one.fields) {
			t.Errorf("%s:\n\t%s\nwant\n\t%s", name, strings.Join(found, "\n\t"), strings.Join(one.fields, "\n\t"))
		}
	}
	text, err := json.Marshal(candle.HallucinationDetectionResult{})
	if err != nil || string(text) != `{"has_hallucination":false,"confidence":0}` {
		t.Errorf("%s, %v", text, err)
	}
}

func TestLabelsAndNumbers(t *testing.T) {
	for label, want := range map[candle.NLILabel]string{
		0: "ENTAILMENT", 1: "NEUTRAL", 2: "CONTRADICTION", 3: "UNKNOWN", -1: "ERROR", 7: "ERROR",
	} {
		if label.String() != want {
			t.Errorf("%d: %s", int(label), label)
		}
	}
	if candle.NLIContradiction != 2 || candle.MLPDeviceMetal != 2 || candle.MLPBF16 != 2 {
		t.Error("the numbers are not the router's")
	}
}

func TestSpareProcsAreTheEnvironmentsChoice(t *testing.T) {
	if !fresh(t) {
		return
	}
	before := runtime.GOMAXPROCS(0)
	t.Setenv("CACHELORA_SPARE_PROCS", "many")
	if err := candle.InitModel(bundle, true); err == nil || !strings.Contains(err.Error(), `CACHELORA_SPARE_PROCS is "many"`) {
		t.Error(err)
	}
	t.Setenv("CACHELORA_SPARE_PROCS", "1")
	if err := candle.InitModel(bundle, true); err != nil {
		t.Fatal(err)
	}
	// The same bundle for another model type is open already.
	if err := candle.InitMmBertEmbeddingModel(bundle, true); err != nil {
		t.Fatal(err)
	}
	if got := runtime.GOMAXPROCS(0); got != before+min(before, runtime.NumCPU()) {
		t.Errorf("GOMAXPROCS is %d, it was %d", got, before)
	}
}

// served are the functions that an embedder can do.
var served = []string{
	"InitModel", "IsModelInitialized", "InitEmbeddingModels", "InitEmbeddingModelsWithMmBert", "InitMmBertEmbeddingModel",
	"InitEmbeddingModelsBatched", "GetEmbedding", "GetEmbeddingDefault", "GetEmbeddingSmart", "GetEmbeddingWithDim",
	"GetEmbeddingWithMetadata", "GetEmbeddingWithModelType", "GetEmbeddingBatched", "GetEmbedding2DMatryoshka",
	"CalculateSimilarity", "CalculateSimilarityDefault", "FindMostSimilar", "FindMostSimilarDefault",
	"CalculateEmbeddingSimilarity", "CalculateSimilarityBatch", "GetEmbeddingModelsInfo", "SetMemoryCleanupHandler",
}

func TestEverythingElseNamesWhatIsMissing(t *testing.T) {
	checked := 0
	for name, one := range functions {
		if slices.Contains(served, name) || strings.HasPrefix(name, "NewMLP") || name == "WithTestDelay" {
			continue
		}
		function := reflect.ValueOf(one.function)
		arguments := make([]reflect.Value, 0, function.Type().NumIn())
		for i := range function.Type().NumIn() {
			if function.Type().IsVariadic() && i == function.Type().NumIn()-1 {
				break
			}
			arguments = append(arguments, reflect.Zero(function.Type().In(i)))
		}
		results := function.Call(arguments)
		last := results[len(results)-1]
		if last.Kind() == reflect.Bool {
			if last.Bool() {
				t.Errorf("%s: true", name)
			}
			continue
		}
		err, _ := last.Interface().(error)
		checkUnsupported(t, name, err)
		checked++
		for _, result := range results[:len(results)-1] {
			if !result.IsZero() {
				t.Errorf("%s: %v beside an error", name, result)
			}
		}
	}
	if checked < 70 {
		t.Errorf("only %d functions were checked", checked)
	}
	var selector *candle.MLPSelector
	for _, selector := range []*candle.MLPSelector{selector, candle.NewMLPSelector(), candle.NewMLPSelectorWithDevice(1)} {
		_, err := selector.Select([]float64{1})
		checkUnsupported(t, "MLPSelector.Select", err)
		_, err = selector.ToJSON()
		checkUnsupported(t, "MLPSelector.ToJSON", err)
		if selector.IsTrained() {
			t.Error("trained")
		}
		selector.Close()
	}
}

func checkUnsupported(t *testing.T, name string, err error) {
	t.Helper()
	var unsupported *candle.UnsupportedError
	if !errors.As(err, &unsupported) || !errors.Is(err, candle.ErrBackendUnavailable) || !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("%s: %v", name, err)
		return
	}
	if !strings.Contains(err.Error(), name+" needs ") || unsupported.Missing == "" {
		t.Errorf("%s: %v names neither the function nor what it needs", name, err)
	}
}

func TestBeforeInitialisation(t *testing.T) {
	if !fresh(t) {
		return
	}
	if rust, here := candle.IsModelInitialized(); rust || here {
		t.Error("initialised")
	}
	if _, err := candle.GetEmbedding("how", 0); !errors.Is(err, candle.ErrNotInitialized) {
		t.Errorf("GetEmbedding: %v", err)
	}
	for _, modelType := range []string{"qwen3", "gemma", "mmbert", "bert", "auto", ""} {
		if _, err := candle.GetEmbeddingBatched("how", modelType, 0); !errors.Is(err, candle.ErrNotInitialized) {
			t.Errorf("GetEmbeddingBatched, %q: %v", modelType, err)
		}
	}
	_, err := candle.GetEmbeddingWithModelType("how", "multimodal", 0)
	if !errors.Is(err, candle.ErrBackendUnavailable) || !strings.Contains(err.Error(), "multimodal") {
		t.Errorf("multimodal: %v", err)
	}
	if score := candle.CalculateSimilarity("how", "card", 0); score != -1 {
		t.Errorf("similarity %v", score)
	}
	if found := candle.FindMostSimilar("how", []string{"card"}, 0); found != (candle.SimResult{Index: -1, Score: -1}) {
		t.Errorf("%+v", found)
	}
	infos, err := candle.GetEmbeddingModelsInfo()
	if err != nil || len(infos.Models) != 4 || slices.ContainsFunc(infos.Models, func(info candle.ModelInfo) bool { return info.IsLoaded }) {
		t.Errorf("%+v, %v", infos, err)
	}
}

func TestConcurrentFirstCallsOpenOneBundle(t *testing.T) {
	if !fresh(t) {
		return
	}
	t.Setenv("CACHELORA_MODELS", shelf(t, "all-MiniLM-L6-v2"))
	want := wanted(t, "how can i reset my password")[0]
	var calls sync.WaitGroup
	for range 64 {
		calls.Add(1)
		go func() {
			defer calls.Done()
			if err := candle.InitModel("sentence-transformers/all-MiniLM-L6-v2", true); err != nil {
				t.Error(err)
				return
			}
			vector, err := candle.GetEmbedding("how can i reset my password", 0)
			if err != nil || cachelora.Similarity(vector, want) < 0.99999 {
				t.Error(err)
			}
		}()
	}
	calls.Wait()
	if rust, here := candle.IsModelInitialized(); !rust || !here {
		t.Error("not initialised")
	}
	// What is open stays, whatever later calls name.
	if err := candle.InitModel("/nowhere", false); err != nil {
		t.Errorf("again: %v", err)
	}
}

func TestAFailedInitialisationCanBeRepeated(t *testing.T) {
	if !fresh(t) {
		return
	}
	t.Setenv("CACHELORA_MODELS", shelf(t, "sentence-transformers--all-MiniLM-L6-v2"))
	if err := candle.InitModel("owner/missing", true); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "owner--missing") {
		t.Errorf("missing: %v", err)
	}
	// An empty name is the router's default model.
	if err := candle.InitModel("", false); err != nil {
		t.Error(err)
	}
	if err := candle.InitEmbeddingModels("", "", "", true); err == nil {
		t.Error("three empty paths were accepted")
	}
	if err := candle.InitMmBertEmbeddingModel("", true); err == nil {
		t.Error("an empty path was accepted")
	}
}

func TestModelTypesAreKeptApart(t *testing.T) {
	if !fresh(t) {
		return
	}
	if err := candle.InitEmbeddingModelsBatched(bundle, 4, 10, true); err != nil {
		t.Fatal(err)
	}
	if output, err := candle.GetEmbeddingBatched("how", "qwen3", 0); err != nil || output.ModelType != "qwen3" {
		t.Errorf("%+v, %v", output, err)
	}
	if output, err := candle.GetEmbeddingWithMetadata("how", 1, 0, 0); err != nil || output.ModelType != "qwen3" {
		t.Errorf("%+v, %v", output, err)
	}
	for _, modelType := range []string{"gemma", "mmbert", "bert"} {
		if _, err := candle.GetEmbeddingBatched("how", modelType, 0); !errors.Is(err, candle.ErrNotInitialized) {
			t.Errorf("%s: %v", modelType, err)
		}
	}
	if _, err := candle.GetEmbedding("how", 0); !errors.Is(err, candle.ErrNotInitialized) {
		t.Error(err)
	}
	infos, err := candle.GetEmbeddingModelsInfo()
	if err != nil {
		t.Fatal(err)
	}
	for _, info := range infos.Models {
		if loaded := info.ModelName == "qwen3"; info.IsLoaded != loaded || loaded != (info.DefaultDimension == 32 && info.MaxSequenceLength == 128 && info.ModelPath == bundle) {
			t.Errorf("%+v", info)
		}
	}
}

func TestVectorsAreTheBundles(t *testing.T) {
	initialise(t)
	const text = "how can i reset my password"
	want := wanted(t, text)[0]
	calls := map[string]func() ([]float32, error){
		"GetEmbedding":        func() ([]float32, error) { return candle.GetEmbedding(text, 0) },
		"GetEmbedding 512":    func() ([]float32, error) { return candle.GetEmbedding(text, 512) },
		"GetEmbeddingDefault": func() ([]float32, error) { return candle.GetEmbeddingDefault(text) },
		"GetEmbeddingSmart":   func() ([]float32, error) { return candle.GetEmbeddingSmart(text, 0.2, 0.8) },
		"GetEmbeddingWithDim": func() ([]float32, error) { return candle.GetEmbeddingWithDim(text, 0.2, 0.8, 32) },
	}
	for _, modelType := range []string{"bert", "qwen3", "gemma", "mmbert"} {
		for _, dimension := range []int{0, 32} {
			for name, call := range map[string]func(string, string, int) (*candle.EmbeddingOutput, error){
				"GetEmbeddingWithModelType": candle.GetEmbeddingWithModelType,
				"GetEmbeddingBatched":       candle.GetEmbeddingBatched,
				"GetEmbedding2DMatryoshka": func(text, modelType string, dimension int) (*candle.EmbeddingOutput, error) {
					return candle.GetEmbedding2DMatryoshka(text, modelType, dimension/16, dimension)
				},
			} {
				calls[fmt.Sprint(name, " ", modelType, " ", dimension)] = func() ([]float32, error) {
					output, err := call(text, modelType, dimension)
					if err != nil {
						return nil, err
					}
					if output.ModelType != modelType || output.SequenceLength < 6 || output.ProcessingTimeMs <= 0 {
						t.Errorf("%+v", output)
					}
					return output.Embedding, nil
				}
			}
		}
	}
	for name, call := range calls {
		if vector, err := call(); err != nil || !slices.Equal(vector, want) {
			t.Errorf("%s: %v, %v", name, vector, err)
		}
	}
}

func TestWhatABundleCanNotDoIsSaid(t *testing.T) {
	initialise(t)
	for name, call := range map[string]func() error{
		"GetEmbeddingWithModelType": func() error { _, err := candle.GetEmbeddingWithModelType("how", "mmbert", 768); return err },
		"GetEmbeddingBatched":       func() error { _, err := candle.GetEmbeddingBatched("how", "qwen3", 16); return err },
		"GetEmbeddingWithDim":       func() error { _, err := candle.GetEmbeddingWithDim("how", 0, 0, -1); return err },
		"GetEmbedding2DMatryoshka":  func() error { _, err := candle.GetEmbedding2DMatryoshka("how", "mmbert", 1, 32); return err },
		"GetEmbedding":              func() error { _, err := candle.GetEmbedding("how can i reset my password", 4); return err },
	} {
		checkUnsupported(t, name, call())
	}
	if _, err := candle.GetEmbedding("my\xff", 0); !errors.Is(err, cachelora.ErrInvalidUTF8) {
		t.Errorf("no UTF-8: %v", err)
	}
	// A limit that cuts nothing is no reason to refuse.
	if _, err := candle.GetEmbedding("how", 16); err != nil {
		t.Error(err)
	}
	if _, err := candle.GetEmbedding(strings.Repeat("how ", 500), 512); err != nil {
		t.Error(err)
	}
}

func TestSimilarities(t *testing.T) {
	initialise(t)
	query, candidates := "reset my password", []string{"law", "how can i reset my password", "card", "reset my password"}
	vectors := wanted(t, append([]string{query}, candidates...)...)
	near := func(a, b float32) bool { return math.Abs(float64(a-b)) < 1e-4 }
	scores := make([]float32, len(candidates))
	for i := range candidates {
		scores[i] = cachelora.Similarity(vectors[0], vectors[i+1])
		if score := candle.CalculateSimilarity(query, candidates[i], 0); !near(score, scores[i]) {
			t.Errorf("%q: %v, want %v", candidates[i], score, scores[i])
		}
		if score := candle.CalculateSimilarityDefault(query, candidates[i]); !near(score, scores[i]) {
			t.Errorf("%q: %v, want %v", candidates[i], score, scores[i])
		}
		output, err := candle.CalculateEmbeddingSimilarity(query, candidates[i], "auto", 0)
		if err != nil || !near(output.Similarity, scores[i]) || output.ModelType != "bert" {
			t.Errorf("%+v, %v", output, err)
		}
	}
	for _, found := range []candle.SimResult{candle.FindMostSimilar(query, candidates, 0), candle.FindMostSimilarDefault(query, candidates)} {
		if found.Index != 3 || !near(found.Score, 1) {
			t.Errorf("%+v", found)
		}
	}
	if found := candle.FindMostSimilar(query, nil, 0); found.Index != -1 {
		t.Errorf("%+v", found)
	}
	for topK, want := range map[int]int{0: 4, 2: 2, 9: 4} {
		output, err := candle.CalculateSimilarityBatch(query, candidates, topK, "gemma", 0)
		if err != nil || len(output.Matches) != want || output.ModelType != "gemma" || output.Matches[0].Index != 3 {
			t.Fatalf("%+v, %v", output, err)
		}
		for i, match := range output.Matches {
			if !near(match.Similarity, scores[match.Index]) || i > 0 && match.Similarity > output.Matches[i-1].Similarity {
				t.Errorf("%+v", output.Matches)
			}
		}
	}
	if _, err := candle.CalculateSimilarityBatch(query, nil, 1, "bert", 0); err == nil {
		t.Error("no candidates were accepted")
	}
	if _, err := candle.CalculateSimilarityBatch(query, candidates, -1, "bert", 0); err == nil {
		t.Error("a negative topK was accepted")
	}
}

func Test64Goroutines(t *testing.T) {
	initialise(t)
	texts := []string{"how can i reset my password", "card", "law", "reset", "my card", ""}
	want := wanted(t, texts...)
	var calls sync.WaitGroup
	for g := range 64 {
		calls.Add(1)
		go func() {
			defer calls.Done()
			for n := range 30 {
				i := (g + n) % len(texts)
				var vector []float32
				var output *candle.EmbeddingOutput
				var err error
				switch n % 4 {
				case 0:
					vector, err = candle.GetEmbedding(texts[i], 0)
				case 1:
					output, err = candle.GetEmbeddingBatched(texts[i], "qwen3", 0)
				case 2:
					output, err = candle.GetEmbeddingWithModelType(texts[i], "mmbert", 32)
				case 3:
					err = candle.InitModel("anything", true)
					vector = want[i]
				}
				if output != nil {
					vector = output.Embedding
				}
				if err != nil || cachelora.Similarity(vector, want[i]) < 0.99999 {
					t.Errorf("%q: %v", texts[i], err)
					return
				}
			}
		}()
	}
	calls.Wait()
}
