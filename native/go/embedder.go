//go:build cgo && !nocgo

package cachelora

/*
#cgo CFLAGS: -I${SRCDIR}/include
#include <stdlib.h>
#include "cachelora.h"
*/
import "C"

import (
	"context"
	"fmt"
	"math"
	"strings"
	"sync"
	"unsafe"
)

// Between this many texts EmbedBatch looks whether its context has ended.
const textsPerCall = 64

// Embedder is an opened bundle.
type Embedder struct {
	// Calls hold the reading side while they run, so that Close waits for them. Readers never wait for
	// each other.
	mu     sync.RWMutex
	handle *C.cachelora_embedder

	dimension   int
	maxTokens   int
	backend     string
	kernel      string
	fingerprint string
}

// Open verifies the bundle in dir and loads its model.
//
// The failures are ErrBundle..., [ErrSchemaUnsupported], [ErrTokenizer] and ErrRuntime....
func Open(dir string, opts ...Option) (*Embedder, error) {
	if abi := uint32(C.cachelora_abi_version()); abi != C.CACHELORA_ABI_VERSION {
		return nil, fmt.Errorf("cachelora: libcachelora has ABI version %d, this package needs %d", abi, C.CACHELORA_ABI_VERSION)
	}
	var chosen options
	for _, opt := range opts {
		opt(&chosen)
	}
	if chosen.threads < 0 || chosen.threads > math.MaxUint16 {
		return nil, &Error{CodeInvalidArgument, fmt.Sprintf("WithThreads(%d): 0 to %d was expected", chosen.threads, math.MaxUint16)}
	}
	native := C.cachelora_options{
		struct_size: C.sizeof_cachelora_options,
		threads:     C.uint32_t(chosen.threads),
		backend:     C.uint32_t(chosen.backend),
	}
	if chosen.rejectTooLong {
		native.on_too_long = C.CACHELORA_TOO_LONG_REJECT
	}
	if chosen.onnxRuntime != "" {
		// C memory, because a structure that is passed to C must not point into Go's.
		path := C.CString(chosen.onnxRuntime)
		defer C.free(unsafe.Pointer(path))
		native.onnxruntime_path = path
		native.onnxruntime_path_len = C.size_t(len(chosen.onnxRuntime))
	}
	var handle *C.cachelora_embedder
	var failure *C.cachelora_error
	status := C.cachelora_open(
		(*C.char)(unsafe.Pointer(unsafe.StringData(dir))), C.size_t(len(dir)), &native, &handle, &failure)
	if err := takeError(status, failure); err != nil {
		return nil, err
	}
	return &Embedder{
		handle:      handle,
		dimension:   int(C.cachelora_dimension(handle)),
		maxTokens:   int(C.cachelora_max_tokens(handle)),
		backend:     goString(C.cachelora_backend(handle)),
		kernel:      goString(C.cachelora_kernel(handle)),
		fingerprint: goString(C.cachelora_fingerprint(handle)),
	}, nil
}

// Embed returns the unit vector of text. It computes on the calling goroutine's thread; a context that has
// ended before that is returned as its error.
func (e *Embedder) Embed(ctx context.Context, text string) ([]float32, error) {
	vector, _, err := e.EmbedWithInfo(ctx, text)
	return vector, err
}

// EmbedWithInfo is Embed, and says what became of the text.
func (e *Embedder) EmbedWithInfo(ctx context.Context, text string) ([]float32, InputInfo, error) {
	if err := ctx.Err(); err != nil {
		return nil, InputInfo{}, err
	}
	e.mu.RLock()
	defer e.mu.RUnlock()
	if e.handle == nil {
		return nil, InputInfo{}, ErrClosed
	}
	vector := make([]float32, e.dimension)
	var info C.cachelora_input_info
	var failure *C.cachelora_error
	status := C.cachelora_embed(e.handle,
		(*C.uint8_t)(unsafe.Pointer(unsafe.StringData(text))), C.size_t(len(text)),
		(*C.float)(unsafe.SliceData(vector)), C.size_t(len(vector)), &info, &failure)
	if err := takeError(status, failure); err != nil {
		return nil, InputInfo{}, err
	}
	return vector, InputInfo{Tokens: int(info.tokens), Truncated: info.truncated != 0}, nil
}

