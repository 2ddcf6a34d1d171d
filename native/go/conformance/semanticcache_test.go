//go:build cgo && !nocgo

package conformance

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/cachelora/cachelora/native/go/semanticcache"
)

func TestTheSemanticCacheLeavesNoGoroutine(t *testing.T) {
	defer goleak.VerifyNone(t)
	config := filepath.Join(t.TempDir(), "config.yaml")
	content := "semantic_cache: {enabled: true, backend_type: memory, similarity_threshold: 0.9, lora_model: " + bundle + "}\n"
	if err := os.WriteFile(config, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		cache, err := semanticcache.Open(context.Background(), config)
		if err != nil {
			t.Fatal(err)
		}
		batch := make([]string, 50)
		// Ends while the batch is computed, or after it.
		ctx, stop := context.WithTimeout(context.Background(), 2*time.Millisecond)
		_, _ = cache.Provider.EmbedBatch(ctx, batch)
		stop()
		if _, err := cache.Provider.EmbedBatch(context.Background(), batch); err != nil {
			t.Error(err)
		}
		if err := cache.Close(); err != nil {
			t.Error(err)
		}
	}
}
