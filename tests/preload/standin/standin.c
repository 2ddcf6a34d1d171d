// Stands in for the router's library: the same names, answers that no model would give. What it lends lies in arrays
// of its own, so that a free() by anybody else ends the program.
//
// SPDX-License-Identifier: Apache-2.0

#include "router.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

static float vector[3] = {42.0F, 42.0F, 42.0F};
static int ids[1] = {42};
static char text[] = "standin";
static char *texts[1] = {text};
static atomic_int vectors = 0;
static atomic_int tokens = 0;

static EmbeddingResult lent_vector(int model_type)
{
    vectors++;
    return (EmbeddingResult){vector, 3, false, model_type, 1, 0.0F};
}

bool init_similarity_model(const char *model_id, bool use_cpu)
{
    return model_id != NULL && use_cpu;
}

bool is_similarity_model_initialized(void)
{
    return true;
}

EmbeddingResult get_text_embedding(const char *of, int max_length)
{
    (void)of, (void)max_length;
    return lent_vector(-1);
}

float calculate_similarity(const char *text1, const char *text2, int max_length)
{
    (void)text1, (void)text2, (void)max_length;
    return 42.0F;
}

SimilarityResult find_most_similar(const char *query, const char **candidates, int num_candidates, int max_length)
{
    (void)query, (void)candidates, (void)num_candidates, (void)max_length;
    return (SimilarityResult){42, 42.0F};
}

TokenizationResult standin_tokens(void)
{
    tokens++;
    return (TokenizationResult){ids, 1, texts, false};
}

TokenizationResult tokenize_text(const char *of, int max_length)
{
    (void)of, (void)max_length;
    return standin_tokens();
}

void free_tokenization_result(TokenizationResult result)
{
    if (result.token_ids != ids) {
        fprintf(stderr, "standin: tokens of somebody else\n");
        abort();
    }
    tokens--;
}

void free_embedding(float *data, int length)
{
    if (data != vector || length != 3) {
        fprintf(stderr, "standin: a vector of somebody else\n");
        abort();
    }
    vectors--;
}

ClassificationResult classify_text(const char *of)
{
    (void)of;
    return (ClassificationResult){3, 0.25F, NULL};
}

int get_embedding_with_model_type(const char *of, const char *model_type, int target_dim, EmbeddingResult *result)
{
    (void)of, (void)model_type, (void)target_dim;
    *result = lent_vector(0);
    return 0;
}

int standin_vectors_lent(void)
{
    return vectors;
}

int standin_tokens_lent(void)
{
    return tokens;
}
