package main

import (
	"syscall"
	"time"
)

// sleep returns after d, some tens of microseconds late. time.Sleep rounds up to a millisecond while the program is
// idle, which is longer than a short text takes.
func sleep(d time.Duration) {
	if d <= 0 {
		return
	}
	rest := syscall.NsecToTimespec(d.Nanoseconds())
	for syscall.Nanosleep(&rest, &rest) == syscall.EINTR {
	}
}
