package main

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// spread is the median with the 5th and the 95th percentile.
type spread struct {
	Median float64 `json:"median"`
	P5     float64 `json:"p5"`
	P95    float64 `json:"p95"`
}

func spreadOf(values []float64) spread {
	sorted := slices.Sorted(slices.Values(values))
	return spread{Median: percentile(sorted, 50), P5: percentile(sorted, 5), P95: percentile(sorted, 95)}
}

func (s spread) show(format, unit string) string {
	return strings.TrimSpace(fmt.Sprintf(format+" ("+format+" - "+format+") %s", s.Median, s.P5, s.P95, unit))
}

// percentile returns the p-th percentile of sorted values, between two of them by their distance.
func percentile(sorted []float64, p float64) float64 {
	place := p / 100 * float64(len(sorted)-1)
	below := int(math.Floor(place))
	above := min(below+1, len(sorted)-1)
	return sorted[below] + (sorted[above]-sorted[below])*(place-float64(below))
}

func mean(values []float64) float64 {
	var sum float64
	for _, value := range values {
		sum += value
	}
	return sum / float64(len(values))
}
