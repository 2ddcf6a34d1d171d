//go:build !cgo || nocgo

package candle_binding

import (
	"errors"
	"testing"

	cachelora "github.com/cachelora/cachelora/native/go"
)

func TestWithoutCgoEveryCallIsUnavailable(t *testing.T) {
	for name, err := range map[string]error{
		"InitModel":                InitModel("bundle", true),
		"InitEmbeddingModels":      InitEmbeddingModels("bundle", "", "", true),
		"InitMmBertEmbeddingModel": InitMmBertEmbeddingModel("bundle", true),
		"GetEmbedding":             second(GetEmbedding("how", 0)),
		"GetEmbeddingBatched":      second(GetEmbeddingBatched("how", "qwen3", 0)),
		"GetEmbeddingModelsInfo":   second(GetEmbeddingModelsInfo()),
		"CalculateSimilarityBatch": second(CalculateSimilarityBatch("how", []string{"card"}, 0, "bert", 0)),
	} {
		if !errors.Is(err, cachelora.ErrUnavailable) || !errors.Is(err, ErrBackendUnavailable) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := second(ClassifyText("how")); !errors.Is(err, ErrBackendUnavailable) {
		t.Errorf("ClassifyText: %v", err)
	}
	if CalculateSimilarity("how", "card", 0) != -1 || FindMostSimilar("how", []string{"card"}, 0).Index != -1 {
		t.Error("a similarity without a model")
	}
}

func second[T any](_ T, err error) error { return err }
