// SPDX-License-Identifier: Apache-2.0
//
// cachelora: sentence vectors for semantic caches.
//
//     cachelora_error *err = NULL;
//     cachelora_embedder *embedder = NULL;
//     if (cachelora_open("bundle", 6, NULL, &embedder, &err) != CACHELORA_OK) {
//         fprintf(stderr, "%s\n", cachelora_error_message(err).data);
//         cachelora_error_free(err);
//         return 1;
//     }
//     float *vector = malloc(cachelora_dimension(embedder) * sizeof *vector);
//     cachelora_embed(embedder, (const uint8_t *)"hello", 5, vector, cachelora_dimension(embedder), NULL, NULL);
//     free(vector);
//     cachelora_free(embedder);
//
// Texts are a pointer and a length in bytes, always UTF-8, never NUL-terminated on the way in.
// A call returns a status; where it takes `err`, a failure also stores an error there that the caller
// frees, on any thread. `err` may be NULL. Nothing is printed; see cachelora_set_log_callback. What a call
// writes to may not overlap what it reads: CACHELORA_INVALID_ARGUMENT.
//
// Generated from native/capi/src; do not edit.

#ifndef CACHELORA_H
#define CACHELORA_H

#include <stddef.h>
#include <stdint.h>

// A cachelora_options with every default.
#define CACHELORA_OPTIONS_INIT {sizeof(cachelora_options), 0, 0, NULL, 0, 0, 0}


// The version of the ABI that this library has. It grows when a function or structure changes so that
// old callers would break; new functions and new trailing fields of structures do not change it.
#define CACHELORA_ABI_VERSION 1

// Something failed that the caller hears of in another way too.
#define CACHELORA_LOG_ERROR 1

// Something is not as it should be, but works.
#define CACHELORA_LOG_WARN 2

// What was chosen, once per open.
#define CACHELORA_LOG_INFO 3

// What developers of cachelora want to know.
#define CACHELORA_LOG_DEBUG 4

// What happens to a text with more tokens than the model reads: its first tokens are used, and
// `truncated` says so.
#define CACHELORA_TOO_LONG_TRUNCATE 0

// What happens to a text with more tokens than the model reads: CACHELORA_INPUT_TOO_LONG.
#define CACHELORA_TOO_LONG_REJECT 1

// The encoder: the fused one where the bundle has its weights, else ONNX Runtime.
#define CACHELORA_BACKEND_AUTO 0

// The encoder: the fused one; a bundle without its weights is CACHELORA_BUNDLE_INVALID.
#define CACHELORA_BACKEND_FUSED 1

// The encoder: ONNX Runtime, the float32 reference.
#define CACHELORA_BACKEND_ONNXRUNTIME 2

// What a call returns. Every failure also sets the call's `err`, unless that is NULL.
typedef enum {
    // The call did what was asked.
    CACHELORA_OK = 0,
    // An argument can't be used: NULL, out of range, or inconsistent with another.
    CACHELORA_INVALID_ARGUMENT = 1,
    // A text is not valid UTF-8.
    CACHELORA_INVALID_UTF8 = 2,
    // The caller's buffer is too small; the message says how large it must be.
    CACHELORA_BUFFER_TOO_SMALL = 3,
    // The bundle directory, or a file that its manifest lists, is missing.
    CACHELORA_BUNDLE_NOT_FOUND = 10,
    // A file of the bundle does not have the expected form.
    CACHELORA_BUNDLE_INVALID = 11,
    // A file of the bundle is not the one that the manifest describes.
    CACHELORA_BUNDLE_CORRUPT = 12,
    // The bundle was written in a newer major schema.
    CACHELORA_SCHEMA_UNSUPPORTED = 13,
    // The tokenizer can't be read or failed on a text.
    CACHELORA_TOKENIZER = 14,
    // No ONNX Runtime library was found.
    CACHELORA_RUNTIME_NOT_FOUND = 20,
    // A library was found, but it is no usable ONNX Runtime.
    CACHELORA_RUNTIME_INVALID = 21,
    // The ONNX Runtime that was found is too old.
    CACHELORA_RUNTIME_TOO_OLD = 22,
    // A text is longer than the model reads, and the policy is to reject it.
    CACHELORA_INPUT_TOO_LONG = 30,
    // The model could not be run, or its vector is not a unit vector.
    CACHELORA_INFERENCE = 31,
    // No threshold was calibrated for this domain and budget.
    CACHELORA_NOT_CALIBRATED = 32,
    // A defect of this library; the call had no effect. Please report it.
    CACHELORA_PANIC = 90,
} cachelora_status;

