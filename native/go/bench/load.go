package main

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	cachelora "github.com/cachelora/cachelora/native/go"
	"github.com/cachelora/cachelora/native/go/router"
)

// times50and99 are milliseconds.
type times50and99 struct {
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
}

// loadResult is what callers wait at one utilisation.
type loadResult struct {
	Unit string `json:"unit"`
	// Utilisation is the share of the router's throughput that arrives; Rate is texts per second.
	Utilisation float64 `json:"utilisation"`
	Rate        float64 `json:"texts_per_second"`
	Arrivals    int     `json:"arrivals"`
	Seed        uint64  `json:"seed"`
	// ServiceMean is the mean time of a text alone, ServiceMeanUnderLoad that of a text of this run;
	// TheoryUtilisation is Rate * ServiceMean / cores.
	ServiceMean          float64 `json:"service_mean"`
	ServiceMeanUnderLoad float64 `json:"service_mean_under_load"`
	TheoryUtilisation    float64 `json:"theory_utilisation"`
	// Observed is from the arrival, as it was scheduled, to the answer. Lateness is how much after its time an
	// arrival called the router; it is part of Observed.
	Observed times50and99 `json:"observed"`
	Lateness times50and99 `json:"lateness"`
	// Queue is a queue of the same arrivals and the computing times of this run; Theory is M/G/c.
	Queue  times50and99 `json:"queue"`
	Theory times50and99 `json:"theory"`
	// SteadyP99 is M/G/c's after a million arrivals; far from Theory, the measurement was too short.
	SteadyP99     float64 `json:"theory_steady_state_p99"`
	RatioQueueP99 float64 `json:"p99_times_queue"`
	RatioP50      float64 `json:"p50_times_theory"`
	RatioP99      float64 `json:"p99_times_theory"`
	Target        float64 `json:"target_p99_at_most"`
	Neighbours    float64 `json:"neighbours_share_of_cores"`
}

const (
	// How often each text is timed alone.
	servicePasses = 20
	// How often the queue is simulated with the measured arrivals, each time with other service times.
	simulations = 50
	// Arrivals of the simulation of the steady state.
	steadyArrivals = 1_000_000
)

// measureLoad lets texts arrive at the router as a Poisson process, at the given share of its throughput, and
// compares the times that they take with those of two queues with ideal servers.
//
// The arrivals are open-loop: their times are drawn before, from a fixed seed, and none waits for an answer to
// another. A time counts from the moment at which the text should have arrived, so that a generator which comes too
// late, because all cores are busy, hides nothing (what is called coordinated omission). The generator is woken as a
// server is by the network, see [alarm], and each arrival has a goroutine, as a request to a server has.
//
// Both queues have as many servers as cores and serve first come, first served; see [sojourns].
//
//   - Queue has the very arrivals and the times that the encoder took for these texts in this run. What is above it is
//     what the router, Go's scheduler and the system's add: arrivals that come late, batches, goroutines that wait.
//   - Theory is M/G/c in Kendall's notation: the same arrivals, and service times from the empirical distribution of
//     the same text's times through the router with nothing else under way. It knows no caches that cores share, no
//     collector, and no neighbours on the machine either; that the encoder is slower beside them is in the ratio too.
func measureLoad(
	embedder *cachelora.Embedder, texts []string, utilisation, capacity float64, duration time.Duration, seed uint64,
	opts ...router.Option,
) (loadResult, error) {
	observed := observe(embedder)
	provider := router.New(observed, append(opts, router.WithQueue(1<<20))...)
	defer provider.Close()
	alone, err := timeAlone(provider, texts)
	if err != nil {
		return loadResult{}, err
	}
	random := rand.New(rand.NewPCG(seed, 0))
	rate := utilisation * capacity
	n := max(100, int(rate*duration.Seconds()))
	arrived := arrivals(random, rate, n)
	chosen := make([]int, n)
	for i := range chosen {
		chosen[i] = random.IntN(len(texts))
	}
	asked := copies(texts, chosen)
	machine := watchNeighbours()
	took, lateness, err := arrive(provider, asked, arrived)
	if err != nil {
		return loadResult{}, err
	}
	share := machine.share()
	computed := observed.seconds(asked)
	queue := sojourns(arrived, func(i int) float64 { return computed[i] }, cores)
	service := func(text int) float64 { return alone[text][random.IntN(len(alone[text]))] }
	var theory []float64
	for range simulations {
		theory = append(theory, sojourns(arrived, func(i int) float64 { return service(chosen[i]) }, cores)...)
	}
	steady := sojourns(arrivals(random, rate, steadyArrivals), func(int) float64 { return service(random.IntN(len(texts))) }, cores)
	serviceMean := mean(slices.Concat(alone...))
	found := loadResult{
		Unit: "milliseconds", Utilisation: utilisation, Rate: rate, Arrivals: n, Seed: seed,
		ServiceMean: serviceMean * 1000, ServiceMeanUnderLoad: mean(computed) * 1000,
		TheoryUtilisation: rate * serviceMean / cores,
		Observed:          milliseconds(took), Lateness: milliseconds(lateness),
		Queue: milliseconds(queue), Theory: milliseconds(theory), SteadyP99: milliseconds(steady).P99,
		Target: targetLoad, Neighbours: share,
	}
	found.RatioQueueP99 = found.Observed.P99 / found.Queue.P99
	found.RatioP50, found.RatioP99 = found.Observed.P50/found.Theory.P50, found.Observed.P99/found.Theory.P99
	return found, nil
}

// timeAlone returns the seconds of several calls with each text while nothing else is under way.
func timeAlone(provider *router.Provider, texts []string) ([][]float64, error) {
	found := make([][]float64, len(texts))
	// The whole list each time, so that what else the machine does is spread over all texts.
	for range servicePasses {
		for i, text := range texts {
			start := time.Now()
			if _, err := provider.Embed(context.Background(), text); err != nil {
				return nil, err
			}
			found[i] = append(found[i], time.Since(start).Seconds())
		}
	}
	return found, nil
}

// arrive calls the provider with a text at each of the given times, on a goroutine of its own; it returns the seconds
// from these times to the answers, and to the calls.
func arrive(provider *router.Provider, texts []string, arrived []float64) (took, lateness []float64, err error) {
	took, lateness = make([]float64, len(arrived)), make([]float64, len(arrived))
	failures := make([]error, len(arrived))
	generator, err := newAlarm()
	if err != nil {
		return nil, nil, err
	}
	defer generator.close()
	var calls sync.WaitGroup
	start := time.Now()
	for i, at := range arrived {
		due := start.Add(time.Duration(at * 1e9))
		if err := generator.sleep(time.Until(due)); err != nil {
			calls.Wait()
			return nil, nil, err
		}
		calls.Add(1)
		go func() {
			defer calls.Done()
			lateness[i] = time.Since(due).Seconds()
			_, failures[i] = provider.Embed(context.Background(), texts[i])
			took[i] = time.Since(due).Seconds()
		}()
	}
	calls.Wait()
	for _, failure := range failures {
		if failure != nil {
			return nil, nil, failure
		}
	}
	return took, lateness, nil
}

func milliseconds(seconds []float64) times50and99 {
	sorted := slices.Sorted(slices.Values(seconds))
	return times50and99{percentile(sorted, 50) * 1000, percentile(sorted, 99) * 1000}
}
