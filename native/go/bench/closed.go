package main

import (
	"context"
	"time"

	cachelora "github.com/cachelora/cachelora/native/go"
	"github.com/cachelora/cachelora/native/go/router"
)

// closedResult is what callers wait who ask again as soon as they have an answer: the load under which the throughput is
// measured. Nobody is idle then, so the most that a queue can do is to serve the callers in turn.
type closedResult struct {
	Unit       string `json:"unit"`
	Goroutines int    `json:"goroutines"`
	Calls      int    `json:"calls"`
	// Observed is from the call to the answer. Queue is a queue with as many servers as cores and as many callers as
	// goroutines, with the computing times of this run; see [closedSojourns].
	Observed   times50and99 `json:"observed"`
	Queue      times50and99 `json:"queue"`
	RatioP99   float64      `json:"p99_times_queue"`
	Target     float64      `json:"target_p99_at_most"`
	Neighbours float64      `json:"neighbours_share_of_cores"`
}

// measureClosed takes about duration, where capacity is the router's throughput.
func measureClosed(
	embedder *cachelora.Embedder, texts []string, goroutines int, capacity float64, duration time.Duration,
	opts ...router.Option,
) (closedResult, error) {
	observed := observe(embedder)
	provider := router.New(observed, opts...)
	defer provider.Close()
	n := max(10*goroutines, int(capacity*duration.Seconds()))
	chosen := make([]int, n)
	for i := range chosen {
		chosen[i] = i % len(texts)
	}
	asked, took := copies(texts, chosen), make([]float64, n)
	machine := watchNeighbours()
	err := share(n, goroutines, func(i int) error {
		start := time.Now()
		_, err := provider.Embed(context.Background(), asked[i])
		took[i] = time.Since(start).Seconds()
		return err
	})
	if err != nil {
		return closedResult{}, err
	}
	neighbours := machine.share()
	computed := observed.seconds(asked)
	found := closedResult{
		Unit: "milliseconds", Goroutines: goroutines, Calls: n, Target: targetLoad, Neighbours: neighbours,
		Observed: milliseconds(took),
		Queue:    milliseconds(closedSojourns(goroutines, func(i int) float64 { return computed[i] }, n, cores)),
	}
	found.RatioP99 = found.Observed.P99 / found.Queue.P99
	return found, nil
}
