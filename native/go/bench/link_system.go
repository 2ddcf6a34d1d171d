//go:build cgo && !nocgo && cachelora_system

package main

// As the core package links it with this build tag.

// #cgo pkg-config: cachelora
import "C"
