package candle_binding

import (
	"cmp"
	"errors"
	"log"
	"slices"
	"time"

	cachelora "github.com/cachelora/cachelora/native/go"
	"github.com/cachelora/cachelora/native/go/router"
)

// EmbeddingOutput is a vector and how it came about.
type EmbeddingOutput struct {
	// Embedding is the unit vector.
	Embedding []float32
	// ModelType is the model type that made it.
	ModelType string
	// SequenceLength is how many tokens of the text were used, special tokens included.
	SequenceLength int
	// ProcessingTimeMs is how long the call took, waiting included, in milliseconds.
	ProcessingTimeMs float32
}

// SimilarityOutput is the cosine of two texts.
type SimilarityOutput struct {
	Similarity float32
	ModelType  string
	// ProcessingTimeMs is how long the call took in milliseconds.
	ProcessingTimeMs float32
}

// BatchSimilarityMatch is one candidate and its cosine to the query.
type BatchSimilarityMatch struct {
	// Index is the candidate's place in the list that was given.
	Index      int
	Similarity float32
}

// BatchSimilarityOutput is the candidates nearest to a query, the nearest first.
type BatchSimilarityOutput struct {
	Matches   []BatchSimilarityMatch
	ModelType string
	// ProcessingTimeMs is how long the call took in milliseconds.
	ProcessingTimeMs float32
}

// SimResult is the candidate nearest to a query; both fields are -1 if there is none.
type SimResult struct {
	Index int
	Score float32
}

// ModelInfo describes one model type.
type ModelInfo struct {
	ModelName         string
	IsLoaded          bool
	MaxSequenceLength int
	DefaultDimension  int
	// ModelPath is the bundle's directory; empty if none is loaded.
	ModelPath string
}

// ModelsInfoOutput describes every model type.
type ModelsInfoOutput struct {
	Models []ModelInfo
}

// defaultModel is the model that an empty id means to the router.
const defaultModel = "sentence-transformers/all-MiniLM-L6-v2"

// InitModel opens the bundle that modelID means, for [GetEmbedding] and the model type "bert". It does nothing
// if one is open already; after a failure it may be tried again. Bundles are computed on the CPU, whatever
// useCPU says.
func InitModel(modelID string, useCPU bool) error {
	return open(bert, cmp.Or(modelID, defaultModel))
}

// IsModelInitialized reports whether [InitModel] has opened a bundle. The two values, which the router's own
// binding keeps apart, are always equal.
func IsModelInitialized() (rustState bool, goState bool) {
	_, _, err := find(bert)
	return err == nil, err == nil
}

// InitEmbeddingModels opens the bundles that stand in for the model types "qwen3", "gemma" and "mmbert". An
// empty path leaves a type out.
func InitEmbeddingModels(qwen3ModelPath, gemmaModelPath, mmBertModelPath string, useCPU bool) error {
	paths := []struct{ modelType, path string }{
		{qwen3, qwen3ModelPath}, {gemma, gemmaModelPath}, {mmbert, mmBertModelPath},
	}
	named := false
	for _, one := range paths {
		if one.path == "" {
			continue
		}
		named = true
		if err := open(one.modelType, one.path); err != nil {
			return err
		}
	}
	if !named {
		return errors.New("candle-binding: InitEmbeddingModels: three empty paths; at least one model was expected")
	}
	return nil
}

// InitEmbeddingModelsWithMmBert is [InitEmbeddingModels].
func InitEmbeddingModelsWithMmBert(qwen3ModelPath, gemmaModelPath, mmBertModelPath string, useCPU bool) error {
	return InitEmbeddingModels(qwen3ModelPath, gemmaModelPath, mmBertModelPath, useCPU)
}

// InitMmBertEmbeddingModel opens the bundle that stands in for the model type "mmbert".
func InitMmBertEmbeddingModel(modelPath string, useCPU bool) error {
	return open(mmbert, modelPath)
}

