package main

import (
	"math"
	"runtime"
	"testing"
	"time"
)

// What this program itself does is no neighbour's; the clock of /proc/stat has steps of a hundredth of a second, and a
// machine that is used by others may say anything up to all of it.
func TestNeighbours(t *testing.T) {
	machine := watchNeighbours()
	for start := time.Now(); time.Since(start) < 50*time.Millisecond; {
	}
	share := machine.share()
	if runtime.GOOS != "linux" {
		if share != -1 {
			t.Errorf("%v where nobody can tell", share)
		}
		return
	}
	if math.IsNaN(busySeconds()) || share < 0 || share > 1.5 {
		t.Errorf("%v", share)
	}
}
