package main

import (
	"os"
	"syscall"
	"time"
	"unsafe"
)

// alarm wakes a goroutine as a request from the network would: through a descriptor that the runtime's poller watches.
// So what keeps the poller from running in a server is part of what is measured. It is also exact to some tens of
// microseconds; time.Sleep rounds up to a millisecond while the program is idle.
type alarm struct {
	file *os.File
	fd   uintptr
}

func newAlarm() (*alarm, error) {
	const monotonic = 1
	fd, _, errno := syscall.Syscall(syscall.SYS_TIMERFD_CREATE, monotonic, syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if errno != 0 {
		return nil, os.NewSyscallError("timerfd_create", errno)
	}
	return &alarm{os.NewFile(fd, "timerfd"), fd}, nil
}

// sleep returns after d.
func (a *alarm) sleep(d time.Duration) error {
	if d <= 0 {
		return nil
	}
	// struct itimerspec: no interval, and the time from now.
	once := [2]syscall.Timespec{{}, syscall.NsecToTimespec(d.Nanoseconds())}
	if _, _, errno := syscall.Syscall6(syscall.SYS_TIMERFD_SETTIME, a.fd, 0, uintptr(unsafe.Pointer(&once)), 0, 0, 0); errno != 0 {
		return os.NewSyscallError("timerfd_settime", errno)
	}
	var expirations [8]byte
	_, err := a.file.Read(expirations[:])
	return err
}

func (a *alarm) close() error { return a.file.Close() }
