package router

import (
	"runtime"
	"sync"
)

// spare is how much of GOMAXPROCS was added by Providers that are open.
var spare struct {
	mu    sync.Mutex
	procs int
}

// WithSpareProcs raises GOMAXPROCS by the number of workers until the Provider is closed. Programs that answer
// requests while texts are embedded, as servers do, should use it.
//
// A goroutine that computes in C occupies one of GOMAXPROCS places of Go's scheduler, and the runtime takes the place
// back only when its monitor comes by, up to ten milliseconds later. With as many workers as places, all else in the
// program then waits for a computation to end: goroutines that accept requests, that write answers, that have nothing
// to do with embedding. Spare places leave the cores to those goroutines as to any thread of the system. No more texts
// are computed at a time than without them.
//
// It is an option because it changes the whole program: GOMAXPROCS is one number for all of it, the runtime no longer
// follows a changed limit of the container, and changing it stops the program for some microseconds. Several
// Providers add up.
func WithSpareProcs() Option {
	return func(p *Provider) { p.spare = true }
}

// spareProcs adds change to GOMAXPROCS.
func spareProcs(change int) {
	spare.mu.Lock()
	defer spare.mu.Unlock()
	spare.procs += change
	// Relative, so that what the program itself sets meanwhile stays.
	runtime.GOMAXPROCS(max(1, runtime.GOMAXPROCS(0)+change))
}

// defaultWorkers is how many goroutines can compute at a time: never more than there are cores, whatever GOMAXPROCS is.
func defaultWorkers() int {
	spare.mu.Lock()
	defer spare.mu.Unlock()
	return max(1, min(runtime.GOMAXPROCS(0)-spare.procs, runtime.NumCPU()))
}
