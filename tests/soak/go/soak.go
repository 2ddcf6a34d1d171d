// Command soak embeds the same texts round and round from Go, on several threads; see README.md.
//
//	soak-go BUNDLE SECONDS [leak|flip]
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	cachelora "github.com/cachelora/cachelora/native/go"
)

const (
	texts   = 32
	threads = 2         // no more than there are cores: see README.md
	lostPer = 64 * 1024 // bytes a round, where a leak was asked for
)

// soak is what the goroutines share.
type soak struct {
	embedder   *cachelora.Embedder
	texts      []string
	firstAlone [][]float32
	firstBatch [][]float32
	leak       bool

	stop           atomic.Bool
	calls, vectors atomic.Uint64
	// Held for reading while a goroutine makes its calls, and for writing while the memory is looked at.
	quiet sync.RWMutex
}

func main() {
	var seconds float64
	var fault string
	if len(os.Args) == 4 {
		fault = os.Args[3]
	}
	if len(os.Args) == 3 || fault == "leak" || fault == "flip" {
		seconds, _ = strconv.ParseFloat(os.Args[2], 64)
	}
	if !(seconds > 0) {
		fmt.Fprintf(os.Stderr, "usage: %s BUNDLE SECONDS [leak|flip]\n", os.Args[0])
		os.Exit(2)
	}
	if err := run(os.Args[1], time.Duration(seconds*1e9), fault); err != nil {
		fmt.Fprintln(os.Stderr, "soak-go:", err)
		os.Exit(1)
	}
}

func makeTexts() []string {
	words := strings.Fields("how can i reset my password card refund law court doctor")
	lengths := []int{0, 1, 4, 9, 16, 40, 100, 300}
	made := make([]string, texts)
	for i := range made {
		chosen := make([]string, lengths[i%len(lengths)])
		for j := range chosen {
			chosen[j] = words[(5*i+j)%len(words)]
		}
		made[i] = strings.Join(chosen, " ")
	}
	return made
}

func run(bundle string, duration time.Duration, fault string) error {
	embedder, err := cachelora.Open(bundle)
	if err != nil {
		return err
	}
	defer embedder.Close()
	s := &soak{embedder: embedder, texts: makeTexts(), leak: fault == "leak"}
	for _, text := range s.texts {
		vector, err := embedder.Embed(context.Background(), text)
		if err != nil {
			return err
		}
		s.firstAlone = append(s.firstAlone, vector)
	}
	if s.firstBatch, err = embedder.EmbedBatch(context.Background(), s.texts); err != nil {
		return err
	}
	if fault == "flip" {
		s.firstAlone[5][0] = -s.firstAlone[5][0]
	}

	failures := make([]error, threads)
	var running sync.WaitGroup
	for t := range failures {
		running.Add(1)
		go func() {
			defer running.Done()
			// A thread of its own, as in the other programs.
			runtime.LockOSThread()
			failures[t] = s.repeat()
			s.stop.Store(true)
		}()
	}
	memory, err := s.watch(duration)
	s.stop.Store(true)
	running.Wait()
	if failure := errors.Join(append(failures, err)...); failure != nil {
		return failure
	}
	bound := max(memory.level/100, 256)
	fmt.Printf("soak-go: %d calls, %d vectors; resident %d KiB after warm-up, %d at the end, growth at most %+d (%d allowed)\n",
		s.calls.Load(), s.vectors.Load(), memory.level, memory.end, memory.most-memory.level, bound)
	if memory.most > memory.level+bound {
		return fmt.Errorf("resident memory grew by %d KiB; at most %d were expected", memory.most-memory.level, bound)
	}
	return nil
}

// repeat embeds all texts until it is told to stop, and compares each vector with its first.
func (s *soak) repeat() error {
	var kept [][]byte
	defer func() { runtime.KeepAlive(kept) }()
	for !s.stop.Load() {
		// A failure has a message of its own, which must be freed too.
		if _, err := s.embedder.Threshold("none", 0.5); !errors.Is(err, cachelora.ErrNotCalibrated) {
			return fmt.Errorf("a threshold of a domain that is none: %v", err)
		}
		s.calls.Add(1)
		if err := s.round(); err != nil {
			return err
		}
		if s.leak {
			lost := make([]byte, lostPer)
			for i := range lost {
				lost[i] = 1
			}
			kept = append(kept, lost)
		}
	}
	return nil
}

func (s *soak) round() error {
	s.quiet.RLock()
	defer s.quiet.RUnlock()
	if err := s.oneByOne(); err != nil {
		return err
	}
	return s.batch()
}

func (s *soak) oneByOne() error {
	for i, text := range s.texts {
		if s.stop.Load() {
			break
		}
		vector, err := s.embedder.Embed(context.Background(), text)
		if err != nil {
			return err
		}
		s.calls.Add(1)
		s.vectors.Add(1)
		if !same(vector, s.firstAlone[i]) {
			return fmt.Errorf("text %d: its vector differs from its first", i)
		}
	}
	return nil
}

func (s *soak) batch() error {
	vectors, err := s.embedder.EmbedBatch(context.Background(), s.texts)
	if err != nil {
		return err
	}
	s.calls.Add(1)
	s.vectors.Add(texts)
	for i, vector := range vectors {
		if !same(vector, s.firstBatch[i]) {
			return fmt.Errorf("text %d: its vector of a batch differs from its first", i)
		}
	}
	return nil
}
