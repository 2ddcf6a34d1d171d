// Router asks the library that it links as the vLLM semantic router asks its own, and prints what it got as JSON.
package main

// #cgo CFLAGS: -I${SRCDIR}/../standin -Wall -Wextra -Werror
// #cgo LDFLAGS: -L${SRCDIR}/../../../build/test/preload -lstandin -Wl,-rpath,${SRCDIR}/../../../build/test/preload
// #include <stdlib.h>
// #include "router.h"
import "C"

import (
	"encoding/json"
	"log"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"unsafe"
)

// A Question is what the test wants to know; it comes on stdin.
type Question struct {
	Texts     []string
	MaxLength int
	Threads   int
}

// An Answer is everything that came through the C functions.
type Answer struct {
	InitializedBefore, Init, Initialized, InitAgain bool

	Texts []OfText
	// Similarities are those of each text and the next.
	Similarities []float32
	// Index and Score are of the text most similar to the first among the others, Index counted among all.
	Index int
	Score float32

	Class                     int
	Confidence                float32
	Other                     []float32
	VectorsLent, TokensLent   int
	CallsAtOnce, Disagreement int64
}

// OfText is what is asked of each text.
type OfText struct {
	Vector         []float32
	Failed         bool
	SequenceLength int
	IDs            []int
	Tokens         []string
}

func vector(result C.EmbeddingResult) []float32 {
	if result.error {
		return nil
	}
	values := slices.Clone(unsafe.Slice((*float32)(unsafe.Pointer(result.data)), int(result.length)))
	C.free_embedding(result.data, result.length)
	return values
}

func ask(text string, maxLength int) OfText {
	cText := C.CString(text)
	defer C.free(unsafe.Pointer(cText))
	embedding := C.get_text_embedding(cText, C.int(maxLength))
	found := OfText{
		Vector:         vector(embedding),
		Failed:         bool(embedding.error),
		SequenceLength: int(embedding.sequence_length),
	}
	tokens := C.tokenize_text(cText, C.int(maxLength))
	defer C.free_tokenization_result(tokens)
	for _, id := range unsafe.Slice(tokens.token_ids, int(tokens.token_count)) {
		found.IDs = append(found.IDs, int(id))
	}
	for _, token := range unsafe.Slice(tokens.tokens, int(tokens.token_count)) {
		found.Tokens = append(found.Tokens, C.GoString(token))
	}
	return found
}

// atOnce asks for every text from many threads, each from another text on, and counts what differs from `expected`.
func atOnce(question Question, expected []OfText) (calls, differing int64) {
	var all, wrong atomic.Int64
	var threads sync.WaitGroup
	for thread := range question.Threads {
		threads.Add(1)
		go func() {
			defer threads.Done()
			for step := range question.Texts {
				index := (thread*7 + step) % len(question.Texts)
				found := ask(question.Texts[index], question.MaxLength)
				same := slices.Equal(found.Vector, expected[index].Vector) && slices.Equal(found.IDs, expected[index].IDs)
				all.Add(1)
				if !same {
					wrong.Add(1)
				}
			}
		}()
	}
	threads.Wait()
	return all.Load(), wrong.Load()
}

func main() {
	var question Question
	if err := json.NewDecoder(os.Stdin).Decode(&question); err != nil {
		log.Fatal(err)
	}
	model := C.CString("sentence-transformers/all-MiniLM-L6-v2")
	defer C.free(unsafe.Pointer(model))
	answer := Answer{
		InitializedBefore: bool(C.is_similarity_model_initialized()),
		Init:              bool(C.init_similarity_model(model, true)),
		Initialized:       bool(C.is_similarity_model_initialized()),
		InitAgain:         bool(C.init_similarity_model(model, true)),
	}

	texts := make([]*C.char, len(question.Texts))
	for index, text := range question.Texts {
		texts[index] = C.CString(text)
		answer.Texts = append(answer.Texts, ask(text, question.MaxLength))
	}
	for index := range len(texts) - 1 {
		similarity := C.calculate_similarity(texts[index], texts[index+1], C.int(question.MaxLength))
		answer.Similarities = append(answer.Similarities, float32(similarity))
	}
	nearest := C.find_most_similar(texts[0], &texts[1], C.int(len(texts)-1), C.int(question.MaxLength))
	answer.Index, answer.Score = int(nearest.index)+1, float32(nearest.score)

	class := C.classify_text(texts[0])
	answer.Class, answer.Confidence = int(class.class_), float32(class.confidence)
	var other C.EmbeddingResult
	C.get_embedding_with_model_type(texts[0], model, 0, &other)
	answer.Other = vector(other)
	C.free_tokenization_result(C.standin_tokens())
	answer.CallsAtOnce, answer.Disagreement = atOnce(question, answer.Texts)
	answer.VectorsLent, answer.TokensLent = int(C.standin_vectors_lent()), int(C.standin_tokens_lent())
	if err := json.NewEncoder(os.Stdout).Encode(answer); err != nil {
		log.Fatal(err)
	}
}
