//go:build !cgo || nocgo

package candle_binding

const withoutCgo = true
