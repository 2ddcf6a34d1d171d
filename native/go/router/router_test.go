//go:build cgo && !nocgo

package router_test

import (
	"context"
	"encoding/json"
	"errors"
	"expvar"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	cachelora "github.com/cachelora/cachelora/native/go"
	"github.com/cachelora/cachelora/native/go/router"
)

func open(t testing.TB) *cachelora.Embedder {
	t.Helper()
	directory := os.Getenv("CACHELORA_TEST_TINY")
	if directory == "" {
		t.Fatal("CACHELORA_TEST_TINY names the directory that `python tests/tiny_bundle.py DIRECTORY` wrote; `make test-go` sets it")
	}
	embedder, err := cachelora.Open(filepath.Join(directory, "bundle"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { embedder.Close() })
	return embedder
}

// gate holds every call of a real model until it is opened, so that a test knows which calls are being
// computed and which wait.
type gate struct {
	*cachelora.Embedder
	entered atomic.Int64
	open    chan struct{}
	release func()
}

func newGate(t testing.TB) *gate {
	held := make(chan struct{})
	// A test releases it again at its end, so that one which failed before does not wait for ever.
	return &gate{Embedder: open(t), open: held, release: sync.OnceFunc(func() { close(held) })}
}

func (g *gate) EmbedWithInfo(ctx context.Context, text string) ([]float32, cachelora.InputInfo, error) {
	g.entered.Add(1)
	<-g.open
	return g.Embedder.EmbedWithInfo(ctx, text)
}

func (g *gate) EmbedBatchWithInfo(ctx context.Context, texts []string) ([][]float32, []cachelora.InputInfo, error) {
	g.entered.Add(1)
	<-g.open
	return g.Embedder.EmbedBatchWithInfo(ctx, texts)
}

func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within ten seconds: %s", what)
		}
	}
}

func spawn(group *sync.WaitGroup, call func()) {
	group.Add(1)
	go func() {
		defer group.Done()
		call()
	}()
}

func texts(n int) []string {
	words := []string{"how", "can", "i", "reset", "my", "password", "law", "card"}
	made := make([]string, n)
	for i := range made {
		made[i] = words[i%len(words)] + " " + words[i/len(words)%len(words)] + " " + words[i*7%len(words)]
	}
	return made
}

func TestVectorsAreTheModels(t *testing.T) {
	embedder := open(t)
	provider := router.New(embedder)
	defer provider.Close()
	asked := texts(100)
	vectors, infos, err := provider.EmbedBatchWithInfo(context.Background(), asked)
	if err != nil || len(vectors) != len(asked) || len(infos) != len(asked) {
		t.Fatalf("%d vectors, %d infos, %v", len(vectors), len(infos), err)
	}
	for i, text := range asked {
		want, wantInfo, err := embedder.EmbedWithInfo(context.Background(), text)
		if err != nil {
			t.Fatal(err)
		}
		if cosine := cachelora.Similarity(vectors[i], want); cosine < 0.99999 || infos[i] != wantInfo {
			t.Errorf("%q in a batch: cosine %v to the model's own vector, %+v", text, cosine, infos[i])
		}
		alone, info, err := provider.EmbedWithInfo(context.Background(), text)
		if err != nil || !slices.Equal(alone, want) || info != wantInfo {
			t.Errorf("%q alone: %+v, want %+v; %v", text, info, wantInfo, err)
		}
	}
	if provider.Dimension() != embedder.Dimension() || provider.Backend() != embedder.Backend() {
		t.Errorf("dimension %d, backend %q", provider.Dimension(), provider.Backend())
	}
	if none, err := provider.EmbedBatch(context.Background(), nil); len(none) != 0 || err != nil {
		t.Errorf("no texts: %v, %v", none, err)
	}
}

func TestOneCallerNeverWaitsAndNeverBatches(t *testing.T) {
	provider := router.New(open(t))
	defer provider.Close()
	for _, text := range texts(50) {
		if _, err := provider.Embed(context.Background(), text); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the worker is free", func() bool { return provider.Snapshot().Running == 0 })
	}
	counted := provider.Snapshot()
	if counted.Texts != 50 || counted.Computations != 50 || counted.Batches != 0 || counted.MostWaiting != 0 ||
		counted.WaitSeconds != 0 || counted.ComputeSeconds <= 0 || counted.Tokens < 50*3 {
		t.Errorf("%+v", counted)
	}
}