// An opened bundle. Reference-counted: cachelora_open returns it with one reference, cachelora_retain
// adds one, cachelora_free gives one back. Every function that takes it as `const` may run on one handle
// from any number of threads at once, without a lock around inference.
//
// A handle is looked up before it is used. One that was freed, an error, or any other pointer is
// CACHELORA_INVALID_ARGUMENT where a status is returned; where none is, the answer is as for NULL. A handle's
// address goes to no new object until 4096 more handles were freed. A call keeps what it uses, so that
// freeing a handle on one thread lets the calls that run on others end in peace, and refuses later ones.
//
// In a child of fork() a handle works on, unless a call was using it on another thread at that moment: then
// embedding is CACHELORA_INVALID_ARGUMENT in the child, which opens the bundle anew.
typedef struct cachelora_embedder cachelora_embedder;

// A status and its message. The caller owns it and frees it with cachelora_error_free, on any thread.
typedef struct cachelora_error cachelora_error;

// How a bundle is opened. Begin with CACHELORA_OPTIONS_INIT and set what should differ; zero means the
// default in every field.
//
// The structure may grow at its end. `struct_size` tells the library which fields the caller knows; a
// field that the library does not know must be zero.
typedef struct {
    // sizeof(cachelora_options)
    size_t struct_size;
    // CACHELORA_TOO_LONG_TRUNCATE or CACHELORA_TOO_LONG_REJECT.
    uint32_t on_too_long;
    // How many threads share the work of one batch; 0 means 1. One text always runs on its caller's
    // thread.
    uint32_t threads;
    // The ONNX Runtime library file, in UTF-8; NULL searches for one: the variable
    // CACHELORA_ONNXRUNTIME, an installed Python wheel, the system's libraries.
    const char *onnxruntime_path;
    // The number of bytes of onnxruntime_path.
    size_t onnxruntime_path_len;
    // CACHELORA_BACKEND_AUTO, CACHELORA_BACKEND_FUSED or CACHELORA_BACKEND_ONNXRUNTIME.
    uint32_t backend;
    // Must be 0.
    uint32_t reserved;
} cachelora_options;

// What became of one text.
typedef struct {
    // The true number of tokens of the whole text, special tokens included.
    uint64_t tokens;
    // 1 if only the first cachelora_max_tokens of them were used, else 0.
    uint32_t truncated;
    // Always 0.
    uint32_t reserved;
} cachelora_input_info;

// A text that somebody else owns: `len` bytes of UTF-8 at `data`, followed by a NUL.
typedef struct {
    // The first byte; never NULL.
    const char *data;
    // The number of bytes without the final NUL.
    size_t len;
} cachelora_str;

// Receives one message: its level, and `len` bytes of UTF-8 at `message` that are valid during the call
// and not NUL-terminated. It may be called from any thread and must not call back into cachelora.
typedef void (*cachelora_log_callback)(uint32_t level,
                                       const char *message,
                                       size_t len,
                                       void *user_data);

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// Exists only in libraries of ABI version 1. The header refers to it, so that a program does not link
// with a library of another ABI.
extern const uint32_t cachelora_abi_1;

// The ABI version of the library that is loaded; compare it with CACHELORA_ABI_VERSION.
uint32_t cachelora_abi_version(void);

// The library's version, such as "0.1.0": static and NUL-terminated.
const char *cachelora_version(void);

// Opens the bundle in the directory `dir` (UTF-8, `dir_len` bytes), verifying every file, and sets
// `*out`. `options` may be NULL. On failure `*out` is NULL and `*err`, unless err is NULL, says why.
cachelora_status cachelora_open(const char *dir,
                                size_t dir_len,
                                const cachelora_options *options,
                                cachelora_embedder **out,
                                cachelora_error **err);

// Adds a reference to `embedder` and returns it. NULL is allowed and returned; for what is no open handle
// NULL is returned.
const cachelora_embedder *cachelora_retain(const cachelora_embedder *embedder);

// Gives a reference to `embedder` back. With the last one the bundle is closed: calls that are still running
// on other threads end as they would have, the last of them releases the memory, and later calls are
// refused. NULL is allowed; what is no open handle is left alone, and logged.
void cachelora_free(const cachelora_embedder *embedder);

