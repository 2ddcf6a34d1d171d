//go:build cgo && !nocgo

package main

/*
#cgo CFLAGS: -I${SRCDIR}/../include
#include <stdint.h>
#include <time.h>
#include "cachelora.h"

static double seconds(int cpu)
{
    struct timespec now;
    clock_gettime(cpu ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

// Embeds one text `calls` times and returns the seconds that this took, or -1 where a call failed.
static double embed_loop(const cachelora_embedder *embedder, const uint8_t *utf8, size_t len, float *out,
                         size_t capacity, int calls, int cpu)
{
    cachelora_input_info info;
    const double start = seconds(cpu);
    for (int i = 0; i < calls; i++) {
        if (cachelora_embed(embedder, utf8, len, out, capacity, &info, NULL) != CACHELORA_OK) {
            return -1;
        }
    }
    return seconds(cpu) - start;
}
*/
import "C"

import (
	"context"
	"errors"
	"reflect"
	"runtime"
	"time"
	"unsafe"

	cachelora "github.com/cachelora/cachelora/native/go"
)

// A turn is as many calls as this takes: short beside what a machine does otherwise, long beside reading a clock.
const overheadTurn = 10 * time.Millisecond

func measureOverhead(embedder *cachelora.Embedder, duration time.Duration, cpu bool) (overhead, error) {
	text, err := textOfTokens(embedder, overheadTokens)
	if err != nil {
		return overhead{}, err
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	// The handle is nobody's business but here: a second one would have weights of its own, and the two loops would
	// drive each other's out of the cache.
	handle := (*C.cachelora_embedder)(reflect.ValueOf(embedder).Elem().FieldByName("handle").UnsafePointer())
	defer runtime.KeepAlive(embedder)
	vector := make([]float32, embedder.Dimension())
	clock, processor := "wall", C.int(0)
	if cpu {
		clock, processor = "cpu", 1
	}
	inC := func(calls int) (float64, error) {
		took := C.embed_loop(handle, (*C.uint8_t)(unsafe.Pointer(unsafe.StringData(text))), C.size_t(len(text)),
			(*C.float)(unsafe.SliceData(vector)), C.size_t(len(vector)), C.int(calls), processor)
		if took < 0 {
			return 0, errors.New("cachelora_embed failed")
		}
		return float64(took) / float64(calls), nil
	}
	inGo := func(calls int) (float64, error) {
		start := C.seconds(processor)
		for range calls {
			if _, err := embedder.Embed(context.Background(), text); err != nil {
				return 0, err
			}
		}
		return float64(C.seconds(processor)-start) / float64(calls), nil
	}
	once, err := inC(20)
	if err != nil {
		return overhead{}, err
	}
	calls := max(1, int(overheadTurn.Seconds()/once))
	rounds := max(10, int(duration/(2*overheadTurn)))
	fromGo, fromC, share := make([]float64, rounds), make([]float64, rounds), make([]float64, rounds)
	for i := range rounds {
		// Who goes first changes, so that neither always inherits the other's caches.
		order := []func(int) (float64, error){inGo, inC}
		times := []*float64{&fromGo[i], &fromC[i]}
		for j := range order {
			k := (i + j) % 2
			if *times[k], err = order[k](calls); err != nil {
				return overhead{}, err
			}
		}
		share[i] = fromGo[i]/fromC[i] - 1
		fromGo[i] *= 1e6
		fromC[i] *= 1e6
	}
	return overhead{
		Unit: "microseconds", Clock: clock, Tokens: overheadTokens, Rounds: rounds, CallsPerTurn: calls,
		Go: spreadOf(fromGo), C: spreadOf(fromC), Share: spreadOf(share), Target: targetOverhead,
	}, nil
}