// InitEmbeddingModelsBatched opens the bundle that stands in for the model type "qwen3" and computes at most
// maxBatchSize waiting texts together. maxWaitMs changes nothing: a text is never held back for a batch.
func InitEmbeddingModelsBatched(qwen3ModelPath string, maxBatchSize int, maxWaitMs uint64, useCPU bool) error {
	var opts []router.Option
	if maxBatchSize > 0 {
		opts = append(opts, router.WithMaxBatch(maxBatchSize))
	}
	return open(qwen3, qwen3ModelPath, opts...)
}

// GetEmbedding returns the vector of text by the model that [InitModel] opened. A maxLength of 0 is the
// bundle's own.
func GetEmbedding(text string, maxLength int) ([]float32, error) {
	return vectorOf(request{function: "GetEmbedding", modelType: bert, maxLength: maxLength}.embed(text))
}

// GetEmbeddingDefault is [GetEmbedding] with the bundle's own length.
func GetEmbeddingDefault(text string) ([]float32, error) {
	return vectorOf(request{function: "GetEmbeddingDefault", modelType: bert}.embed(text))
}

// GetEmbeddingSmart returns the vector of text by the first model that is open. The priorities choose nothing:
// vectors of two models can't be compared, so a choice by text would make them useless.
func GetEmbeddingSmart(text string, qualityPriority, latencyPriority float32) ([]float32, error) {
	return vectorOf(request{function: "GetEmbeddingSmart"}.embed(text))
}

// GetEmbeddingWithDim is [GetEmbeddingSmart] for vectors of targetDim dimensions.
func GetEmbeddingWithDim(text string, qualityPriority, latencyPriority float32, targetDim int) ([]float32, error) {
	return vectorOf(request{function: "GetEmbeddingWithDim", dimension: targetDim}.embed(text))
}

// GetEmbeddingWithMetadata is [GetEmbeddingWithDim], and says how the vector came about.
func GetEmbeddingWithMetadata(text string, qualityPriority, latencyPriority float32, targetDim int) (*EmbeddingOutput, error) {
	return request{function: "GetEmbeddingWithMetadata", dimension: targetDim}.embed(text)
}

// GetEmbeddingWithModelType returns the vector of text by one model type, of targetDim dimensions.
func GetEmbeddingWithModelType(text string, modelType string, targetDim int) (*EmbeddingOutput, error) {
	return request{function: "GetEmbeddingWithModelType", modelType: modelType, dimension: targetDim}.embed(text)
}

// GetEmbeddingBatched is [GetEmbeddingWithModelType]. Every function here computes what waits together when
// it is called from more goroutines than there are cores.
func GetEmbeddingBatched(text string, modelType string, targetDim int) (*EmbeddingOutput, error) {
	return request{function: "GetEmbeddingBatched", modelType: modelType, dimension: targetDim}.embed(text)
}

// GetEmbedding2DMatryoshka is [GetEmbeddingWithModelType] for the vector of targetLayer. Only the last layer
// is served, which 0 means too.
func GetEmbedding2DMatryoshka(text string, modelType string, targetLayer int, targetDim int) (*EmbeddingOutput, error) {
	return request{function: "GetEmbedding2DMatryoshka", modelType: modelType, layer: targetLayer, dimension: targetDim}.embed(text)
}

func vectorOf(found *EmbeddingOutput, err error) ([]float32, error) {
	if err != nil {
		return nil, err
	}
	return found.Embedding, nil
}

// CalculateSimilarity returns the cosine of two texts by the model that [InitModel] opened, or -1 after a
// failure, which is logged: the signature has no place for an error.
func CalculateSimilarity(text1, text2 string, maxLength int) float32 {
	return similarity(request{function: "CalculateSimilarity", modelType: bert, maxLength: maxLength}, text1, text2)
}

// CalculateSimilarityDefault is [CalculateSimilarity] with the bundle's own length.
func CalculateSimilarityDefault(text1, text2 string) float32 {
	return similarity(request{function: "CalculateSimilarityDefault", modelType: bert}, text1, text2)
}

func similarity(r request, text1, text2 string) float32 {
	scores, _, err := r.similarities(text1, []string{text2})
	if err != nil {
		log.Printf("%s: %v", r.function, err)
		return -1
	}
	return scores[0]
}

