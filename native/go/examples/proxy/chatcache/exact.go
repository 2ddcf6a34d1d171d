package chatcache

import (
	"container/list"
	"context"
	"sync"
	"time"

	cachelora "github.com/cachelora/cachelora/native/go"
)

// Exact is an Index in memory that compares with every entry of a scope, so that it always finds the nearest.
type Exact struct {
	limit    int
	lifetime time.Duration

	mu sync.Mutex
	// order holds *exactEntry, the one that was used last at the front.
	order  list.List
	scopes map[string]map[string]*list.Element
}

type exactEntry struct {
	Entry
	scope string
}

// NewExact returns an empty Index of at most limit entries, which are forgotten after lifetime. The one that
// was not used for longest makes room.
func NewExact(limit int, lifetime time.Duration) *Exact {
	return &Exact{limit: limit, lifetime: lifetime, scopes: map[string]map[string]*list.Element{}}
}

// Nearest is that of Index.
func (x *Exact) Nearest(_ context.Context, scope string, vector []float32) (Entry, float32, bool, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	var best *list.Element
	similarity := float32(-2)
	for _, place := range x.scopes[scope] {
		one := place.Value.(*exactEntry)
		if time.Since(one.Stored) > x.lifetime {
			x.remove(place)
			continue
		}
		if found := cachelora.Similarity(vector, one.Vector); found > similarity {
			best, similarity = place, found
		}
	}
	if best == nil {
		return Entry{}, 0, false, nil
	}
	x.order.MoveToFront(best)
	return best.Value.(*exactEntry).Entry, similarity, true, nil
}

// Add is that of Index.
func (x *Exact) Add(_ context.Context, scope string, entry Entry) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if old := x.scopes[scope][entry.Question]; old != nil {
		x.remove(old)
	}
	if x.scopes[scope] == nil {
		x.scopes[scope] = map[string]*list.Element{}
	}
	x.scopes[scope][entry.Question] = x.order.PushFront(&exactEntry{entry, scope})
	for x.order.Len() > x.limit {
		x.remove(x.order.Back())
	}
	return nil
}

func (x *Exact) remove(place *list.Element) {
	one := x.order.Remove(place).(*exactEntry)
	delete(x.scopes[one.scope], one.Question)
	if len(x.scopes[one.scope]) == 0 {
		delete(x.scopes, one.scope)
	}
}
