// Package cachelora turns questions into unit vectors with the model of one bundle and says from which
// similarity on a cached answer may be reused.
//
//	embedder, err := cachelora.Open("bundle")
//	if err != nil {
//		return err
//	}
//	defer embedder.Close()
//	vector, err := embedder.Embed(ctx, "How do I reset my password?")
//
// An Embedder is safe for any number of goroutines; there is no lock around inference and one copy of
// the weights. The package links libcachelora through cgo; without cgo, or with the build tag nocgo,
// it compiles and every call returns [ErrUnavailable].
package cachelora

import "context"

// InputInfo says what became of one text.
type InputInfo struct {
	// Tokens is the true number of tokens of the whole text, special tokens included.
	Tokens int
	// Truncated is whether only the first MaxTokens of them were used.
	Truncated bool
}

// provider is the interface that semantic routers ask of an embedding backend; see
// Provider in src/semantic-router/pkg/embedding of the vLLM semantic router.
type provider interface {
	Embed(ctx context.Context, text string) ([]float32, error)
	EmbedBatch(ctx context.Context, texts []string) ([][]float32, error)
	Dimension() int
	Backend() string
}

var _ provider = (*Embedder)(nil)

// Similarity returns the cosine of two vectors that the same bundle made, from -1 to 1.
//
// It panics if their lengths differ, as an index out of range would.
func Similarity(a, b []float32) float32 {
	if len(a) != len(b) {
		panic("cachelora: vectors of different dimensions can't be compared")
	}
	// Double precision and index order, as in the core: every language decides alike.
	var dot float64
	for i, x := range a {
		dot += float64(x) * float64(b[i])
	}
	return float32(dot)
}