func TestAFreeWorkerIsUsedWhileAnotherComputes(t *testing.T) {
	model := newGate(t)
	provider := router.New(model, router.WithWorkers(2))
	defer provider.Close()
	defer model.release()
	var calls sync.WaitGroup
	for range 2 {
		spawn(&calls, func() {
			if _, err := provider.Embed(context.Background(), "how"); err != nil {
				t.Error(err)
			}
		})
	}
	eventually(t, "both calls compute", func() bool { return model.entered.Load() == 2 })
	model.release()
	calls.Wait()
}

func TestWhatWaitsIsComputedTogether(t *testing.T) {
	model := newGate(t)
	provider := router.New(model, router.WithWorkers(1), router.WithMaxBatch(8))
	defer provider.Close()
	defer model.release()
	asked := texts(11)
	vectors := make([][]float32, len(asked))
	var calls sync.WaitGroup
	for i, text := range asked {
		spawn(&calls, func() {
			vector, err := provider.Embed(context.Background(), text)
			if err != nil {
				t.Error(err)
			}
			vectors[i] = vector
		})
	}
	eventually(t, "ten wait", func() bool { return provider.Snapshot().Waiting == 10 })
	model.release()
	calls.Wait()
	// The first alone, then always half of what waits: five, three, one, one.
	if counted := provider.Snapshot(); counted.Computations != 5 || counted.Batches != 2 || counted.Texts != 11 ||
		counted.MostWaiting != 10 || counted.WaitSeconds <= 0 {
		t.Errorf("%+v", counted)
	}
	for i, text := range asked {
		want, err := model.Embedder.Embed(context.Background(), text)
		if err != nil {
			t.Fatal(err)
		}
		if cosine := cachelora.Similarity(vectors[i], want); cosine < 0.99999 {
			t.Errorf("%q: cosine %v", text, cosine)
		}
	}
}

func TestWaitingWorkIsSharedByTheWorkers(t *testing.T) {
	model := newGate(t)
	provider := router.New(model, router.WithWorkers(2), router.WithMaxBatch(8))
	defer provider.Close()
	defer model.release()
	var calls sync.WaitGroup
	for _, text := range texts(2 + 6) {
		spawn(&calls, func() {
			if _, err := provider.Embed(context.Background(), text); err != nil {
				t.Error(err)
			}
		})
	}
	eventually(t, "six wait", func() bool { return provider.Snapshot().Waiting == 6 })
	model.release()
	calls.Wait()
	// The first two alone, then two texts together, and the others alone so that both workers end together.
	if counted := provider.Snapshot(); counted.Computations != 2+5 || counted.Batches != 1 {
		t.Errorf("%+v", counted)
	}
}

func TestAFullQueueRefusesAtOnce(t *testing.T) {
	model := newGate(t)
	provider := router.New(model, router.WithWorkers(1), router.WithQueue(3))
	defer provider.Close()
	defer model.release()
	var calls sync.WaitGroup
	for _, text := range texts(4) {
		spawn(&calls, func() {
			if _, err := provider.Embed(context.Background(), text); err != nil {
				t.Error(err)
			}
		})
	}
	eventually(t, "three wait", func() bool { return provider.Snapshot().Waiting == 3 })
	if _, err := provider.Embed(context.Background(), "card"); !errors.Is(err, router.ErrQueueFull) {
		t.Errorf("one too many: %v", err)
	}
	if _, err := provider.EmbedBatch(context.Background(), texts(20)); !errors.Is(err, router.ErrQueueFull) {
		t.Errorf("a batch too many: %v", err)
	}
	model.release()
	calls.Wait()
	if counted := provider.Snapshot(); counted.QueueFull != 2 || counted.Texts != 4 {
		t.Errorf("%+v", counted)
	}
	// An admitted batch may be far longer than the queue.
	if vectors, err := provider.EmbedBatch(context.Background(), texts(100)); err != nil || len(vectors) != 100 {
		t.Errorf("%d vectors, %v", len(vectors), err)
	}
}

