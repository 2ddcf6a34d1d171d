// Package prometheus shows a provider's counters to Prometheus. It is a module of its own, so that a program
// without Prometheus does not depend on it.
//
//	registry.MustRegister(prometheus.NewCollector(provider, client.Labels{"fingerprint": embedder.Fingerprint()}))
package prometheus

import (
	client "github.com/prometheus/client_golang/prometheus"

	"github.com/cachelora/cachelora/native/go/router"
)

// metric is one counter of a snapshot.
type metric struct {
	description *client.Desc
	kind        client.ValueType
	value       func(router.Snapshot) float64
}

// Collector is a prometheus.Collector of one provider. Its values are read at the moment of a scrape and belong
// together.
type Collector struct {
	provider *router.Provider
	metrics  []metric
}

var _ client.Collector = (*Collector)(nil)

// NewCollector returns a Collector whose metrics all carry labels, which tell several providers of one
// program apart; nil is none.
func NewCollector(provider *router.Provider, labels client.Labels) *Collector {
	c := &Collector{provider: provider}
	add := func(kind client.ValueType, name, help string, value func(router.Snapshot) float64) {
		c.metrics = append(c.metrics, metric{client.NewDesc("cachelora_"+name, help, nil, labels), kind, value})
	}
	counter := func(name, help string, value func(router.Snapshot) uint64) {
		add(client.CounterValue, name, help, func(s router.Snapshot) float64 { return float64(value(s)) })
	}
	gauge := func(name, help string, value func(router.Snapshot) int) {
		add(client.GaugeValue, name, help, func(s router.Snapshot) float64 { return float64(value(s)) })
	}
	counter("requests_total", "Accepted calls and parts of batches.", func(s router.Snapshot) uint64 { return s.Requests })
	counter("texts_total", "Embedded texts.", func(s router.Snapshot) uint64 { return s.Texts })
	counter("tokens_total", "Tokens of the embedded texts, those that were cut off included.", func(s router.Snapshot) uint64 { return s.Tokens })
	counter("truncated_texts_total", "Embedded texts with more tokens than the model reads.", func(s router.Snapshot) uint64 { return s.Truncated })
	counter("computations_total", "Runs of the model.", func(s router.Snapshot) uint64 { return s.Computations })
	counter("batches_total", "Runs of the model with several texts.", func(s router.Snapshot) uint64 { return s.Batches })
	counter("failures_total", "Errors of the model.", func(s router.Snapshot) uint64 { return s.Failures })
	counter("queue_full_total", "Calls refused because the queue was full.", func(s router.Snapshot) uint64 { return s.QueueFull })
	counter("cancelled_total", "Requests that ended in the queue.", func(s router.Snapshot) uint64 { return s.Cancelled })
	counter("dropped_total", "Requests that ended while they were computed.", func(s router.Snapshot) uint64 { return s.Dropped })
	add(client.CounterValue, "wait_seconds_total", "Time that requests spent in the queue.",
		func(s router.Snapshot) float64 { return s.WaitSeconds })
	add(client.CounterValue, "compute_seconds_total", "Time that workers spent in the model.",
		func(s router.Snapshot) float64 { return s.ComputeSeconds })
	gauge("waiting_texts", "Texts in the queue.", func(s router.Snapshot) int { return s.Waiting })
	gauge("waiting_texts_max", "The most texts that were in the queue.", func(s router.Snapshot) int { return s.MostWaiting })
	gauge("queue_limit", "How many texts the queue holds.", func(s router.Snapshot) int { return s.QueueLimit })
	gauge("busy_workers", "Workers that compute.", func(s router.Snapshot) int { return s.Running })
	gauge("workers", "Workers.", func(s router.Snapshot) int { return s.Workers })
	return c
}

// Describe sends the descriptions of the metrics.
func (c *Collector) Describe(descriptions chan<- *client.Desc) {
	for _, one := range c.metrics {
		descriptions <- one.description
	}
}

// Collect sends the metrics of one moment.
func (c *Collector) Collect(metrics chan<- client.Metric) {
	now := c.provider.Snapshot()
	for _, one := range c.metrics {
		metrics <- client.MustNewConstMetric(one.description, one.kind, one.value(now))
	}
}
