package router

// Snapshot is the state of a Provider's counters at one moment. They count from its creation; those that
// can fall are so marked.
type Snapshot struct {
	// Requests is how many calls, and parts of batches, were accepted.
	Requests uint64 `json:"requests"`
	// Texts is how many texts were embedded.
	Texts uint64 `json:"texts"`
	// Tokens is how many tokens those texts had, special tokens and what was cut off included.
	Tokens uint64 `json:"tokens"`
	// Truncated is how many of the texts had more tokens than the model reads.
	Truncated uint64 `json:"truncated"`
	// Computations is how many times the model ran; Batches is how many of these had several texts.
	Computations uint64 `json:"computations"`
	Batches      uint64 `json:"batches"`
	// Failures is how many times the model returned an error.
	Failures uint64 `json:"failures"`
	// QueueFull is how many calls were refused with ErrQueueFull.
	QueueFull uint64 `json:"queue_full"`
	// Cancelled is how many requests left the queue because their context ended; Dropped is how many were
	// already being computed then.
	Cancelled uint64 `json:"cancelled"`
	Dropped   uint64 `json:"dropped"`
	// WaitSeconds is the time that requests spent in the queue, ComputeSeconds that which workers spent in
	// the model.
	WaitSeconds    float64 `json:"wait_seconds"`
	ComputeSeconds float64 `json:"compute_seconds"`
	// Waiting is how many texts are in the queue now, MostWaiting the highest that it was, QueueLimit its
	// bound. Running is how many of the Workers are busy now. Waiting and Running can fall.
	Waiting     int `json:"waiting"`
	MostWaiting int `json:"most_waiting"`
	QueueLimit  int `json:"queue_limit"`
	Running     int `json:"running"`
	Workers     int `json:"workers"`
}

// Snapshot returns the counters; they belong to one moment.
func (p *Provider) Snapshot() Snapshot {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.count
	now.Waiting = p.waitingTexts
	now.QueueLimit = p.queueLimit
	now.Running = p.running
	now.Workers = p.workers
	return now
}