func TestAnAdmittedBatchIsNotRefusedHalfway(t *testing.T) {
	model := newGate(t)
	provider := router.New(model, router.WithWorkers(2), router.WithQueue(0))
	defer provider.Close()
	defer model.release()
	var calls sync.WaitGroup
	spawn(&calls, func() {
		if _, err := provider.Embed(context.Background(), "how"); err != nil {
			t.Error(err)
		}
	})
	eventually(t, "a worker is busy", func() bool { return model.entered.Load() == 1 })
	spawn(&calls, func() {
		if vectors, err := provider.EmbedBatch(context.Background(), texts(100)); err != nil || len(vectors) != 100 {
			t.Errorf("%d vectors, %v", len(vectors), err)
		}
	})
	eventually(t, "its second part waits", func() bool { return provider.Snapshot().Waiting == router.DefaultMaxBatch })
	model.release()
	calls.Wait()
}

func TestAContextThatEndsWhileWaitingReturnsAtOnce(t *testing.T) {
	model := newGate(t)
	provider := router.New(model, router.WithWorkers(1))
	defer provider.Close()
	defer model.release()
	var busy sync.WaitGroup
	spawn(&busy, func() {
		if _, err := provider.Embed(context.Background(), "how"); err != nil {
			t.Error(err)
		}
	})
	eventually(t, "the worker is busy", func() bool { return model.entered.Load() == 1 })

	ctx, stop := context.WithCancel(context.Background())
	failures := make(chan error, 2)
	go func() {
		_, err := provider.Embed(ctx, "card")
		failures <- err
	}()
	go func() {
		_, err := provider.EmbedBatch(ctx, texts(30))
		failures <- err
	}()
	eventually(t, "two wait", func() bool { return provider.Snapshot().Waiting == 1+8 })
	stop()
	for range 2 {
		// The worker is still held, so nothing but the context can end these calls.
		if err := <-failures; !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
	}
	if counted := provider.Snapshot(); counted.Waiting != 0 || counted.Cancelled != 2 || counted.Dropped != 0 {
		t.Errorf("%+v", counted)
	}
	model.release()
	busy.Wait()
	if counted := provider.Snapshot(); counted.Texts != 1 {
		t.Errorf("a cancelled text was computed: %+v", counted)
	}
}

func TestAContextThatEndsWhileComputingDropsTheVector(t *testing.T) {
	model := newGate(t)
	provider := router.New(model, router.WithWorkers(1))
	defer provider.Close()
	defer model.release()
	ctx, stop := context.WithCancel(context.Background())
	failure := make(chan error)
	go func() {
		_, err := provider.Embed(ctx, "how")
		failure <- err
	}()
	eventually(t, "the text is computed", func() bool { return model.entered.Load() == 1 })
	stop()
	model.release()
	if err := <-failure; !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if counted := provider.Snapshot(); counted.Dropped != 1 || counted.Cancelled != 0 || counted.Texts != 1 || counted.Running != 0 {
		t.Errorf("%+v", counted)
	}
}

func TestABatchWhoseContextEndsReturnsAtOnce(t *testing.T) {
	model := newGate(t)
	provider := router.New(model, router.WithWorkers(2))
	defer model.release()
	ctx, stop := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer stop()
	// Both workers are held, so nothing but the context can end the call.
	if _, err := provider.EmbedBatch(ctx, texts(100)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("timed out: %v", err)
	}
	model.release()
	provider.Close()
	if counted := provider.Snapshot(); counted.Dropped != 2 || counted.Texts != 16 || counted.Running != 0 {
		t.Errorf("%+v", counted)
	}
}

func TestAnEndedContextComputesNothing(t *testing.T) {
	provider := router.New(open(t))
	defer provider.Close()
	ctx, stop := context.WithCancel(context.Background())
	stop()
	if _, err := provider.Embed(ctx, "how"); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if _, err := provider.EmbedBatch(ctx, texts(3)); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if counted := provider.Snapshot(); counted.Requests != 0 {
		t.Errorf("%+v", counted)
	}
}

func TestABadTextFailsAlone(t *testing.T) {
	model := newGate(t)
	provider := router.New(model, router.WithWorkers(1))
	defer provider.Close()
	defer model.release()
	asked := []string{"how", "reset", "my\xff", "card", "law"}
	failures := make([]error, len(asked))
	var calls sync.WaitGroup
	for i, text := range asked {
		spawn(&calls, func() { _, failures[i] = provider.Embed(context.Background(), text) })
		eventually(t, "the call stands in the queue", func() bool {
			counted := provider.Snapshot()
			return counted.Running == 1 && counted.Waiting == i
		})
	}
	model.release()
	calls.Wait()
	for i, err := range failures {
		if bad := i == 2; bad != errors.Is(err, cachelora.ErrInvalidUTF8) || !bad && err != nil {
			t.Errorf("%q: %v", asked[i], err)
		}
	}
	if _, err := provider.EmbedBatch(context.Background(), asked); !errors.Is(err, cachelora.ErrInvalidUTF8) {
		t.Errorf("batch: %v", err)
	}
}

