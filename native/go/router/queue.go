package router

import (
	"context"
	"time"

	cachelora "github.com/cachelora/cachelora/native/go"
)

// submit takes a free worker for texts, which the caller then has to start, or puts them in the queue. An
// admitted request is never refused for want of room.
func (p *Provider) submit(ctx context.Context, texts []string, admitted bool) (r *request, started bool, err error) {
	if err := ctx.Err(); err != nil {
		return nil, false, err
	}
	r = &request{texts: texts, arrived: time.Now(), answer: make(chan answer, 1)}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, false, ErrClosed
	}
	if p.running < p.workers {
		p.running++
		p.count.Requests++
		return r, true, nil
	}
	if !admitted && p.waitingTexts+len(texts) > p.queueLimit {
		p.count.QueueFull++
		return nil, false, ErrQueueFull
	}
	p.count.Requests++
	r.place = p.waiting.PushBack(r)
	p.waitingTexts += len(texts)
	p.count.MostWaiting = max(p.count.MostWaiting, p.waitingTexts)
	return r, false, nil
}

// wait returns the answer to r, or the error of ctx as soon as that ends.
func (p *Provider) wait(ctx context.Context, r *request) answer {
	if err := ctx.Err(); err != nil {
		p.abandon(r)
		return answer{err: err}
	}
	select {
	case found := <-r.answer:
		return found
	case <-ctx.Done():
		p.abandon(r)
		return answer{err: ctx.Err()}
	}
}

// abandon takes r out of the queue if it still waits; if it is being computed, its answer will be dropped.
func (p *Provider) abandon(r *request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if r.place != nil {
		p.leave(r)
		p.count.Cancelled++
	} else {
		p.count.Dropped++
	}
}

// next takes the oldest request out of the queue. p.mu is held.
func (p *Provider) next() *request {
	r := p.waiting.Front().Value.(*request)
	p.leave(r)
	return r
}

// leave takes r out of the queue. p.mu is held.
func (p *Provider) leave(r *request) {
	p.waiting.Remove(r.place)
	r.place = nil
	p.waitingTexts -= len(r.texts)
	p.count.WaitSeconds += time.Since(r.arrived).Seconds()
}

// work computes requests and then what waits, until nothing does.
func (p *Provider) work(requests []*request) {
	for requests != nil {
		requests = p.step(requests)
	}
}

// step computes and answers requests, and returns what the worker computes next; nil if it is free. It is free before
// its last callers have their answers, so that one of them who asks again at once never finds it busy.
func (p *Provider) step(requests []*request) []*request {
	found := p.compute(requests)
	next := p.take()
	for i, r := range requests {
		r.answer <- found[i]
	}
	return next
}

// take returns the requests that a worker computes next, or nil, with the worker set free, if none waits.
func (p *Provider) take() []*request {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.waiting.Len() == 0 {
		p.running--
		if p.running == 0 {
			p.idle.Broadcast()
		}
		return nil
	}
	// Half of a worker's share of what waits. With all of it, the workers would end at different times, since texts and
	// batches take different times, and some be idle meanwhile; and the first texts of a short queue would wait for the
	// last. With half, batches become smaller as the queue does, down to single texts, and are large only where it is
	// long. It is the rule called factoring (Hummel, Schonberg and Flynn, "Factoring: a method for scheduling parallel
	// loops", Communications of the ACM 35(8), 1992).
	parts := 2 * p.workers
	share := min(p.maxBatch, (p.waitingTexts+parts-1)/parts)
	var taken []*request
	texts := 0
	for p.waiting.Len() > 0 {
		size := len(p.waiting.Front().Value.(*request).texts)
		if len(taken) > 0 && texts+size > share {
			break
		}
		taken = append(taken, p.next())
		texts += size
	}
	return taken
}

// compute returns the answers to requests, from one call of the model. No context is handed down: what is being
// computed is finished, and the callers that went away don't disturb those that share their batch.
func (p *Provider) compute(requests []*request) []answer {
	var texts []string
	for _, r := range requests {
		texts = append(texts, r.texts...)
	}
	started := time.Now()
	found := p.call(texts)
	p.note(texts, found, time.Since(started))
	if found.err != nil && len(requests) > 1 {
		// One bad text must not fail its neighbours.
		var answers []answer
		for _, r := range requests {
			answers = append(answers, p.compute([]*request{r})...)
		}
		return answers
	}
	answers := make([]answer, len(requests))
	for i, r := range requests {
		if found.err != nil {
			answers[i] = answer{err: found.err}
			continue
		}
		n := len(r.texts)
		answers[i] = answer{vectors: found.vectors[:n:n], infos: found.infos[:n:n]}
		found.vectors, found.infos = found.vectors[n:], found.infos[n:]
	}
	return answers
}

func (p *Provider) call(texts []string) answer {
	if len(texts) == 1 {
		vector, info, err := p.model.EmbedWithInfo(context.Background(), texts[0])
		return answer{[][]float32{vector}, []cachelora.InputInfo{info}, err}
	}
	vectors, infos, err := p.model.EmbedBatchWithInfo(context.Background(), texts)
	return answer{vectors, infos, err}
}

func (p *Provider) note(texts []string, found answer, took time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.count.ComputeSeconds += took.Seconds()
	if found.err != nil {
		p.count.Failures++
		return
	}
	p.count.Texts += uint64(len(texts))
	p.count.Computations++
	if len(texts) > 1 {
		p.count.Batches++
	}
	for _, info := range found.infos {
		p.count.Tokens += uint64(info.Tokens)
		if info.Truncated {
			p.count.Truncated++
		}
	}
}
