// Embeds the same texts round and round from C, on several threads; see README.md.
//
//     soak-c BUNDLE SECONDS [leak|flip]
//
// SPDX-License-Identifier: Apache-2.0

#define _POSIX_C_SOURCE 200809L

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cachelora.h"

#define TEXTS 32
#define ROOM 4096
#define THREADS 2 // no more than there are cores: see README.md
#define LOST (64 * 1024) // bytes a round, where a leak was asked for

static const char *const WORDS[] = {"how", "can", "i", "reset", "my", "password", "card", "refund", "law", "court", "doctor"};
static const size_t LENGTHS[] = {0, 1, 4, 9, 16, 40, 100, 300};

static char joined[TEXTS * ROOM];
static size_t offsets[TEXTS + 1];

static cachelora_embedder *embedder;
static size_t dimension;
static float *first_alone, *first_batch; // TEXTS rows each

static atomic_bool stop;
static atomic_bool failed;
static atomic_ullong calls, vectors;
static bool leak;

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static void make_texts(void)
{
    const size_t words = sizeof WORDS / sizeof *WORDS;
    size_t end = 0;
    for (size_t i = 0; i < TEXTS; i++) {
        offsets[i] = end;
        const size_t length = LENGTHS[i % (sizeof LENGTHS / sizeof *LENGTHS)];
        for (size_t j = 0; j < length; j++) {
            end += (size_t)sprintf(joined + end, "%s%s", j == 0 ? "" : " ", WORDS[(5 * i + j) % words]);
        }
    }
    offsets[TEXTS] = end;
}

static void complain(const char *what, cachelora_error *err)
{
    fprintf(stderr, "soak-c: %s%s\n", what, cachelora_error_message(err).data);
    cachelora_error_free(err);
    failed = true;
    stop = true;
}

static bool embed_alone(size_t i, float *out)
{
    cachelora_error *err = NULL;
    if (cachelora_embed(embedder, (const uint8_t *)joined + offsets[i], offsets[i + 1] - offsets[i], out, dimension, NULL, &err) !=
        CACHELORA_OK) {
        complain("", err);
        return false;
    }
    calls++;
    vectors++;
    return true;
}

static bool embed_batch(float *out)
{
    cachelora_error *err = NULL;
    if (cachelora_embed_batch(embedder, (const uint8_t *)joined, offsets[TEXTS], offsets, TEXTS, out, TEXTS * dimension, NULL,
                              &err) != CACHELORA_OK) {
        complain("", err);
        return false;
    }
    calls++;
    vectors += TEXTS;
    return true;
}

// A failure has a message of its own, which must be freed too.
static bool fail_once(void)
{
    cachelora_error *err = NULL;
    float threshold = 0;
    if (cachelora_threshold(embedder, "none", 4, 0.5, &threshold, &err) == CACHELORA_OK) {
        complain("a threshold of a domain that is none", err);
        return false;
    }
    cachelora_error_free(err);
    calls++;
    return true;
}

static void compare(const float *found, const float *first, size_t count, const char *how)
{
    if (memcmp(found, first, count * sizeof *found) != 0) {
        complain(how, NULL);
    }
}

static void *repeat(void *unused)
{
    (void)unused;
    float *out = malloc(TEXTS * dimension * sizeof *out);
    if (out == NULL) {
        abort();
    }
    while (!stop && fail_once()) {
        for (size_t i = 0; i < TEXTS && !stop && embed_alone(i, out); i++) {
            compare(out, first_alone + i * dimension, dimension, "a vector differs from its first");
        }
        if (!stop && embed_batch(out)) {
            compare(out, first_batch, TEXTS * dimension, "a batch's vectors differ from its first");
        }
        if (leak) {
            // Never freed, and touched, so that it is resident.
            void *lost = malloc(LOST);
            if (lost != NULL) {
                memset(lost, 1, LOST);
            }
        }
    }
    free(out);
    return NULL;
}

// Returns this process's resident memory in KiB.
static long resident(void)
{
    FILE *status = fopen("/proc/self/status", "r");
    char line[256];
    long kib = -1;
    while (status != NULL && fgets(line, sizeof line, status) != NULL && sscanf(line, "VmRSS: %ld", &kib) != 1) {
    }
    if (status != NULL) {
        fclose(status);
    }
    if (kib < 0) {
        fprintf(stderr, "soak-c: /proc/self/status names no VmRSS\n");
        exit(1);
    }
    return kib;
}

int main(int argc, char **argv)
{
    const double seconds = argc < 3 ? 0 : strtod(argv[2], NULL);
    const char *fault = argc == 4 ? argv[3] : "";
    if (argc < 3 || argc > 4 || !(seconds > 0) || (argc == 4 && strcmp(fault, "leak") != 0 && strcmp(fault, "flip") != 0)) {
        fprintf(stderr, "usage: %s BUNDLE SECONDS [leak|flip]\n", argv[0]);
        return 2;
    }
    leak = strcmp(fault, "leak") == 0;
    make_texts();
    cachelora_error *err = NULL;
    if (cachelora_open(argv[1], strlen(argv[1]), NULL, &embedder, &err) != CACHELORA_OK) {
        complain("", err);
        return 1;
    }
    dimension = cachelora_dimension(embedder);
    first_alone = malloc(TEXTS * dimension * sizeof *first_alone);
    first_batch = malloc(TEXTS * dimension * sizeof *first_batch);
    if (first_alone == NULL || first_batch == NULL) {
        abort();
    }
    for (size_t i = 0; i < TEXTS; i++) {
        if (!embed_alone(i, first_alone + i * dimension)) {
            return 1;
        }
    }
    if (!embed_batch(first_batch)) {
        return 1;
    }
    if (strcmp(fault, "flip") == 0) {
        ((unsigned char *)(first_alone + 5 * dimension))[0] ^= 1;
    }

    pthread_t threads[THREADS];
    for (size_t t = 0; t < THREADS; t++) {
        if (pthread_create(&threads[t], NULL, repeat, NULL) != 0) {
            abort();
        }
    }
    const double start = now(), warm = seconds / 10, interval = seconds < 30 ? seconds / 30 : 1;
    long level = 0, most = 0, end = 0;
    for (double elapsed = 0; !stop && elapsed < seconds; elapsed = now() - start) {
        struct timespec pause = {(time_t)interval, (long)((interval - (double)(time_t)interval) * 1e9)};
        nanosleep(&pause, NULL);
        end = resident();
        elapsed = now() - start;
        if (elapsed <= warm || level == 0) {
            // The second half of the warm-up: what opening needed for a moment is no measure.
            if (elapsed > warm / 2 && end > level) {
                level = end;
            }
        } else if (end > most) {
            most = end;
        }
    }
    stop = true;
    for (size_t t = 0; t < THREADS; t++) {
        pthread_join(threads[t], NULL);
    }
    const long bound = level / 100 > 256 ? level / 100 : 256;
    if (most > level + bound) {
        fprintf(stderr, "soak-c: resident memory grew by %ld KiB; at most %ld were expected\n", most - level, bound);
        failed = true;
    }
    printf("soak-c: %llu calls, %llu vectors; resident %ld KiB after warm-up, %ld at the end, growth at most %+ld (%ld allowed)\n",
           (unsigned long long)calls, (unsigned long long)vectors, level, end, most - level, bound);
    free(first_alone);
    free(first_batch);
    cachelora_free(embedder);
    return failed;
}