// Writes the vector of one text (UTF-8, `len` bytes; NUL bytes are text) to `out`, which has room for
// `capacity` floats, at least cachelora_dimension. `info` may be NULL. Runs on the caller's thread.
cachelora_status cachelora_embed(const cachelora_embedder *embedder,
                                 const uint8_t *utf8,
                                 size_t len,
                                 float *out,
                                 size_t capacity,
                                 cachelora_input_info *info,
                                 cachelora_error **err);

// Writes the vectors of `count` texts to `out`, row after row. All texts stand in one buffer of
// `utf8_len` bytes; text i is the bytes from offsets[i] up to offsets[i + 1], so there are count + 1
// offsets, none below the one before it. `out` has room for `capacity` floats, at least count *
// cachelora_dimension. `infos` is NULL or has room for `count` elements.
cachelora_status cachelora_embed_batch(const cachelora_embedder *embedder,
                                       const uint8_t *utf8,
                                       size_t utf8_len,
                                       const size_t *offsets,
                                       size_t count,
                                       float *out,
                                       size_t capacity,
                                       cachelora_input_info *infos,
                                       cachelora_error **err);

// The length of a vector; 0 for NULL.
size_t cachelora_dimension(const cachelora_embedder *embedder);

// How many tokens of a text the model reads, special tokens included; 0 for NULL.
size_t cachelora_max_tokens(const cachelora_embedder *embedder);

// The namespace of the handle's vectors, 64 hex digits: vectors of two fingerprints must never be
// compared. ONNX Runtime has one of its own where the bundle's usual encoder is the fused one. Valid while
// the handle lives; empty for NULL.
cachelora_str cachelora_fingerprint(const cachelora_embedder *embedder);

// Which encoder computes the vectors, "fused" or "onnxruntime". Valid while the handle lives; empty
// for NULL.
cachelora_str cachelora_backend(const cachelora_embedder *embedder);

// Which kernel the fused encoder uses, for instance "avx512vnni". Valid while the handle lives; empty where
// ONNX Runtime computes, and for NULL.
cachelora_str cachelora_kernel(const cachelora_embedder *embedder);

// The path of the ONNX Runtime library in use; empty where the fused encoder needs none, and for NULL.
// Valid while the handle lives.
cachelora_str cachelora_onnxruntime(const cachelora_embedder *embedder);

// Sets `*out` to the similarity from which on an answer cached for `domain` (UTF-8, `domain_len` bytes;
// "all" is every domain together) may be reused, so that at most the share `max_false_hit_rate` of near
// misses would wrongly be served. A budget that was not calibrated is CACHELORA_NOT_CALIBRATED.
cachelora_status cachelora_threshold(const cachelora_embedder *embedder,
                                     const char *domain,
                                     size_t domain_len,
                                     double max_false_hit_rate,
                                     float *out,
                                     cachelora_error **err);

// Sets `*out` to the cosine similarity of two vectors of `dimension` floats that cachelora wrote.
cachelora_status cachelora_similarity(const float *a,
                                      const float *b,
                                      size_t dimension,
                                      float *out,
                                      cachelora_error **err);

// Sends messages up to `level` (CACHELORA_LOG_ERROR to CACHELORA_LOG_DEBUG) to `callback`; NULL stops
// them, which is the state at the start. When the call returns, an earlier callback is not called any
// more. `callback` and `user_data` may be used from any thread until then. Inside the callback it does
// nothing.
void cachelora_set_log_callback(cachelora_log_callback callback,
                                void *user_data,
                                uint32_t level);

// The status of an error; CACHELORA_OK for NULL, and for what is no error or was freed.
cachelora_status cachelora_error_status(const cachelora_error *err);

// The message of an error, valid until the error is freed; an empty text for NULL, and for what is no error
// or was freed.
cachelora_str cachelora_error_message(const cachelora_error *err);

// Frees an error. NULL is allowed; what is no error, or was freed, is left alone, and logged.
void cachelora_error_free(cachelora_error *err);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* CACHELORA_H */

// Makes a program that was compiled with this header link only with a library of its ABI.
#if defined(__GNUC__) && !defined(CACHELORA_NO_LINK_GUARD)
#define CACHELORA_NO_LINK_GUARD
__attribute__((used)) static const uint32_t *const cachelora_link_guard = &cachelora_abi_1;
#endif