// EmbedBatch returns the unit vectors of texts, in their order. A context that ends meanwhile is noticed
// after at most a few dozen texts.
func (e *Embedder) EmbedBatch(ctx context.Context, texts []string) ([][]float32, error) {
	vectors, _, err := e.EmbedBatchWithInfo(ctx, texts)
	return vectors, err
}

// EmbedBatchWithInfo is EmbedBatch, and says what became of each text.
func (e *Embedder) EmbedBatchWithInfo(ctx context.Context, texts []string) ([][]float32, []InputInfo, error) {
	vectors := make([][]float32, 0, len(texts))
	infos := make([]InputInfo, 0, len(texts))
	for start := 0; start < len(texts); start += textsPerCall {
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
		part, partInfos, err := e.embedPart(texts[start:min(start+textsPerCall, len(texts))])
		if err != nil {
			return nil, nil, err
		}
		for i := 0; i < len(part); i += e.dimension {
			vectors = append(vectors, part[i:i+e.dimension:i+e.dimension])
		}
		for _, info := range partInfos {
			infos = append(infos, InputInfo{Tokens: int(info.tokens), Truncated: info.truncated != 0})
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	return vectors, infos, nil
}

func (e *Embedder) embedPart(texts []string) ([]float32, []C.cachelora_input_info, error) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	if e.handle == nil {
		return nil, nil, ErrClosed
	}
	joined := strings.Join(texts, "")
	offsets := make([]C.size_t, len(texts)+1)
	end := 0
	for i, text := range texts {
		end += len(text)
		offsets[i+1] = C.size_t(end)
	}
	out := make([]float32, len(texts)*e.dimension)
	infos := make([]C.cachelora_input_info, len(texts))
	var failure *C.cachelora_error
	status := C.cachelora_embed_batch(e.handle,
		(*C.uint8_t)(unsafe.Pointer(unsafe.StringData(joined))), C.size_t(len(joined)),
		unsafe.SliceData(offsets), C.size_t(len(texts)),
		(*C.float)(unsafe.SliceData(out)), C.size_t(len(out)), unsafe.SliceData(infos), &failure)
	if err := takeError(status, failure); err != nil {
		return nil, nil, err
	}
	return out, infos, nil
}

// Threshold returns the similarity from which on an answer cached for domain ("all" is every domain
// together) may be reused, so that at most the share maxFalseHitRate of near misses would wrongly be
// served. A budget that was not calibrated is [ErrNotCalibrated]; its message lists those that were.
func (e *Embedder) Threshold(domain string, maxFalseHitRate float64) (float32, error) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	if e.handle == nil {
		return 0, ErrClosed
	}
	var threshold C.float
	var failure *C.cachelora_error
	status := C.cachelora_threshold(e.handle,
		(*C.char)(unsafe.Pointer(unsafe.StringData(domain))), C.size_t(len(domain)),
		C.double(maxFalseHitRate), &threshold, &failure)
	if err := takeError(status, failure); err != nil {
		return 0, err
	}
	return float32(threshold), nil
}

// Dimension returns the length of a vector.
func (e *Embedder) Dimension() int { return e.dimension }

// MaxTokens returns how many tokens of a text the model reads, special tokens included.
func (e *Embedder) MaxTokens() int { return e.maxTokens }

// Backend returns the name of the encoder, "fused" or "onnxruntime".
func (e *Embedder) Backend() string { return e.backend }

// Kernel returns which kernel the fused encoder uses, for instance "avx512vnni"; empty where ONNX Runtime
// computes.
func (e *Embedder) Kernel() string { return e.kernel }

// Fingerprint returns the namespace of the embedder's vectors: those of two fingerprints must never be
// compared. BackendONNXRuntime has one of its own where the bundle's usual encoder is the fused one.
func (e *Embedder) Fingerprint() string { return e.fingerprint }

// Close waits for the calls in flight and frees the model. Later calls return [ErrClosed]; closing again
// does nothing.
func (e *Embedder) Close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.handle != nil {
		C.cachelora_free(e.handle)
		e.handle = nil
	}
	return nil
}

// takeError turns a status and its owned error into a Go error, and frees the latter.
func takeError(status C.cachelora_status, failure *C.cachelora_error) error {
	if status == C.CACHELORA_OK {
		return nil
	}
	defer C.cachelora_error_free(failure)
	return &Error{Code(status), goString(C.cachelora_error_message(failure))}
}

func goString(text C.cachelora_str) string {
	return C.GoStringN(text.data, C.int(text.len))
}
