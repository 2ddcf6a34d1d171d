// What a careless caller does to libcachelora_router.so: every call is answered as the router's library answers errors.
// Run with LD_PRELOAD and CACHELORA_BUNDLE; what it leaves allocated, Valgrind counts.
//
// SPDX-License-Identifier: Apache-2.0

// dlsym's RTLD_DEFAULT
#define _GNU_SOURCE

#include "router.h"

#include <dlfcn.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition)                                                                       \
    do {                                                                                       \
        if (!(condition)) {                                                                    \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                    \
            exit(1);                                                                           \
        }                                                                                      \
    } while (0)

static const char *const TEXT = "how can i reset my password";
static const char *const NO_UTF8 = "caf\xe9";

static bool no_vector(EmbeddingResult result)
{
    return result.error && result.data == NULL && result.length == 0;
}

static bool no_tokens(TokenizationResult result)
{
    free_tokenization_result(result);
    return result.error && result.token_ids == NULL && result.tokens == NULL && result.token_count == 0;
}

static bool none(SimilarityResult result)
{
    return result.index == -1 && result.score == -1.0F;
}

static void before_init(void)
{
    const char *candidates[] = {TEXT};
    CHECK(!is_similarity_model_initialized());
    CHECK(no_vector(get_text_embedding(TEXT, 0)));
    CHECK(no_tokens(tokenize_text(TEXT, 0)));
    CHECK(calculate_similarity(TEXT, TEXT, 0) == -1.0F);
    CHECK(none(find_most_similar(TEXT, candidates, 1, 0)));
    CHECK(!init_similarity_model(NULL, true));
    CHECK(!init_similarity_model(NO_UTF8, true));
    CHECK(!is_similarity_model_initialized());
}

// Many first calls at once: one of them opens the bundle.
static void *init(void *opened)
{
    *(bool *)opened = init_similarity_model("any", false);
    return NULL;
}

static void init_at_once(void)
{
    enum { THREADS = 8 };
    pthread_t threads[THREADS];
    bool opened[THREADS];
    int count = 0;
    for (int i = 0; i < THREADS; i++) {
        CHECK(pthread_create(&threads[i], NULL, init, &opened[i]) == 0);
    }
    for (int i = 0; i < THREADS; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
        count += opened[i];
    }
    CHECK(count == 1);
    CHECK(is_similarity_model_initialized());
    CHECK(!init_similarity_model("any", true));
    CHECK(is_similarity_model_initialized());
}

static void wrong_arguments(void)
{
    const char *candidates[] = {TEXT, NULL};
    const char *no_utf8[] = {NO_UTF8};
    CHECK(no_vector(get_text_embedding(NULL, 0)));
    CHECK(no_vector(get_text_embedding(NO_UTF8, 0)));
    CHECK(no_tokens(tokenize_text(NULL, 0)));
    CHECK(no_tokens(tokenize_text(NO_UTF8, 0)));
    CHECK(calculate_similarity(NULL, TEXT, 0) == -1.0F);
    CHECK(calculate_similarity(TEXT, NULL, 0) == -1.0F);
    CHECK(calculate_similarity(TEXT, NO_UTF8, 0) == -1.0F);
    CHECK(none(find_most_similar(NULL, candidates, 1, 0)));
    CHECK(none(find_most_similar(TEXT, NULL, 1, 0)));
    CHECK(none(find_most_similar(TEXT, candidates, 2, 0)));
    CHECK(none(find_most_similar(TEXT, no_utf8, 1, 0)));
    CHECK(none(find_most_similar(TEXT, candidates, 0, 0)));
    CHECK(none(find_most_similar(TEXT, candidates, -1, 0)));
    CHECK(none(find_most_similar(TEXT, candidates, INT_MIN, 0)));
    free_embedding(NULL, 0);
    free_embedding(NULL, INT_MAX);
}

static bool same_vector(int max_length, const EmbeddingResult *expected)
{
    const EmbeddingResult found = get_text_embedding(TEXT, max_length);
    const bool same = !found.error && found.length == expected->length &&
                      memcmp(found.data, expected->data, (size_t)found.length * sizeof(float)) == 0;
    // A wrong length does not change what is freed.
    free_embedding(found.data, max_length);
    return same;
}

static void lengths(void)
{
    const EmbeddingResult whole = get_text_embedding(TEXT, 0);
    CHECK(!whole.error && whole.model_type == -1 && whole.sequence_length == 8);
    CHECK(same_vector(-1, &whole) && same_vector(INT_MIN, &whole));
    CHECK(same_vector(8, &whole) && same_vector(512, &whole) && same_vector(INT_MAX, &whole));
    CHECK(!same_vector(7, &whole));
    free_embedding(whole.data, whole.length);
    // Two special tokens leave no room for text; a vector of nothing would equal any other text's.
    CHECK(no_vector(get_text_embedding(TEXT, 2)));
    CHECK(no_tokens(tokenize_text(TEXT, 1)));
    const TokenizationResult shortest = tokenize_text(TEXT, 3);
    CHECK(!shortest.error && shortest.token_count == 3);
    CHECK(strcmp(shortest.tokens[0], "[CLS]") == 0 && strcmp(shortest.tokens[1], "how") == 0);
    free_tokenization_result(shortest);
}

// The router's Rust declares a third field; its caller finds NULL there.
static void third_field(void)
{
    typedef struct {
        int index;
        float score;
        char *text;
    } Wide;
    _Static_assert(sizeof(Wide) == 16, "Wide");
    // Looked up, because the compiler knows the name by its narrow type.
    Wide (*find)(const char *, const char **, int, int) = NULL;
    void *const symbol = dlsym(RTLD_DEFAULT, "find_most_similar");
    CHECK(symbol != NULL);
    memcpy(&find, &symbol, sizeof find);
    const char *candidates[] = {"the court", TEXT};
    const Wide found = find(TEXT, candidates, 2, 0);
    CHECK(found.index == 1 && found.score > 0.999F && found.text == NULL);
}

// The router's library frees with its allocator, which is malloc's: a caller that bypasses our name is served too.
static void freed_by_malloc(void)
{
    free(get_text_embedding(TEXT, 0).data);
    const TokenizationResult tokens = tokenize_text(TEXT, 0);
    for (int i = 0; i < tokens.token_count; i++) {
        free(tokens.tokens[i]);
    }
    free(tokens.tokens);
    free(tokens.token_ids);
}

static void others_memory(void)
{
    EmbeddingResult other;
    CHECK(get_embedding_with_model_type(TEXT, "qwen3", 0, &other) == 0);
    CHECK(standin_vectors_lent() == 1);
    free_embedding(other.data, other.length);
    CHECK(standin_vectors_lent() == 0);
    free_tokenization_result(standin_tokens());
    CHECK(standin_tokens_lent() == 0);
    CHECK(classify_text(TEXT).class_ == 3);
}

int main(void)
{
    before_init();
    init_at_once();
    wrong_arguments();
    lengths();
    third_field();
    freed_by_malloc();
    others_memory();
    puts("refused what is wrong, and nothing else");
    return 0;
}
