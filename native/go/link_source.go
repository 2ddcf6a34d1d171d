//go:build cgo && !nocgo && !cachelora_system

package cachelora

// Inside a checkout the library is the one that `make` built; the program finds it again by its run path.

// #cgo LDFLAGS: -L${SRCDIR}/../../target/release -lcachelora -Wl,-rpath,${SRCDIR}/../../target/release
import "C"
