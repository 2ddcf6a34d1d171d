//go:build !cgo || nocgo

package main

import (
	"errors"
	"io"
	"testing"
	"time"

	cachelora "github.com/cachelora/cachelora/native/go"
)

func TestWithoutCgoNothingIsMeasured(t *testing.T) {
	if err := run(settings{bundle: t.TempDir(), duration: time.Second}, io.Discard); !errors.Is(err, cachelora.ErrUnavailable) {
		t.Error(err)
	}
	if _, err := measureOverhead(&cachelora.Embedder{}, time.Second, false); !errors.Is(err, cachelora.ErrUnavailable) {
		t.Error(err)
	}
}
