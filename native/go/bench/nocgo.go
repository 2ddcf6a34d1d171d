//go:build !cgo || nocgo

package main

import (
	"time"

	cachelora "github.com/cachelora/cachelora/native/go"
)

func measureOverhead(*cachelora.Embedder, time.Duration, bool) (overhead, error) {
	return overhead{}, cachelora.ErrUnavailable
}
