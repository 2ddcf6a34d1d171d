//go:build cgo && !nocgo

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	cachelora "github.com/cachelora/cachelora/native/go"
)

func tiny(t *testing.T) string {
	t.Helper()
	directory := os.Getenv("CACHELORA_TEST_TINY")
	if directory == "" {
		t.Fatal("CACHELORA_TEST_TINY names the directory that `python tests/tiny_bundle.py DIRECTORY` wrote; `make test-go` sets it")
	}
	return filepath.Join(directory, "bundle-int8")
}

func TestFactsAndTable(t *testing.T) {
	s := settings{
		bundle: tiny(t), json: true, duration: 50 * time.Millisecond, goroutines: 8, clock: "cpu", utilisation: []float64{0.3}, seed: 1,
		spareProcs: true, maxBatch: 8,
	}
	before := runtime.GOMAXPROCS(0)
	var out bytes.Buffer
	if err := run(s, &out); err != nil {
		t.Fatal(err)
	}
	var found report
	if err := json.Unmarshal(out.Bytes(), &found); err != nil {
		t.Fatal(err)
	}
	if found.Machine.Processor == "" || found.Backend != "fused" || found.Bundle.Name != "bundle-int8" || len(found.Bundle.Fingerprint) != 64 {
		t.Errorf("%+v", found)
	}
	if o := found.Overhead; o.Clock != "cpu" || o.Tokens != 16 || o.Rounds < 10 || o.C.Median <= 0 || o.Go.Median <= 0 ||
		o.Share.P5 > o.Share.Median || o.Share.Median > o.Share.P95 {
		t.Errorf("%+v", o)
	}
	if p := found.Throughput; p.Cores != cores || p.TextsPerTurn%found.Texts != 0 || p.Alone.Median <= 0 || p.Together.Median <= 0 || p.ProcessorRatio.Median <= 0 {
		t.Errorf("%+v", p)
	}
	if len(found.Load) != 1 {
		t.Fatalf("%+v", found.Load)
	}
	if c := found.Closed; c.Goroutines != 8 || c.Calls < 80 || c.Observed.P99 < c.Observed.P50 || c.Queue.P50 <= 0 ||
		c.RatioP99 != c.Observed.P99/c.Queue.P99 {
		t.Errorf("%+v", c)
	}
	if l := found.Load[0]; l.Arrivals < 100 || l.Observed.P99 < l.Observed.P50 || l.Theory.P50 <= 0 || l.ServiceMean <= 0 ||
		l.Queue.P99 < l.Queue.P50 || l.Queue.P50 <= 0 || l.ServiceMeanUnderLoad <= 0 ||
		l.Observed.P99 < l.Lateness.P99 || l.RatioP99 != l.Observed.P99/l.Theory.P99 || l.RatioQueueP99 != l.Observed.P99/l.Queue.P99 {
		t.Errorf("%+v", l)
	}
	if got := runtime.GOMAXPROCS(0); got != before {
		t.Errorf("GOMAXPROCS is %d, it was %d", got, before)
	}
	s.json = false
	out.Reset()
	if err := run(s, &out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"what Go adds", ">= 1.8", "M/G/2", "<= 3", "8 goroutines that ask again", "what others used"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
}

func TestTextOfTokens(t *testing.T) {
	embedder, err := cachelora.Open(tiny(t))
	if err != nil {
		t.Fatal(err)
	}
	defer embedder.Close()
	text, err := textOfTokens(embedder, 16)
	if err != nil {
		t.Fatal(err)
	}
	counts, err := countTokens(embedder, []string{text, ""})
	if err != nil || counts.Longest != 16 || counts.Mean != float64(16+counts.Shortest)/2 {
		t.Errorf("%+v, %v", counts, err)
	}
	if _, err := textOfTokens(embedder, 2); err == nil {
		t.Error("a text of the special tokens alone")
	}
}

// Every call through the observer is noted for its own text, also where the words are the same, alone or in a batch.
func TestObserverTellsTextsApart(t *testing.T) {
	embedder, err := cachelora.Open(tiny(t))
	if err != nil {
		t.Fatal(err)
	}
	defer embedder.Close()
	o := observe(embedder)
	asked := copies([]string{"how", "reset my password"}, []int{0, 0, 1, 1, 1})
	ctx := context.Background()
	if _, _, err := o.EmbedWithInfo(ctx, asked[0]); err != nil {
		t.Fatal(err)
	}
	if _, _, err := o.EmbedBatchWithInfo(ctx, asked[2:4]); err != nil {
		t.Fatal(err)
	}
	took := o.seconds(asked)
	if took[0] <= 0 || took[1] != 0 || took[2] <= 0 || took[3] != took[2] || took[4] != 0 {
		t.Errorf("%v", took)
	}
}
