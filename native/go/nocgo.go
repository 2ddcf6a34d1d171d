//go:build !cgo || nocgo

package cachelora

import "context"

// Embedder is an opened bundle; without cgo there is none.
type Embedder struct{}

// Open returns [ErrUnavailable].
func Open(string, ...Option) (*Embedder, error) { return nil, ErrUnavailable }

// Embed returns [ErrUnavailable].
func (*Embedder) Embed(context.Context, string) ([]float32, error) { return nil, ErrUnavailable }

// EmbedWithInfo returns [ErrUnavailable].
func (*Embedder) EmbedWithInfo(context.Context, string) ([]float32, InputInfo, error) {
	return nil, InputInfo{}, ErrUnavailable
}

// EmbedBatch returns [ErrUnavailable].
func (*Embedder) EmbedBatch(context.Context, []string) ([][]float32, error) {
	return nil, ErrUnavailable
}

// EmbedBatchWithInfo returns [ErrUnavailable].
func (*Embedder) EmbedBatchWithInfo(context.Context, []string) ([][]float32, []InputInfo, error) {
	return nil, nil, ErrUnavailable
}

// Threshold returns [ErrUnavailable].
func (*Embedder) Threshold(string, float64) (float32, error) { return 0, ErrUnavailable }

// Dimension returns 0.
func (*Embedder) Dimension() int { return 0 }

// MaxTokens returns 0.
func (*Embedder) MaxTokens() int { return 0 }

// Backend returns "unavailable".
func (*Embedder) Backend() string { return "unavailable" }

// Kernel returns an empty text.
func (*Embedder) Kernel() string { return "" }

// Fingerprint returns an empty text.
func (*Embedder) Fingerprint() string { return "" }

// Close returns [ErrUnavailable].
func (*Embedder) Close() error { return ErrUnavailable }
