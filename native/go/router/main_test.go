package router_test

import (
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"
	"testing"
	"time"
)

// No test leaves a goroutine behind. This module needs no other, so it counts them itself; the module conformance
// asks goleak too.
func TestMain(m *testing.M) {
	before := runtime.NumGoroutine()
	status := m.Run()
	for deadline := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > before; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			fmt.Fprintf(os.Stderr, "%d goroutines were left:\n", runtime.NumGoroutine()-before)
			_ = pprof.Lookup("goroutine").WriteTo(os.Stderr, 2)
			status = 1
			break
		}
	}
	os.Exit(status)
}
