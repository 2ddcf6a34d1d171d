// What the tests of the C ABI share: checks that count, and a bundle to check on.
//
// SPDX-License-Identifier: Apache-2.0

#ifndef CACHELORA_TESTS_CHECK_H
#define CACHELORA_TESTS_CHECK_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cachelora.h"

static int failures = 0;
static int checks = 0;

#define CHECK(condition)                                                       \
    do {                                                                       \
        checks++;                                                              \
        if (!(condition)) {                                                    \
            failures++;                                                        \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);    \
        }                                                                      \
    } while (0)

// Expects a call to fail with a status, a message that contains a word, and frees the error.
#define CHECK_FAILS(call, expected, word)                                      \
    do {                                                                       \
        cachelora_error *err = NULL;                                           \
        const cachelora_status status = (call);                                \
        CHECK(status == (expected));                                           \
        CHECK(err != NULL && cachelora_error_status(err) == (expected));       \
        const cachelora_str message = cachelora_error_message(err);            \
        CHECK(message.len == strlen(message.data));                            \
        if (strstr(message.data, (word)) == NULL) {                            \
            failures++;                                                        \
            fprintf(stderr, "%s:%d: message: %s\n", __FILE__, __LINE__, message.data); \
        }                                                                      \
        cachelora_error_free(err);                                             \
    } while (0)

static const uint8_t *bytes(const char *text)
{
    return (const uint8_t *)text;
}

static cachelora_embedder *open_bundle(const char *bundle)
{
    cachelora_error *err = NULL;
    cachelora_embedder *embedder = NULL;
    if (cachelora_open(bundle, strlen(bundle), NULL, &embedder, &err) != CACHELORA_OK) {
        fprintf(stderr, "open: %s\n", cachelora_error_message(err).data);
        exit(1);
    }
    CHECK(err == NULL);
    return embedder;
}

#endif
