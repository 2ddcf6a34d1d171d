package main

import (
	"errors"
	"fmt"
	"math"
	"os"
	"runtime/debug"
	"strings"
	"time"
)

// How often the memory is looked at before the time begins.
const settling = 20

// memory is what was resident, in KiB: at the end of the warm-up, at most after it, and last.
type memory struct{ level, most, end int }

// watch samples the resident memory for as long as duration, or until a goroutine stops all.
func (s *soak) watch(duration time.Duration) (memory, error) {
	var found memory
	var err error
	// The collector's own structures have their size only after it ran some times, each with a round in between.
	for range settling {
		if _, err = s.sample(); err != nil {
			return memory{}, err
		}
		time.Sleep(time.Millisecond)
	}
	start, warm, interval := time.Now(), duration/10, min(duration/30, time.Second)
	for !s.stop.Load() && time.Since(start) < duration {
		time.Sleep(interval)
		if found.end, err = s.sample(); err != nil {
			return memory{}, err
		}
		switch elapsed := time.Since(start); {
		case elapsed > warm && found.level > 0:
			found.most = max(found.most, found.end)
		case elapsed > warm/2:
			// The second half of the warm-up: what opening needed for a moment is no measure.
			found.level = max(found.level, found.end)
		}
	}
	return found, nil
}

// sample returns what is resident without garbage: what the collector would find is no growth, and how much of it there
// is changes from moment to moment.
func (s *soak) sample() (int, error) {
	s.quiet.Lock()
	defer s.quiet.Unlock()
	debug.FreeOSMemory()
	return resident()
}

// resident returns this process's resident memory in KiB.
func resident() (int, error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		var kib int
		if _, err := fmt.Sscanf(line, "VmRSS: %d kB", &kib); err == nil {
			return kib, nil
		}
	}
	return 0, errors.New("/proc/self/status names no VmRSS")
}

// same reports whether two vectors have the same bits.
func same(a, b []float32) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if math.Float32bits(a[i]) != math.Float32bits(b[i]) {
			return false
		}
	}
	return true
}