func TestCloseFailsWhatWaitsAndAwaitsWhatComputes(t *testing.T) {
	model := newGate(t)
	provider := router.New(model, router.WithWorkers(1))
	defer model.release()
	computing, waiting := make(chan error, 1), make(chan error, 1)
	go func() {
		_, err := provider.Embed(context.Background(), "how")
		computing <- err
	}()
	eventually(t, "the worker is busy", func() bool { return model.entered.Load() == 1 })
	go func() {
		_, err := provider.Embed(context.Background(), "card")
		waiting <- err
	}()
	eventually(t, "one waits", func() bool { return provider.Snapshot().Waiting == 1 })
	closed := make(chan struct{})
	go func() {
		provider.Close()
		close(closed)
	}()
	if err := <-waiting; !errors.Is(err, router.ErrClosed) {
		t.Errorf("waiting: %v", err)
	}
	select {
	case <-closed:
		t.Error("closed while a call computes")
	default:
	}
	model.release()
	<-closed
	if err := <-computing; err != nil {
		t.Errorf("computing: %v", err)
	}
	if _, err := provider.Embed(context.Background(), "how"); !errors.Is(err, router.ErrClosed) {
		t.Errorf("afterwards: %v", err)
	}
	if err := provider.Close(); err != nil {
		t.Error(err)
	}
}

func TestManyGoroutines(t *testing.T) {
	embedder := open(t)
	provider := router.New(embedder)
	defer provider.Close()
	asked := texts(64)
	want := make([][]float32, len(asked))
	for i, text := range asked {
		vector, err := embedder.Embed(context.Background(), text)
		if err != nil {
			t.Fatal(err)
		}
		want[i] = vector
	}
	var calls sync.WaitGroup
	for g := range 64 {
		spawn(&calls, func() {
			for n := range 50 {
				i := (g*31 + n) % len(asked)
				ctx, stop := context.WithCancel(context.Background())
				if n%10 == 9 {
					// Ends at some moment of the call: before, while it waits, while it computes, after.
					time.AfterFunc(time.Duration(g)*10*time.Microsecond, stop)
				}
				vector, err := provider.Embed(ctx, asked[i])
				stop()
				if n%10 == 9 && errors.Is(err, context.Canceled) {
					continue
				}
				if err != nil || cachelora.Similarity(vector, want[i]) < 0.99999 {
					t.Errorf("%q: %v", asked[i], err)
					return
				}
			}
		})
	}
	calls.Wait()
	eventually(t, "everything is done", func() bool {
		counted := provider.Snapshot()
		return counted.Running == 0 && counted.Waiting == 0
	})
	if counted := provider.Snapshot(); counted.Workers != min(runtime.GOMAXPROCS(0), runtime.NumCPU()) || counted.Texts+counted.Cancelled != counted.Requests {
		t.Errorf("%+v", counted)
	}
}

func TestBatchesAreBounded(t *testing.T) {
	model := newGate(t)
	provider := router.New(model, router.WithWorkers(1), router.WithMaxBatch(8))
	defer provider.Close()
	defer model.release()
	var calls sync.WaitGroup
	for _, text := range texts(1 + 40) {
		spawn(&calls, func() {
			if _, err := provider.Embed(context.Background(), text); err != nil {
				t.Error(err)
			}
		})
	}
	eventually(t, "forty wait", func() bool { return provider.Snapshot().Waiting == 40 })
	model.release()
	calls.Wait()
	// One; 8 of 40, 32, 24 and 16; then 4, 2, 1 and 1.
	if counted := provider.Snapshot(); counted.Computations != 1+4+4 || counted.Batches != 6 {
		t.Errorf("%+v", counted)
	}
}

