package main

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

func near(t *testing.T, what string, got, want, tolerance float64) {
	t.Helper()
	if math.Abs(got-want) > tolerance*want {
		t.Errorf("%s: %v, %v was expected", what, got, want)
	}
}

func TestSojournsByHand(t *testing.T) {
	services := []float64{4, 1, 5, 1}
	got := sojourns([]float64{0, 1, 2, 3}, func(i int) float64 { return services[i] }, 2)
	// The first server is busy until 4, the second from 1 to 2 and from 2 to 7; the last waits for the first.
	if want := []float64{4, 1, 5, 2}; !slices.Equal(got, want) {
		t.Errorf("%v, %v was expected", got, want)
	}
}

func TestClosedSojournsByHand(t *testing.T) {
	services := []float64{4, 1, 2, 3, 1}
	got := closedSojourns(3, func(i int) float64 { return services[i] }, 5, 2)
	// Served 0-4, 0-1, 1-3 (had waited from 0); who came again at 1 from 3 to 6, who came at 3 from 4 to 5.
	if want := []float64{4, 1, 3, 5, 2}; !slices.Equal(got, want) {
		t.Errorf("%v, %v was expected", got, want)
	}
}

// Little's law: the mean time in a queue that is never empty is callers / throughput, and that is servers / service.
func TestClosedQueueObeysLittlesLaw(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 0))
	found := closedSojourns(64, func(int) float64 { return random.ExpFloat64() }, 100_000, 2)
	near(t, "mean", mean(found), 64.0/2, 0.02)
}

// Erlang's C formula (Kleinrock, volume I, section 3.5): for two servers at utilisation u the mean time in the queue
// M/M/2 is the service's mean / (1 - u^2). The whole distribution of the waiting time is known too.
func TestMarkovianServiceIsErlangs(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 0))
	const u, n = 0.7, 1_000_000
	services := make([]float64, n)
	for i := range services {
		services[i] = random.ExpFloat64()
	}
	found := sojourns(arrivals(random, 2*u, n), func(i int) float64 { return services[i] }, 2)
	near(t, "mean", mean(found), 1/(1-u*u), 0.03)
	waits := make([]float64, n)
	for i := range waits {
		waits[i] = found[i] - services[i]
	}
	// P(wait > t) = C exp(-2 (1 - u) t) with C = 2 u^2 / (1 + u).
	probability := 2 * u * u / (1 + u)
	slices.Sort(waits)
	near(t, "p99 of waiting", percentile(waits, 99), math.Log(probability/0.01)/(2*(1-u)), 0.05)
}

// Pollaczek and Khinchine (Kleinrock, volume I, section 5.6): M/D/1 waits u / (2 (1 - u)) services in the mean.
func TestFixedServiceIsPollaczekKhinchines(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 0))
	const u = 0.7
	found := sojourns(arrivals(random, u, 1_000_000), func(int) float64 { return 1 }, 1)
	near(t, "mean", mean(found), 1+u/(2*(1-u)), 0.03)
}

func TestArrivalsArePoisson(t *testing.T) {
	times := arrivals(rand.New(rand.NewPCG(7, 0)), 50, 100_000)
	near(t, "rate", float64(len(times))/times[len(times)-1], 50, 0.02)
	// As many as arrive within a second vary as much as their mean is.
	counts := make([]float64, int(times[len(times)-1]))
	for _, at := range times {
		if second := int(at); second < len(counts) {
			counts[second]++
		}
	}
	average, variance := mean(counts), 0.0
	for _, count := range counts {
		variance += (count - average) * (count - average) / float64(len(counts))
	}
	near(t, "variance", variance, average, 0.1)
	if again := arrivals(rand.New(rand.NewPCG(7, 0)), 50, 100_000); !slices.Equal(times, again) {
		t.Error("one seed gave two sequences")
	}
}

func TestPercentile(t *testing.T) {
	sorted := []float64{1, 2, 3, 4, 5}
	for p, want := range map[float64]float64{0: 1, 50: 3, 75: 4, 90: 4.6, 100: 5} {
		if got := percentile(sorted, p); math.Abs(got-want) > 1e-12 {
			t.Errorf("p%v: %v, %v was expected", p, got, want)
		}
	}
}
