//go:build cgo && !nocgo && cachelora_system

package cachelora

// With the build tag cachelora_system the library is an installed one, found by pkg-config.

// #cgo pkg-config: cachelora
import "C"
