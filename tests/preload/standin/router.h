// What a program of the vLLM semantic router expects of the library that it links: the functions that
// libcachelora_router.so stands before, and some that it must leave alone. Written from the signatures.
//
// SPDX-License-Identifier: Apache-2.0

#ifndef STANDIN_ROUTER_H
#define STANDIN_ROUTER_H

#include <stdbool.h>
#include <stddef.h>

typedef struct {
    float *data;
    int length;
    bool error;
    int model_type;
    int sequence_length;
    float processing_time_ms;
} EmbeddingResult;

typedef struct {
    int *token_ids;
    int token_count;
    char **tokens;
    bool error;
} TokenizationResult;

// The router's Go knows these two fields; its Rust returns a string besides.
typedef struct {
    int index;
    float score;
} SimilarityResult;

typedef struct {
    int class_;
    float confidence;
    char *label;
} ClassificationResult;

// The numbers to which native/router/src/layout.rs holds the Rust compiler.
_Static_assert(sizeof(EmbeddingResult) == 32, "EmbeddingResult");
_Static_assert(offsetof(EmbeddingResult, length) == 8, "length");
_Static_assert(offsetof(EmbeddingResult, error) == 12, "error");
_Static_assert(offsetof(EmbeddingResult, model_type) == 16, "model_type");
_Static_assert(offsetof(EmbeddingResult, sequence_length) == 20, "sequence_length");
_Static_assert(offsetof(EmbeddingResult, processing_time_ms) == 24, "processing_time_ms");
_Static_assert(sizeof(TokenizationResult) == 32, "TokenizationResult");
_Static_assert(offsetof(TokenizationResult, token_count) == 8, "token_count");
_Static_assert(offsetof(TokenizationResult, tokens) == 16, "tokens");
_Static_assert(offsetof(TokenizationResult, error) == 24, "error");
_Static_assert(sizeof(SimilarityResult) == 8, "SimilarityResult");
_Static_assert(offsetof(SimilarityResult, score) == 4, "score");

bool init_similarity_model(const char *model_id, bool use_cpu);
bool is_similarity_model_initialized(void);
EmbeddingResult get_text_embedding(const char *text, int max_length);
float calculate_similarity(const char *text1, const char *text2, int max_length);
SimilarityResult find_most_similar(const char *query, const char **candidates, int num_candidates, int max_length);
TokenizationResult tokenize_text(const char *text, int max_length);
void free_tokenization_result(TokenizationResult result);
void free_embedding(float *data, int length);

// A classifier, and a vector of another model, which goes back through free_embedding like any other.
ClassificationResult classify_text(const char *text);
int get_embedding_with_model_type(const char *text, const char *model_type, int target_dim, EmbeddingResult *result);

// The stand-in's own: how many of its vectors, and of its tokens, were not freed yet.
int standin_vectors_lent(void);
int standin_tokens_lent(void);
// Tokens of the stand-in, whoever else has the name tokenize_text.
TokenizationResult standin_tokens(void);

#endif
