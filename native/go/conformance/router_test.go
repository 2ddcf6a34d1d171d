//go:build cgo && !nocgo

package conformance

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	cachelora "github.com/cachelora/cachelora/native/go"
	"github.com/cachelora/cachelora/native/go/router"
)

func TestTheRouterLeavesNoGoroutine(t *testing.T) {
	defer goleak.VerifyNone(t)
	embedder, err := cachelora.Open(bundle)
	if err != nil {
		t.Fatal(err)
	}
	defer embedder.Close()
	provider := router.New(embedder, router.WithQueue(40))
	batch := make([]string, 200)
	for i := range batch {
		batch[i] = "how can i reset my password"
	}
	var calls sync.WaitGroup
	for g := range 64 {
		calls.Add(1)
		go func() {
			defer calls.Done()
			for n := range 10 {
				// Ends at any moment of the call, or after it.
				ctx, stop := context.WithTimeout(context.Background(), time.Duration(1+(g*n)%40)*50*time.Microsecond)
				var err error
				if g%8 == 0 {
					_, err = provider.EmbedBatch(ctx, batch)
				} else {
					_, err = provider.Embed(ctx, batch[0])
				}
				stop()
				if err != nil && !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, router.ErrQueueFull) && !errors.Is(err, router.ErrClosed) {
					t.Error(err)
				}
				if g == 63 && n == 8 {
					provider.Close()
				}
			}
		}()
	}
	calls.Wait()
	provider.Close()
	if counted := provider.Snapshot(); counted.Running != 0 || counted.Waiting != 0 || counted.Texts == 0 {
		t.Errorf("%+v", counted)
	}
}
