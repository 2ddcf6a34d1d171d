package candle_binding

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	cachelora "github.com/cachelora/cachelora/native/go"
	"github.com/cachelora/cachelora/native/go/models"
	"github.com/cachelora/cachelora/native/go/router"
)

// The model types by which the router asks for vectors.
const (
	bert   = "bert"
	qwen3  = "qwen3"
	gemma  = "gemma"
	mmbert = "mmbert"
)

// modelTypes is the order in which a call that leaves the choice to us chooses.
var modelTypes = []string{bert, qwen3, gemma, mmbert}

// bundle is an opened bundle. It stays open as long as the program runs, since the router has no call that
// would close it.
type bundle struct {
	directory string
	embedder  *cachelora.Embedder
	provider  *router.Provider
	layers    int
}

// served is what was opened: bundles by model type. One bundle may serve several types, and is open once.
var served struct {
	mu     sync.RWMutex
	byType map[string]*bundle
}

// open makes the bundle that name means serve modelType. It does nothing if that type is served already.
func open(modelType, name string, opts ...router.Option) error {
	if withoutCgo {
		return unavailableError{cachelora.ErrUnavailable}
	}
	served.mu.Lock()
	defer served.mu.Unlock()
	if served.byType[modelType] != nil {
		return nil
	}
	directory, err := models.Find(name)
	if err != nil {
		return fmt.Errorf("candle-binding: model type %q: %w", modelType, err)
	}
	if directory, err = filepath.Abs(directory); err != nil {
		return err
	}
	opened, err := openBundle(directory, opts...)
	if err != nil {
		return err
	}
	if served.byType == nil {
		served.byType = map[string]*bundle{}
	}
	served.byType[modelType] = opened
	return nil
}

// openBundle returns the bundle in directory, which may be open already. served.mu is held.
func openBundle(directory string, opts ...router.Option) (*bundle, error) {
	for _, other := range served.byType {
		if other.directory == directory {
			return other, nil
		}
	}
	spare, err := spareProcs()
	if err != nil {
		return nil, err
	}
	embedder, err := cachelora.Open(directory)
	if err != nil {
		return nil, explain(err)
	}
	layers, err := layersOf(directory)
	if err != nil {
		embedder.Close()
		return nil, err
	}
	return &bundle{directory, embedder, router.New(embedder, append(opts, spare...)...), layers}, nil
}

// spareProcsVariable says whether bundles are computed beside the scheduler's places or in them.
const spareProcsVariable = "CACHELORA_SPARE_PROCS"

// spareProcs reads it. The router has no call in which it could stand.
func spareProcs() ([]router.Option, error) {
	value := os.Getenv(spareProcsVariable)
	if value == "" {
		return nil, nil
	}
	wanted, err := strconv.ParseBool(value)
	if err != nil {
		return nil, fmt.Errorf("candle-binding: %s is %q; 1 or 0 was expected", spareProcsVariable, value)
	}
	if !wanted {
		return nil, nil
	}
	return []router.Option{router.WithSpareProcs()}, nil
}

func layersOf(directory string) (int, error) {
	path := filepath.Join(directory, "cachelora.json")
	content, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	var manifest struct {
		Architecture struct {
			Layers int `json:"layers"`
		} `json:"architecture"`
	}
	if err := json.Unmarshal(content, &manifest); err != nil {
		return 0, fmt.Errorf("candle-binding: %s: %w", path, err)
	}
	return manifest.Architecture.Layers, nil
}

// find returns the bundle that serves modelType; "" and "auto" leave the choice to us. It returns the model
// type too.
func find(modelType string) (*bundle, string, error) {
	if withoutCgo {
		return nil, "", unavailableError{cachelora.ErrUnavailable}
	}
	served.mu.RLock()
	defer served.mu.RUnlock()
	wanted := []string{modelType}
	if modelType == "" || modelType == "auto" {
		wanted = modelTypes
	}
	for _, name := range wanted {
		if found := served.byType[name]; found != nil {
			return found, name, nil
		}
	}
	if !slices.Contains(modelTypes, wanted[0]) {
		return nil, "", &UnsupportedError{"the model type " + fmt.Sprintf("%q", modelType),
			"a model of that type; those that a bundle can stand in for are " + strings.Join(modelTypes, ", ")}
	}
	return nil, "", fmt.Errorf("%w: model type %q; call InitModel for \"bert\", InitEmbeddingModels for the others", ErrNotInitialized, modelType)
}

// request is what the functions of the router's binding may ask of one embedding.
type request struct {
	function  string
	modelType string
	dimension int // 0 is the bundle's own
	layer     int // 0 is the last
	maxLength int // 0 is the bundle's own
}

// check returns the bundle that can fulfil r.
func (r request) check() (*bundle, string, error) {
	found, modelType, err := find(r.modelType)
	if err != nil {
		return nil, "", err
	}
	if r.dimension != 0 && r.dimension != found.embedder.Dimension() {
		return nil, "", &UnsupportedError{r.function, fmt.Sprintf(
			"vectors of %d dimensions, and the bundle %s makes vectors of %d; ask for 0 or %[3]d",
			r.dimension, found.directory, found.embedder.Dimension())}
	}
	if r.layer != 0 && r.layer != found.layers {
		return nil, "", &UnsupportedError{r.function, fmt.Sprintf(
			"the vector of layer %d, and the bundle %s gives that of its last layer, %d; ask for 0 or %[3]d",
			r.layer, found.directory, found.layers)}
	}
	return found, modelType, nil
}

func (r request) checkLength(found *bundle, info cachelora.InputInfo) error {
	if r.maxLength > 0 && r.maxLength < min(info.Tokens, found.embedder.MaxTokens()) {
		return &UnsupportedError{r.function, fmt.Sprintf(
			"a text of %d tokens cut to %d, and the bundle %s cuts texts at %d only; ask for 0",
			info.Tokens, r.maxLength, found.directory, found.embedder.MaxTokens())}
	}
	return nil
}

// embed fulfils r for one text.
func (r request) embed(text string) (*EmbeddingOutput, error) {
	started := time.Now()
	found, modelType, err := r.check()
	if err != nil {
		return nil, err
	}
	vector, info, err := found.provider.EmbedWithInfo(context.Background(), text)
	if err != nil {
		return nil, explain(err)
	}
	if err := r.checkLength(found, info); err != nil {
		return nil, err
	}
	return &EmbeddingOutput{
		Embedding:        vector,
		ModelType:        modelType,
		SequenceLength:   min(info.Tokens, found.embedder.MaxTokens()),
		ProcessingTimeMs: milliseconds(started),
	}, nil
}

// similarities returns the cosines of query with each of the candidates, all embedded together.
func (r request) similarities(query string, candidates []string) ([]float32, string, error) {
	found, modelType, err := r.check()
	if err != nil {
		return nil, "", err
	}
	texts := append([]string{query}, candidates...)
	vectors, infos, err := found.provider.EmbedBatchWithInfo(context.Background(), texts)
	if err != nil {
		return nil, "", explain(err)
	}
	for _, info := range infos {
		if err := r.checkLength(found, info); err != nil {
			return nil, "", err
		}
	}
	scores := make([]float32, len(candidates))
	for i := range candidates {
		scores[i] = cachelora.Similarity(vectors[0], vectors[i+1])
	}
	return scores, modelType, nil
}

func milliseconds(since time.Time) float32 {
	return float32(time.Since(since).Seconds() * 1000)
}
