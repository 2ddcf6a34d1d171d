package main

import (
	"math/rand/v2"
	"slices"
)

// arrivals returns n times in seconds, ascending from 0 on, of a Poisson process of the given rate per second.
func arrivals(random *rand.Rand, rate float64, n int) []float64 {
	times := make([]float64, n)
	now := 0.0
	for i := range times {
		now += random.ExpFloat64() / rate
		times[i] = now
	}
	return times
}

// sojourns returns, in seconds, how long each customer is in a queue with several servers, from its arrival to the
// end of its service, where all wait in one line and the first that came is served first.
//
// It is the recursion of Kiefer and Wolfowitz ("On the theory of queues with many servers", Transactions of the
// American Mathematical Society 78, 1955): a customer goes to the server that is free first. With Poisson arrivals
// and independent services it samples M/G/c, whose waiting times have no closed form for more than one server
// (Kleinrock, Queueing Systems, volume I, 1975, has M/M/c in section 3.5 and M/G/1 in chapter 5).
func sojourns(arrived []float64, service func(customer int) float64, servers int) []float64 {
	free := make([]float64, servers)
	found := make([]float64, len(arrived))
	for i, at := range arrived {
		found[i] = serve(free, at, service(i)) - at
	}
	return found
}

// serve gives a customer that comes at a time to the server that is free first, and returns when it has been served.
// free holds when each server is free.
func serve(free []float64, at, service float64) float64 {
	first := 0
	for s := range free {
		if free[s] < free[first] {
			first = s
		}
	}
	free[first] = max(free[first], at) + service
	return free[first]
}

// closedSojourns is [sojourns] for a fixed number of callers that each come again as soon as it is served, a
// closed queue.
func closedSojourns(callers int, service func(customer int) float64, customers, servers int) []float64 {
	free := make([]float64, servers)
	// When each caller comes again, ascending: who is served first comes first.
	coming := make([]float64, callers)
	found := make([]float64, customers)
	for i := range found {
		at := coming[0]
		end := serve(free, at, service(i))
		found[i] = end - at
		place, _ := slices.BinarySearch(coming[1:], end)
		copy(coming, coming[1:place+1])
		coming[place] = end
	}
	return found
}
