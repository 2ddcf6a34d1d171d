// The C ABI, called as a C program calls it: what works, what is refused, and that nothing is left behind.
//
//     abi BUNDLE
//
// SPDX-License-Identifier: Apache-2.0

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

static void test_versions(void)
{
    CHECK(cachelora_abi_version() == CACHELORA_ABI_VERSION);
    CHECK(cachelora_abi_1 == CACHELORA_ABI_VERSION);
    CHECK(strchr(cachelora_version(), '.') != NULL);
}

static void test_embed(const cachelora_embedder *embedder)
{
    const size_t dimension = cachelora_dimension(embedder);
    float *vector = calloc(dimension + 1, sizeof *vector);
    vector[dimension] = 42.0F;
    cachelora_input_info info = {0};
    const char *text = "how can i reset my password";
    CHECK(cachelora_embed(embedder, bytes(text), strlen(text), vector, dimension, &info, NULL) == CACHELORA_OK);
    CHECK(vector[dimension] == 42.0F);
    CHECK(info.tokens == 8 && info.truncated == 0);
    float similarity = 0.0F;
    CHECK(cachelora_similarity(vector, vector, dimension, &similarity, NULL) == CACHELORA_OK);
    CHECK(fabsf(similarity - 1.0F) < 1e-5F);

    // Empty text and NUL bytes are texts like others.
    CHECK(cachelora_embed(embedder, NULL, 0, vector, dimension, &info, NULL) == CACHELORA_OK);
    CHECK(info.tokens == 2);
    CHECK(cachelora_embed(embedder, bytes("a\0b"), 3, vector, dimension, NULL, NULL) == CACHELORA_OK);

    CHECK_FAILS(cachelora_embed(NULL, bytes("a"), 1, vector, dimension, NULL, &err), CACHELORA_INVALID_ARGUMENT, "embedder");
    CHECK_FAILS(cachelora_embed(embedder, NULL, 1, vector, dimension, NULL, &err), CACHELORA_INVALID_ARGUMENT, "utf8");
    CHECK_FAILS(cachelora_embed(embedder, bytes("a"), 1, NULL, dimension, NULL, &err), CACHELORA_INVALID_ARGUMENT, "out");
    CHECK_FAILS(cachelora_embed(embedder, bytes("a"), 1, vector, 3, NULL, &err), CACHELORA_BUFFER_TOO_SMALL, "3 floats");
    CHECK_FAILS(cachelora_embed(embedder, bytes("\xff"), 1, vector, dimension, NULL, &err), CACHELORA_INVALID_UTF8, "UTF-8");
    free(vector);
}

static void test_batch(const cachelora_embedder *embedder)
{
    const size_t dimension = cachelora_dimension(embedder);
    const char *joined = "how can i reset my passwordcard refunda";
    const size_t offsets[] = {0, 27, 38, 38, 39};
    enum { COUNT = 4 };
    float *vectors = malloc(COUNT * dimension * sizeof *vectors);
    float *alone = malloc(dimension * sizeof *alone);
    cachelora_input_info infos[COUNT] = {0};
    CHECK(cachelora_embed_batch(embedder, bytes(joined), strlen(joined), offsets, COUNT, vectors, COUNT * dimension, infos,
                                NULL) == CACHELORA_OK);
    for (size_t i = 0; i < COUNT; i++) {
        cachelora_input_info info = {0};
        CHECK(cachelora_embed(embedder, bytes(joined) + offsets[i], offsets[i + 1] - offsets[i], alone, dimension, &info,
                              NULL) == CACHELORA_OK);
        CHECK(info.tokens == infos[i].tokens);
        for (size_t j = 0; j < dimension; j++) {
            CHECK(fabsf(alone[j] - vectors[i * dimension + j]) <= 1e-6F);
        }
    }
    CHECK(cachelora_embed_batch(embedder, NULL, 0, NULL, 0, NULL, 0, NULL, NULL) == CACHELORA_OK);

    const size_t backward[] = {0, 5, 3};
    const size_t beyond[] = {0, 5, 1000};
    CHECK_FAILS(cachelora_embed_batch(embedder, bytes(joined), 10, backward, 2, vectors, 2 * dimension, NULL, &err),
                CACHELORA_INVALID_ARGUMENT, "text 1");
    CHECK_FAILS(cachelora_embed_batch(embedder, bytes(joined), 10, beyond, 2, vectors, 2 * dimension, NULL, &err),
                CACHELORA_INVALID_ARGUMENT, "5 to 1000 of 10");
    CHECK_FAILS(cachelora_embed_batch(embedder, bytes(joined), 39, offsets, COUNT, vectors, dimension, NULL, &err),
                CACHELORA_BUFFER_TOO_SMALL, "needed");
    CHECK_FAILS(cachelora_embed_batch(embedder, bytes(joined), 39, NULL, COUNT, vectors, COUNT * dimension, NULL, &err),
                CACHELORA_INVALID_ARGUMENT, "offsets");
    CHECK_FAILS(cachelora_embed_batch(embedder, bytes(joined), 39, offsets, SIZE_MAX, vectors, dimension, NULL, &err),
                CACHELORA_INVALID_ARGUMENT, "count");
    free(alone);
    free(vectors);
}

