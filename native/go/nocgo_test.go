//go:build !cgo || nocgo

package cachelora

import (
	"context"
	"errors"
	"testing"
)

func TestWithoutCgoEveryCallIsUnavailable(t *testing.T) {
	if _, err := Open("bundle"); !errors.Is(err, ErrUnavailable) {
		t.Errorf("Open: %v", err)
	}
	var embedder Embedder
	if _, err := embedder.Embed(context.Background(), "a"); !errors.Is(err, ErrUnavailable) {
		t.Errorf("Embed: %v", err)
	}
	if _, err := embedder.EmbedBatch(context.Background(), []string{"a"}); !errors.Is(err, ErrUnavailable) {
		t.Errorf("EmbedBatch: %v", err)
	}
	if _, err := embedder.Threshold("all", 0.05); !errors.Is(err, ErrUnavailable) {
		t.Errorf("Threshold: %v", err)
	}
}
