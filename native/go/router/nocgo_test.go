//go:build !cgo || nocgo

package router_test

import (
	"context"
	"errors"
	"testing"

	cachelora "github.com/cachelora/cachelora/native/go"
	"github.com/cachelora/cachelora/native/go/router"
)

func TestWithoutCgoEveryCallIsUnavailable(t *testing.T) {
	provider := router.New(&cachelora.Embedder{})
	if _, err := provider.Embed(context.Background(), "how"); !errors.Is(err, cachelora.ErrUnavailable) {
		t.Errorf("Embed: %v", err)
	}
	if _, err := provider.EmbedBatch(context.Background(), []string{"how", "card"}); !errors.Is(err, cachelora.ErrUnavailable) {
		t.Errorf("EmbedBatch: %v", err)
	}
	if provider.Backend() != "unavailable" || provider.Dimension() != 0 {
		t.Errorf("%s, %d", provider.Backend(), provider.Dimension())
	}
	if err := provider.Close(); err != nil {
		t.Error(err)
	}
	if counted := provider.Snapshot(); counted.Failures < 2 || counted.Texts != 0 || counted.Running != 0 {
		t.Errorf("%+v", counted)
	}
}
