//go:build !cgo || nocgo

package prometheus_test

import (
	"context"
	"errors"
	"testing"

	client "github.com/prometheus/client_golang/prometheus"

	cachelora "github.com/cachelora/cachelora/native/go"
	"github.com/cachelora/cachelora/native/go/router"
	"github.com/cachelora/cachelora/native/go/router/prometheus"
)

func TestWithoutCgoFailuresAreCounted(t *testing.T) {
	provider := router.New(&cachelora.Embedder{})
	defer provider.Close()
	if _, err := provider.Embed(context.Background(), "how"); !errors.Is(err, cachelora.ErrUnavailable) {
		t.Errorf("Embed: %v", err)
	}
	registry := client.NewRegistry()
	registry.MustRegister(prometheus.NewCollector(provider, nil))
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if name := family.GetName(); name == "cachelora_failures_total" {
			if got := family.GetMetric()[0].GetCounter().GetValue(); got != 1 {
				t.Errorf("%s: %v", name, got)
			}
			return
		}
	}
	t.Errorf("no counter of failures in %v", families)
}
