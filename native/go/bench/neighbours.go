package main

import (
	"bytes"
	"math"
	"os"
	"runtime"
	"strconv"
	"time"
)

// neighbours measures which share of the machine's cores others use while something is measured: programs beside this
// one, the system's own work, and what a virtual machine's host takes away. Where it is much above zero, times on the
// clock say little about this program.
type neighbours struct {
	started   time.Time
	all, ours float64
}

func watchNeighbours() neighbours {
	return neighbours{time.Now(), busySeconds(), processorSeconds()}
}

// share is from the time of watchNeighbours to now; -1 where the system does not tell.
func (n neighbours) share() float64 {
	others := (busySeconds() - n.all) - (processorSeconds() - n.ours)
	if math.IsNaN(others) {
		return -1
	}
	return max(0, others/(time.Since(n.started).Seconds()*float64(runtime.NumCPU())))
}

// busySeconds is how long the machine's cores were not idle since it started, from the first line of /proc/stat:
// "cpu", then user, nice, system, idle, iowait, irq, softirq, steal in hundredths of a second (proc(5)).
func busySeconds() float64 {
	content, err := os.ReadFile("/proc/stat")
	line, _, _ := bytes.Cut(content, []byte("\n"))
	fields := bytes.Fields(line)
	if err != nil || len(fields) < 9 {
		return math.NaN()
	}
	busy := 0.0
	for i, field := range fields[1:9] {
		if i == 3 || i == 4 {
			continue
		}
		hundredths, err := strconv.ParseFloat(string(field), 64)
		if err != nil {
			return math.NaN()
		}
		busy += hundredths / 100
	}
	return busy
}
