//go:build !cgo || nocgo

package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	cachelora "github.com/cachelora/cachelora/native/go"
)

func TestWithoutCgoTheCommandSaysSo(t *testing.T) {
	bundle := t.TempDir()
	if err := os.WriteFile(filepath.Join(bundle, "cachelora.json"), []byte("{}"), 0o644); err != nil {
		t.Fatal(err)
	}
	s := settings{bundle: bundle, upstream: "http://127.0.0.1:1"}
	if err := run(context.Background(), s); !errors.Is(err, cachelora.ErrUnavailable) {
		t.Errorf("run: %v", err)
	}
}
