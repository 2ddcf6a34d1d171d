//go:build cgo && !nocgo

package prometheus_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	client "github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/client_golang/prometheus/testutil"

	cachelora "github.com/cachelora/cachelora/native/go"
	"github.com/cachelora/cachelora/native/go/router"
	"github.com/cachelora/cachelora/native/go/router/prometheus"
)

func TestAScrapeShowsTheCounters(t *testing.T) {
	directory := os.Getenv("CACHELORA_TEST_TINY")
	if directory == "" {
		t.Fatal("CACHELORA_TEST_TINY names the directory that `python tests/tiny_bundle.py DIRECTORY` wrote; `make test-go` sets it")
	}
	embedder, err := cachelora.Open(filepath.Join(directory, "bundle"))
	if err != nil {
		t.Fatal(err)
	}
	defer embedder.Close()
	first, second := router.New(embedder, router.WithWorkers(2)), router.New(embedder)
	defer first.Close()
	defer second.Close()
	if _, err := first.EmbedBatch(context.Background(), []string{"how", "card", "law", "reset"}); err != nil {
		t.Fatal(err)
	}
	if _, err := first.Embed(context.Background(), "my\xff"); err == nil {
		t.Fatal("accepted")
	}

	registry := client.NewPedanticRegistry()
	registry.MustRegister(
		prometheus.NewCollector(first, client.Labels{"bundle": "first"}),
		prometheus.NewCollector(second, client.Labels{"bundle": "second"}))
	server := httptest.NewServer(promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	defer server.Close()
	response, err := http.Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	page, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		`cachelora_texts_total{bundle="first"} 4`, `cachelora_batches_total{bundle="first"} 2`,
		`cachelora_failures_total{bundle="first"} 1`, `cachelora_workers{bundle="first"} 2`,
		`cachelora_texts_total{bundle="second"} 0`, `# TYPE cachelora_compute_seconds_total counter`,
		`# TYPE cachelora_waiting_texts gauge`,
	} {
		if !strings.Contains(string(page), line+"\n") {
			t.Errorf("%s is missing in\n%s", line, page)
		}
	}
	// Every counter of a snapshot has its metric.
	if count, err := testutil.GatherAndCount(registry); err != nil || count != 2*reflect.TypeFor[router.Snapshot]().NumField() {
		t.Errorf("%d metrics, %v", count, err)
	}
	if problems, err := testutil.GatherAndLint(registry); err != nil || len(problems) != 0 {
		t.Errorf("%+v, %v", problems, err)
	}
}
