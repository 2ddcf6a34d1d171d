// Package router puts a bundle's model behind the embedding interface of a semantic router, for any number
// of goroutines.
//
//	embedder, err := cachelora.Open("bundle")
//	if err != nil {
//		return err
//	}
//	defer embedder.Close()
//	provider := router.New(embedder)
//	defer provider.Close()
//	vector, err := provider.Embed(ctx, "How do I reset my password?")
//
// At most as many calls compute at a time as there are workers, by default one per core; the others wait
// in a bounded queue. While a worker is free a call never waits. When all are busy and many wait, some of
// these are computed together, so that load makes batches and idleness makes none. A batch never changes a
// vector. Servers should use [WithSpareProcs].
//
// The counters are a plain structure, made for expvar:
//
//	expvar.Publish("cachelora", expvar.Func(func() any { return provider.Snapshot() }))
package router

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	cachelora "github.com/cachelora/cachelora/native/go"
)

var (
	// ErrQueueFull is returned at once by a call that finds every worker busy and no place in the queue.
	// Try again later, or answer without the cache.
	ErrQueueFull = errors.New("router: every worker is busy and the queue is full")
	// ErrClosed is returned by calls on a closed Provider, those that wait included.
	ErrClosed = errors.New("router: the provider is closed")
)

// Model is what a Provider asks of the model behind it; [cachelora.Embedder] is one. It must be safe for
// concurrent use.
type Model interface {
	EmbedWithInfo(ctx context.Context, text string) ([]float32, cachelora.InputInfo, error)
	EmbedBatchWithInfo(ctx context.Context, texts []string) ([][]float32, []cachelora.InputInfo, error)
	Dimension() int
	Backend() string
}

// embeddingProvider has the methods of Provider in src/semantic-router/pkg/embedding of the vLLM semantic
// router. That package can't be imported without the whole router, so the assertion is by structure.
type embeddingProvider interface {
	Embed(ctx context.Context, text string) ([]float32, error)
	EmbedBatch(ctx context.Context, texts []string) ([][]float32, error)
	Dimension() int
	Backend() string
}

var (
	_ embeddingProvider = (*Provider)(nil)
	_ Model             = (*cachelora.Embedder)(nil)
)

// The defaults of the options.
const (
	// DefaultQueue is how many texts may wait.
	DefaultQueue = 1024
	// DefaultMaxBatch is how many texts a worker computes together under load. More would hardly raise the
	// throughput of a core, and the first text of a batch waits for the last.
	DefaultMaxBatch = 8
)

// Option changes how a Provider works.
type Option func(*Provider)

// WithWorkers sets how many calls may compute at a time; the default is GOMAXPROCS, without what [WithSpareProcs]
// added to it, and at most the number of cores.
func WithWorkers(workers int) Option {
	return func(p *Provider) { p.workers = workers }
}

// WithQueue sets how many texts may wait for a worker; 0 refuses every call that would have to wait.
func WithQueue(texts int) Option {
	return func(p *Provider) { p.queueLimit = texts }
}

// WithMaxBatch sets how many texts a worker computes together at most; 1 turns batching off.
func WithMaxBatch(texts int) Option {
	return func(p *Provider) { p.maxBatch = texts }
}

// Provider embeds texts for any number of goroutines.
type Provider struct {
	model      Model
	workers    int
	queueLimit int
	maxBatch   int
	spare      bool

	mu sync.Mutex
	// waiting holds *request in the order of their arrival. It is empty while a worker is free.
	waiting      list.List
	waitingTexts int
	running      int
	idle         sync.Cond
	closed       bool
	count        Snapshot
}

// request is one text, or one part of a batch of texts, that waits or is being computed.
type request struct {
	texts   []string
	arrived time.Time
	place   *list.Element // nil when it does not wait
	// Has room for one answer, so that a worker never blocks on a caller that went away.
	answer chan answer
}

type answer struct {
	vectors [][]float32
	infos   []cachelora.InputInfo
	err     error
}

