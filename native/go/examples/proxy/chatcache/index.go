package chatcache

import (
	"context"
	"time"
)

// Entry is a question and its recorded answer.
type Entry struct {
	Question    string
	Vector      []float32
	ContentType string
	Body        []byte
	Stored      time.Time
}

// Index keeps entries by scope: only questions of one scope are compared with each other.
type Index interface {
	// Nearest returns the entry of scope whose question is most similar to vector, and their cosine; false
	// if the scope is empty.
	Nearest(ctx context.Context, scope string, vector []float32) (Entry, float32, bool, error)
	// Add puts an entry into scope, in the place of one with the same question.
	Add(ctx context.Context, scope string, entry Entry) error
}
