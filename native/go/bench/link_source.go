//go:build cgo && !nocgo && !cachelora_system

package main

// As the core package links it; every package that calls C names its libraries itself.

// #cgo LDFLAGS: -L${SRCDIR}/../../../target/release -lcachelora -Wl,-rpath,${SRCDIR}/../../../target/release
import "C"
