package main

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	cachelora "github.com/cachelora/cachelora/native/go"
	"github.com/cachelora/cachelora/native/go/router"
)

// throughput is what many goroutines on all cores embed beside one on one.
type throughput struct {
	Unit       string `json:"unit"`
	Goroutines int    `json:"goroutines"`
	Cores      int    `json:"cores"`
	Rounds     int    `json:"rounds"`
	// TextsPerTurn is how many texts each turn embeds: the whole list, some times over.
	TextsPerTurn int    `json:"texts_per_turn"`
	Alone        spread `json:"one_goroutine"`
	Together     spread `json:"router"`
	// Ratio is Together / Alone within each round; ProcessorRatio is that of the processor seconds per text.
	Ratio          spread  `json:"times_one_goroutine"`
	ProcessorRatio spread  `json:"processor_seconds_times_one_goroutine"`
	Target         float64 `json:"target_at_least"`
	Neighbours     float64 `json:"neighbours_share_of_cores"`
}

// Rounds of throughput; each is two turns of equal work.
const throughputRounds = 10

// turn is what one of them took.
type turn struct{ wall, processor float64 }

func measureThroughput(
	embedder *cachelora.Embedder, texts []string, goroutines int, duration time.Duration, opts ...router.Option,
) (throughput, error) {
	alone := func(times int) (turn, error) {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		return timed(func() error {
			for i := range times * len(texts) {
				if _, err := embedder.Embed(context.Background(), texts[i%len(texts)]); err != nil {
					return err
				}
			}
			return nil
		})
	}
	together := func(times int) (turn, error) {
		provider := router.New(embedder, opts...)
		defer provider.Close()
		return timed(func() error {
			return share(times*len(texts), goroutines, func(i int) error {
				_, err := provider.Embed(context.Background(), texts[i%len(texts)])
				return err
			})
		})
	}
	// The first turns warm both up, and say how often the list fits into a turn.
	once, err := alone(1)
	if err != nil {
		return throughput{}, err
	}
	if _, err := together(1); err != nil {
		return throughput{}, err
	}
	// A round is a turn on one core and one on two, that is one and a half.
	times := max(1, int(duration.Seconds()/throughputRounds/1.5/once.wall))
	work := float64(times * len(texts))
	found := throughput{
		Unit: "texts per second", Goroutines: goroutines, Cores: cores, Rounds: throughputRounds,
		TextsPerTurn: times * len(texts), Target: targetThroughput,
	}
	var one, many, ratio, processor []float64
	machine := watchNeighbours()
	for i := range throughputRounds {
		var took [2]turn
		for j := range took {
			k := (i + j) % 2
			if took[k], err = []func(int) (turn, error){alone, together}[k](times); err != nil {
				return throughput{}, err
			}
		}
		one, many = append(one, work/took[0].wall), append(many, work/took[1].wall)
		ratio = append(ratio, took[0].wall/took[1].wall)
		processor = append(processor, took[1].processor/took[0].processor)
	}
	found.Neighbours = machine.share()
	found.Alone, found.Together = spreadOf(one), spreadOf(many)
	found.Ratio, found.ProcessorRatio = spreadOf(ratio), spreadOf(processor)
	return found, nil
}

// share calls with 0 to n - 1 on the given number of goroutines; each takes the next number that nobody has.
func share(n, goroutines int, call func(i int) error) error {
	var taken atomic.Int64
	var failure atomic.Pointer[error]
	var calls sync.WaitGroup
	for range goroutines {
		calls.Add(1)
		go func() {
			defer calls.Done()
			for {
				i := int(taken.Add(1)) - 1
				if i >= n {
					return
				}
				if err := call(i); err != nil {
					failure.CompareAndSwap(nil, &err)
					return
				}
			}
		}()
	}
	calls.Wait()
	if err := failure.Load(); err != nil {
		return *err
	}
	return nil
}

func timed(work func() error) (turn, error) {
	start, used := time.Now(), processorSeconds()
	err := work()
	return turn{time.Since(start).Seconds(), processorSeconds() - used}, err
}

// processorSeconds is what all threads of this process have used.
func processorSeconds() float64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1e9
}
