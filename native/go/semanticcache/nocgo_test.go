//go:build !cgo || nocgo

package semanticcache

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	cachelora "github.com/cachelora/cachelora/native/go"
)

func TestWithoutCgoOpenIsUnavailable(t *testing.T) {
	directory := t.TempDir()
	config := filepath.Join(directory, "config.yaml")
	for path, content := range map[string]string{
		config: "semantic_cache: {enabled: true, backend_type: memory, lora_model: " + directory + "}\n",
		filepath.Join(directory, "cachelora.json"): "{}",
	} {
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Open(context.Background(), config); !errors.Is(err, cachelora.ErrUnavailable) {
		t.Errorf("Open: %v", err)
	}
}