func TestSpareProcsAreGivenBack(t *testing.T) {
	embedder := open(t)
	before := runtime.GOMAXPROCS(0)
	plain := router.New(embedder, router.WithWorkers(2))
	if got := runtime.GOMAXPROCS(0); got != before {
		t.Errorf("unasked: GOMAXPROCS %d, it was %d", got, before)
	}
	first := router.New(embedder, router.WithSpareProcs())
	workers := first.Snapshot().Workers
	if got := runtime.GOMAXPROCS(0); workers != min(before, runtime.NumCPU()) || got != before+workers {
		t.Errorf("%d workers, GOMAXPROCS %d, it was %d", workers, got, before)
	}
	// What the first added is no reason for more workers.
	second := router.New(embedder, router.WithSpareProcs())
	if got := second.Snapshot().Workers; got != workers {
		t.Errorf("%d workers beside %d", got, workers)
	}
	third := router.New(embedder, router.WithSpareProcs(), router.WithWorkers(3))
	if got := runtime.GOMAXPROCS(0); got != before+2*workers+3 {
		t.Errorf("three: GOMAXPROCS %d, it was %d", got, before)
	}
	for _, provider := range []*router.Provider{first, plain, third, second, second} {
		provider.Close()
	}
	if got := runtime.GOMAXPROCS(0); got != before {
		t.Errorf("closed: GOMAXPROCS %d, it was %d", got, before)
	}
}

func TestNoMoreWorkersThanCores(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(runtime.NumCPU() + 5))
	provider := router.New(open(t))
	defer provider.Close()
	if got := provider.Snapshot().Workers; got != runtime.NumCPU() {
		t.Errorf("%d workers on %d cores", got, runtime.NumCPU())
	}
}

func TestOptionsWithoutSensePanic(t *testing.T) {
	embedder := open(t)
	for _, option := range []router.Option{router.WithWorkers(0), router.WithQueue(-1), router.WithMaxBatch(0)} {
		func() {
			defer func() {
				if recover() == nil {
					t.Error("accepted")
				}
			}()
			router.New(embedder, option)
		}()
	}
}

func TestSnapshotIsMadeForExpvar(t *testing.T) {
	provider := router.New(open(t), router.WithWorkers(3))
	defer provider.Close()
	if _, err := provider.Embed(context.Background(), "how"); err != nil {
		t.Fatal(err)
	}
	var shown map[string]float64
	published := expvar.Func(func() any { return provider.Snapshot() }).String()
	if err := json.Unmarshal([]byte(published), &shown); err != nil {
		t.Fatal(err)
	}
	if shown["texts"] != 1 || shown["workers"] != 3 || shown["queue_limit"] != router.DefaultQueue {
		t.Error(published)
	}
}

// BenchmarkEmbed compares the model alone with a Provider of it under load. CACHELORA_BENCH_BUNDLE names another
// bundle than the tiny one.
func BenchmarkEmbed(b *testing.B) {
	embedder := open(b)
	if directory := os.Getenv("CACHELORA_BENCH_BUNDLE"); directory != "" {
		var err error
		if embedder, err = cachelora.Open(directory); err != nil {
			b.Fatal(err)
		}
		defer embedder.Close()
	}
	const text = "how can i reset the password of my account if i lost my phone"
	measure := func(b *testing.B, goroutines int, embed func(context.Context, string) ([]float32, error)) {
		var left atomic.Int64
		left.Store(int64(b.N))
		var calls sync.WaitGroup
		took := make([][]time.Duration, goroutines)
		b.ResetTimer()
		for g := range goroutines {
			spawn(&calls, func() {
				for left.Add(-1) >= 0 {
					started := time.Now()
					if _, err := embed(context.Background(), text); err != nil {
						b.Error(err)
					}
					took[g] = append(took[g], time.Since(started))
				}
			})
		}
		calls.Wait()
		b.StopTimer()
		all := slices.Concat(took...)
		slices.Sort(all)
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "texts/s")
		b.ReportMetric(all[len(all)/2].Seconds()*1000, "p50-ms")
		b.ReportMetric(all[len(all)*99/100].Seconds()*1000, "p99-ms")
	}
	for _, goroutines := range []int{1, 2, 64} {
		b.Run(fmt.Sprintf("model/goroutines=%d", goroutines), func(b *testing.B) { measure(b, goroutines, embedder.Embed) })
		b.Run(fmt.Sprintf("provider/goroutines=%d", goroutines), func(b *testing.B) {
			provider := router.New(embedder)
			defer provider.Close()
			measure(b, goroutines, provider.Embed)
		})
	}
}
