package main

import (
	"context"
	"strings"
	"sync"
	"time"
	"unsafe"

	cachelora "github.com/cachelora/cachelora/native/go"
)

// observer is a model that notes how long each text was computed. Texts are told apart by where they lie in memory,
// since the same words may be asked several times; see [copies]. A text of a batch is given its share of the batch.
type observer struct {
	*cachelora.Embedder
	mu   sync.Mutex
	took map[*byte]float64
}

func observe(embedder *cachelora.Embedder) *observer {
	return &observer{Embedder: embedder, took: map[*byte]float64{}}
}

func (o *observer) EmbedWithInfo(ctx context.Context, text string) ([]float32, cachelora.InputInfo, error) {
	defer o.note(time.Now(), text)
	return o.Embedder.EmbedWithInfo(ctx, text)
}

func (o *observer) EmbedBatchWithInfo(ctx context.Context, texts []string) ([][]float32, []cachelora.InputInfo, error) {
	defer o.note(time.Now(), texts...)
	return o.Embedder.EmbedBatchWithInfo(ctx, texts)
}

func (o *observer) note(started time.Time, texts ...string) {
	share := time.Since(started).Seconds() / float64(len(texts))
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, text := range texts {
		o.took[unsafe.StringData(text)] = share
	}
}

// seconds returns how long each of the texts was computed.
func (o *observer) seconds(texts []string) []float64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	found := make([]float64, len(texts))
	for i, text := range texts {
		found[i] = o.took[unsafe.StringData(text)]
	}
	return found
}

// copies returns the chosen texts, each in memory of its own.
func copies(texts []string, chosen []int) []string {
	made := make([]string, len(chosen))
	for i, text := range chosen {
		made[i] = strings.Clone(texts[text])
	}
	return made
}
