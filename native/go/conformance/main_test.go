//go:build cgo && !nocgo

package conformance

import (
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"
)

// bundle is the directory of a bundle of a tiny model of our own making.
var bundle string

func TestMain(m *testing.M) {
	directory := os.Getenv("CACHELORA_TEST_TINY")
	if directory == "" {
		panic("CACHELORA_TEST_TINY names the directory that `python tests/tiny_bundle.py DIRECTORY` wrote; `make test-go` sets it")
	}
	bundle = filepath.Join(directory, "bundle")
	goleak.VerifyTestMain(m)
}