// FindMostSimilar returns the candidate with the highest cosine to query by the model that [InitModel] opened,
// the first of equal ones. Without candidates, and after a failure, which is logged, both fields are -1.
func FindMostSimilar(query string, candidates []string, maxLength int) SimResult {
	return mostSimilar(request{function: "FindMostSimilar", modelType: bert, maxLength: maxLength}, query, candidates)
}

// FindMostSimilarDefault is [FindMostSimilar] with the bundle's own length.
func FindMostSimilarDefault(query string, candidates []string) SimResult {
	return mostSimilar(request{function: "FindMostSimilarDefault", modelType: bert}, query, candidates)
}

func mostSimilar(r request, query string, candidates []string) SimResult {
	scores, _, err := r.similarities(query, candidates)
	if err != nil {
		log.Printf("%s: %v", r.function, err)
		return SimResult{Index: -1, Score: -1}
	}
	best := SimResult{Index: -1, Score: -1}
	for i, score := range scores {
		if best.Index < 0 || score > best.Score {
			best = SimResult{Index: i, Score: score}
		}
	}
	return best
}

// CalculateEmbeddingSimilarity returns the cosine of two texts by one model type.
func CalculateEmbeddingSimilarity(text1, text2 string, modelType string, targetDim int) (*SimilarityOutput, error) {
	started := time.Now()
	asked := request{function: "CalculateEmbeddingSimilarity", modelType: modelType, dimension: targetDim}
	scores, modelType, err := asked.similarities(text1, []string{text2})
	if err != nil {
		return nil, err
	}
	return &SimilarityOutput{Similarity: scores[0], ModelType: modelType, ProcessingTimeMs: milliseconds(started)}, nil
}

// CalculateSimilarityBatch returns the topK candidates with the highest cosines to query by one model type;
// 0 is all of them. Without candidates it fails.
func CalculateSimilarityBatch(query string, candidates []string, topK int, modelType string, targetDim int) (*BatchSimilarityOutput, error) {
	if len(candidates) == 0 {
		return nil, errors.New("candle-binding: CalculateSimilarityBatch: no candidates; at least one was expected")
	}
	if topK < 0 {
		return nil, errors.New("candle-binding: CalculateSimilarityBatch: topK is negative; 0 is all candidates")
	}
	started := time.Now()
	asked := request{function: "CalculateSimilarityBatch", modelType: modelType, dimension: targetDim}
	scores, modelType, err := asked.similarities(query, candidates)
	if err != nil {
		return nil, err
	}
	matches := make([]BatchSimilarityMatch, len(scores))
	for i, score := range scores {
		matches[i] = BatchSimilarityMatch{Index: i, Similarity: score}
	}
	slices.SortStableFunc(matches, func(a, b BatchSimilarityMatch) int { return cmp.Compare(b.Similarity, a.Similarity) })
	if topK > 0 && topK < len(matches) {
		matches = matches[:topK]
	}
	return &BatchSimilarityOutput{Matches: matches, ModelType: modelType, ProcessingTimeMs: milliseconds(started)}, nil
}

// GetEmbeddingModelsInfo describes every model type that a bundle can serve.
func GetEmbeddingModelsInfo() (*ModelsInfoOutput, error) {
	if withoutCgo {
		return nil, unavailableError{cachelora.ErrUnavailable}
	}
	served.mu.RLock()
	defer served.mu.RUnlock()
	infos := make([]ModelInfo, 0, len(modelTypes))
	for _, modelType := range modelTypes {
		info := ModelInfo{ModelName: modelType}
		if found := served.byType[modelType]; found != nil {
			info.IsLoaded = true
			info.MaxSequenceLength = found.embedder.MaxTokens()
			info.DefaultDimension = found.embedder.Dimension()
			info.ModelPath = found.directory
		}
		infos = append(infos, info)
	}
	return &ModelsInfoOutput{Models: infos}, nil
}

// SetMemoryCleanupHandler does nothing: there is no memory here that a signal would have to give back.
func SetMemoryCleanupHandler() {}