// New returns a Provider of model, which stays the caller's: close it after the Provider. It panics if an
// option has no sense, such as no worker at all.
func New(model Model, opts ...Option) *Provider {
	p := &Provider{
		model:      model,
		workers:    defaultWorkers(),
		queueLimit: DefaultQueue,
		maxBatch:   DefaultMaxBatch,
	}
	for _, opt := range opts {
		opt(p)
	}
	if p.workers < 1 || p.queueLimit < 0 || p.maxBatch < 1 {
		panic(fmt.Sprintf("router: %d workers, a queue of %d, batches of %d: at least 1, 0 and 1 were expected",
			p.workers, p.queueLimit, p.maxBatch))
	}
	p.idle.L = &p.mu
	if p.spare {
		spareProcs(p.workers)
	}
	return p
}

// Dimension returns the length of a vector.
func (p *Provider) Dimension() int { return p.model.Dimension() }

// Backend returns the name of the model's encoder.
func (p *Provider) Backend() string { return p.model.Backend() }

// Embed returns the unit vector of text. If ctx ends while the call waits for a worker, its error is returned
// at once and the text is never computed. With a free worker the text is computed on the calling goroutine,
// since handing it over would cost more than a cache can gain; if ctx ends meanwhile, the computation of
// that one text is finished, its vector dropped, and the error returned.
func (p *Provider) Embed(ctx context.Context, text string) ([]float32, error) {
	vector, _, err := p.EmbedWithInfo(ctx, text)
	return vector, err
}

// EmbedWithInfo is Embed, and says what became of the text.
func (p *Provider) EmbedWithInfo(ctx context.Context, text string) ([]float32, cachelora.InputInfo, error) {
	found := p.embed(ctx, []string{text})
	if found.err != nil {
		return nil, cachelora.InputInfo{}, found.err
	}
	return found.vectors[0], found.infos[0], nil
}

// EmbedBatch returns the unit vectors of texts, in their order; the workers share them. It is refused with
// [ErrQueueFull] only at its beginning. At any time at most one part of it per worker is under way, so that
// a large batch does not make others wait for all of it. If ctx ends, its error is returned at once.
func (p *Provider) EmbedBatch(ctx context.Context, texts []string) ([][]float32, error) {
	vectors, _, err := p.EmbedBatchWithInfo(ctx, texts)
	return vectors, err
}

// EmbedBatchWithInfo is EmbedBatch, and says what became of each text.
func (p *Provider) EmbedBatchWithInfo(ctx context.Context, texts []string) ([][]float32, []cachelora.InputInfo, error) {
	vectors := make([][]float32, 0, len(texts))
	infos := make([]cachelora.InputInfo, 0, len(texts))
	size := min(p.maxBatch, (len(texts)+p.workers-1)/p.workers)
	var underWay []*request
	defer func() {
		for _, r := range underWay {
			p.abandon(r)
		}
	}()
	rest := texts
	for len(vectors) < len(texts) {
		for len(rest) > 0 && len(underWay) < p.workers {
			part := rest[:min(size, len(rest))]
			r, started, err := p.submit(ctx, part, len(rest) < len(texts))
			if err != nil {
				return nil, nil, err
			}
			if started {
				go p.work([]*request{r})
			}
			underWay, rest = append(underWay, r), rest[len(part):]
		}
		oldest := underWay[0]
		underWay = underWay[1:]
		found := p.wait(ctx, oldest)
		if found.err != nil {
			return nil, nil, found.err
		}
		vectors, infos = append(vectors, found.vectors...), append(infos, found.infos...)
	}
	return vectors, infos, nil
}

// Close refuses new calls, fails those that wait with [ErrClosed], and returns when nothing computes any
// more. It leaves the model open. Closing again does nothing.
func (p *Provider) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for p.waiting.Len() > 0 {
		p.next().answer <- answer{err: ErrClosed}
	}
	for p.running > 0 {
		p.idle.Wait()
	}
	if p.spare {
		p.spare = false
		spareProcs(-p.workers)
	}
	return nil
}

// embed is one call: it takes a worker or a place in the queue, and waits for the answer.
func (p *Provider) embed(ctx context.Context, texts []string) answer {
	r, started, err := p.submit(ctx, texts, false)
	if err != nil {
		return answer{err: err}
	}
	if started {
		if next := p.step([]*request{r}); next != nil {
			go p.work(next)
		}
	}
	return p.wait(ctx, r)
}