static void test_describe(const cachelora_embedder *embedder)
{
    CHECK(cachelora_max_tokens(embedder) == 128);
    CHECK(cachelora_fingerprint(embedder).len == 64);
    CHECK(strcmp(cachelora_backend(embedder).data, "onnxruntime") == 0);
    CHECK(strstr(cachelora_onnxruntime(embedder).data, "onnxruntime") != NULL);
    CHECK(cachelora_kernel(embedder).len == 0 && cachelora_kernel(NULL).len == 0);
    CHECK(cachelora_dimension(NULL) == 0 && cachelora_max_tokens(NULL) == 0 && cachelora_fingerprint(NULL).len == 0);

    float threshold = 0.0F;
    CHECK(cachelora_threshold(embedder, "all", 3, 0.05, &threshold, NULL) == CACHELORA_OK);
    CHECK(threshold == 0.875F);
    CHECK_FAILS(cachelora_threshold(embedder, "all", 3, 0.01, &threshold, &err), CACHELORA_NOT_CALIBRATED, "0.05");
}

static void test_open(const char *bundle)
{
    cachelora_embedder *embedder = (cachelora_embedder *)bundle;
    CHECK_FAILS(cachelora_open("nowhere", 7, NULL, &embedder, &err), CACHELORA_BUNDLE_NOT_FOUND, "nowhere");
    CHECK(embedder == NULL);
    CHECK_FAILS(cachelora_open(bundle, strlen(bundle), NULL, NULL, &err), CACHELORA_INVALID_ARGUMENT, "out");
    CHECK_FAILS(cachelora_open(NULL, 3, NULL, &embedder, &err), CACHELORA_INVALID_ARGUMENT, "dir");

    cachelora_options options = CACHELORA_OPTIONS_INIT;
    options.on_too_long = CACHELORA_TOO_LONG_REJECT;
    options.threads = 2;
    CHECK(cachelora_open(bundle, strlen(bundle), &options, &embedder, NULL) == CACHELORA_OK);
    enum { LONG = 4000 };
    char text[LONG];
    for (size_t i = 0; i < LONG; i++) {
        text[i] = i % 2 == 0 ? 'a' : ' ';
    }
    float vector[32];
    CHECK_FAILS(cachelora_embed(embedder, bytes(text), LONG, vector, 32, NULL, &err), CACHELORA_INPUT_TOO_LONG, "2002 tokens");
    cachelora_free(embedder);

    const cachelora_options fused = {.struct_size = sizeof fused, .backend = CACHELORA_BACKEND_FUSED};
    CHECK_FAILS(cachelora_open(bundle, strlen(bundle), &fused, &embedder, &err), CACHELORA_BUNDLE_INVALID, "encoder.int8");
    const cachelora_options none = {.struct_size = sizeof none, .backend = 3};
    CHECK_FAILS(cachelora_open(bundle, strlen(bundle), &none, &embedder, &err), CACHELORA_INVALID_ARGUMENT, "backend");

    options.struct_size = 1;
    CHECK_FAILS(cachelora_open(bundle, strlen(bundle), &options, &embedder, &err), CACHELORA_INVALID_ARGUMENT, "struct_size");
}

struct job {
    const cachelora_embedder *embedder;
    const float *expected;
    size_t dimension;
    int wrong;
};

static void *embed_often(void *argument)
{
    struct job *job = argument;
    float *vector = malloc(job->dimension * sizeof *vector);
    for (int i = 0; i < 200; i++) {
        if (cachelora_embed(job->embedder, bytes("card refund"), 11, vector, job->dimension, NULL, NULL) != CACHELORA_OK ||
            memcmp(vector, job->expected, job->dimension * sizeof *vector) != 0) {
            job->wrong++;
        }
    }
    free(vector);
    cachelora_free(job->embedder);
    return NULL;
}

// Each thread has a reference of its own, so the opener may let go first.
static void test_threads(const char *bundle)
{
    enum { THREADS = 8 };
    cachelora_embedder *embedder = open_bundle(bundle);
    const size_t dimension = cachelora_dimension(embedder);
    float *expected = malloc(dimension * sizeof *expected);
    CHECK(cachelora_embed(embedder, bytes("card refund"), 11, expected, dimension, NULL, NULL) == CACHELORA_OK);
    pthread_t threads[THREADS];
    struct job jobs[THREADS];
    for (int i = 0; i < THREADS; i++) {
        jobs[i] = (struct job){cachelora_retain(embedder), expected, dimension, 0};
        CHECK(pthread_create(&threads[i], NULL, embed_often, &jobs[i]) == 0);
    }
    cachelora_free(embedder);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        CHECK(jobs[i].wrong == 0);
    }
    free(expected);
}

static void count_message(uint32_t level, const char *message, size_t len, void *user_data)
{
    (void)level;
    if (len > 0 && message != NULL) {
        ++*(int *)user_data;
    }
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: %s BUNDLE\n", argv[0]);
        return 2;
    }
    int messages = 0;
    cachelora_set_log_callback(count_message, &messages, CACHELORA_LOG_INFO);
    test_versions();
    cachelora_embedder *embedder = open_bundle(argv[1]);
    CHECK(messages > 0);
    cachelora_set_log_callback(NULL, NULL, 0);
    test_embed(embedder);
    test_batch(embedder);
    test_describe(embedder);
    cachelora_free(embedder);
    test_open(argv[1]);
    test_threads(argv[1]);
    cachelora_free(NULL);
    CHECK(cachelora_retain(NULL) == NULL);
    CHECK(cachelora_error_status(NULL) == CACHELORA_OK && cachelora_error_message(NULL).len == 0);
    cachelora_error_free(NULL);
    printf("C ABI: %d passed, %d failed\n", checks - failures, failures);
    return failures != 0;
}
