// The C ABI, called as it should not be: each call is refused with a status, and nothing is read, written, kept or
// waited for that should not be.
//
//     misuse BUNDLE [--panics] [--no-memory] [--no-fork] [--opens N]
//
// --panics: the library was built with the feature test-panic. --no-memory: something else (a sanitizer) keeps memory.
// --no-fork: something else does not bear a fork while threads run.
//
// SPDX-License-Identifier: Apache-2.0

#define _POSIX_C_SOURCE 200809L

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

static const char QUESTION[] = "how can i reset my password";
enum { QUESTION_LEN = sizeof QUESTION - 1, MOST = 1024 };

static cachelora_status embed(const cachelora_embedder *embedder, float *out, cachelora_error **err)
{
    return cachelora_embed(embedder, bytes(QUESTION), QUESTION_LEN, out, MOST, NULL, err);
}

static void rest(long milliseconds)
{
    const struct timespec time = {milliseconds / 1000, milliseconds % 1000 * 1000000};
    nanosleep(&time, NULL);
}

// An address one byte off, as from a packed structure or a wrong cast.
static void *shifted(void *pointer)
{
    return (char *)pointer + 1;
}

static void test_null_and_empty(const cachelora_embedder *embedder)
{
    float vector[MOST];
    float number = 0.0F;
    const size_t offsets[] = {0, 1};
    const size_t dimension = cachelora_dimension(embedder);
    CHECK_FAILS(cachelora_embed_batch(NULL, bytes("a"), 1, offsets, 1, vector, MOST, NULL, &err), CACHELORA_INVALID_ARGUMENT,
                "embedder is NULL");
    CHECK_FAILS(cachelora_embed_batch(embedder, NULL, 1, offsets, 1, vector, MOST, NULL, &err), CACHELORA_INVALID_ARGUMENT,
                "utf8 is NULL");
    CHECK_FAILS(cachelora_embed_batch(embedder, bytes("a"), 1, offsets, 1, NULL, MOST, NULL, &err),
                CACHELORA_INVALID_ARGUMENT, "out is NULL");
    CHECK_FAILS(cachelora_threshold(NULL, "all", 3, 0.05, &number, &err), CACHELORA_INVALID_ARGUMENT, "embedder is NULL");
    CHECK_FAILS(cachelora_threshold(embedder, NULL, 3, 0.05, &number, &err), CACHELORA_INVALID_ARGUMENT, "domain is NULL");
    CHECK_FAILS(cachelora_threshold(embedder, "all", 3, 0.05, NULL, &err), CACHELORA_INVALID_ARGUMENT, "out is NULL");
    CHECK_FAILS(cachelora_threshold(embedder, NULL, 0, 0.05, &number, &err), CACHELORA_NOT_CALIBRATED, "domain ''");
    CHECK_FAILS(cachelora_similarity(NULL, vector, 1, &number, &err), CACHELORA_INVALID_ARGUMENT, "a is NULL");
    CHECK_FAILS(cachelora_similarity(vector, NULL, 1, &number, &err), CACHELORA_INVALID_ARGUMENT, "b is NULL");
    CHECK_FAILS(cachelora_similarity(vector, vector, 1, NULL, &err), CACHELORA_INVALID_ARGUMENT, "out is NULL");
    CHECK(cachelora_similarity(NULL, NULL, 0, &number, NULL) == CACHELORA_OK && number == 0.0F);
    cachelora_embedder *out = NULL;
    CHECK_FAILS(cachelora_open(NULL, 0, NULL, &out, &err), CACHELORA_BUNDLE_NOT_FOUND, "");

    // A batch of empty texts, one of no bytes at all, and no text.
    const size_t empty[] = {0, 0, 0};
    CHECK(cachelora_embed_batch(embedder, NULL, 0, empty, 2, vector, MOST, NULL, NULL) == CACHELORA_OK);
    CHECK(memcmp(vector, vector + dimension, dimension * sizeof *vector) == 0);
    CHECK(cachelora_embed_batch(embedder, NULL, 9, NULL, 0, NULL, 0, NULL, NULL) == CACHELORA_OK);

    // Without an err, the same statuses.
    CHECK(cachelora_embed(NULL, bytes("a"), 1, vector, MOST, NULL, NULL) == CACHELORA_INVALID_ARGUMENT);
    CHECK(cachelora_open("nowhere", 7, NULL, &out, NULL) == CACHELORA_BUNDLE_NOT_FOUND);
    CHECK(cachelora_kernel(NULL).len == 0 && cachelora_backend(NULL).len == 0 && cachelora_onnxruntime(NULL).len == 0);

    const double budgets[] = {NAN, INFINITY, -INFINITY, -1.0, 0.0, 2.0};
    for (size_t i = 0; i < sizeof budgets / sizeof *budgets; i++) {
        CHECK_FAILS(cachelora_threshold(embedder, "all", 3, budgets[i], &number, &err), CACHELORA_NOT_CALIBRATED, "all");
    }
}

// The size that is needed stands in the message, and a buffer of just that size will do.
static void test_small_buffers(const cachelora_embedder *embedder)
{
    const size_t dimension = cachelora_dimension(embedder);
    const size_t offsets[] = {0, 3, 3, 9};
    float *vectors = malloc(3 * dimension * sizeof *vectors);
    for (size_t i = 0; i < 3 * dimension; i++) {
        vectors[i] = 42.0F;
    }
    for (size_t capacity = 0; capacity < 3 * dimension; capacity++) {
        cachelora_error *err = NULL;
        CHECK(cachelora_embed_batch(embedder, bytes(QUESTION), 9, offsets, 3, vectors, capacity, NULL, &err) ==
              CACHELORA_BUFFER_TOO_SMALL);
        size_t has = SIZE_MAX;
        size_t needed = 0;
        CHECK(sscanf(cachelora_error_message(err).data, "out has room for %zu floats, %zu are needed", &has, &needed) == 2);
        CHECK(has == capacity && needed == 3 * dimension);
        cachelora_error_free(err);
        if (capacity < dimension) {
            CHECK_FAILS(cachelora_embed(embedder, bytes("a"), 1, vectors, capacity, NULL, &err), CACHELORA_BUFFER_TOO_SMALL,
                        "are needed");
        }
    }
    for (size_t i = 0; i < 3 * dimension; i++) {
        CHECK(vectors[i] == 42.0F);
    }
    CHECK(cachelora_embed_batch(embedder, bytes(QUESTION), 9, offsets, 3, vectors, 3 * dimension, NULL, NULL) == CACHELORA_OK);
    free(vectors);

    // A count that is made up is refused before anything is read.
    const size_t counts[] = {4, 1000, SIZE_MAX / 8, SIZE_MAX / 2, SIZE_MAX - 1, SIZE_MAX};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        float vector[1];
        cachelora_status status =
            cachelora_embed_batch(embedder, bytes("a"), 1, offsets, counts[i], vector, 1, NULL, NULL);
        CHECK(status == CACHELORA_BUFFER_TOO_SMALL || status == CACHELORA_INVALID_ARGUMENT);
        status = cachelora_embed_batch(embedder, bytes("a"), 1, NULL, counts[i], vector, SIZE_MAX, NULL, NULL);
        CHECK(status == CACHELORA_INVALID_ARGUMENT);
    }
    float number = 0.0F;
    CHECK_FAILS(cachelora_similarity(&number, &number, SIZE_MAX, &number, &err), CACHELORA_INVALID_ARGUMENT, "");
    CHECK_FAILS(cachelora_embed(embedder, bytes("a"), SIZE_MAX, &number, MOST, NULL, &err), CACHELORA_INVALID_ARGUMENT, "");
}

static void test_misaligned(const cachelora_embedder *embedder, const char *bundle)
{
    union {
        float floats[MOST];
        size_t sizes[8];
        cachelora_options options;
        cachelora_input_info info;
        void *pointers[2];
    } place;
    memset(&place, 0, sizeof place);
    float vector[MOST];
    cachelora_embedder *out = NULL;
    CHECK_FAILS(embed(embedder, shifted(place.floats), &err), CACHELORA_INVALID_ARGUMENT, "out is not aligned");
    CHECK_FAILS(cachelora_embed(embedder, bytes("a"), 1, vector, MOST, shifted(&place.info), &err), CACHELORA_INVALID_ARGUMENT,
                "info is not aligned");
    CHECK_FAILS(cachelora_embed_batch(embedder, bytes("a"), 1, shifted(place.sizes), 1, vector, MOST, NULL, &err),
                CACHELORA_INVALID_ARGUMENT, "offsets is not aligned");
    CHECK_FAILS(cachelora_similarity(shifted(place.floats), vector, 2, vector, &err), CACHELORA_INVALID_ARGUMENT, "");
    CHECK_FAILS(cachelora_open(bundle, strlen(bundle), shifted(&place.options), &out, &err), CACHELORA_INVALID_ARGUMENT,
                "options is not aligned");
    CHECK_FAILS(cachelora_open(bundle, strlen(bundle), NULL, shifted(place.pointers), &err), CACHELORA_INVALID_ARGUMENT,
                "out is not aligned");
    // There is no place to tell more.
    CHECK(embed(embedder, vector, shifted(place.pointers)) == CACHELORA_INVALID_ARGUMENT);
    for (size_t i = 0; i < sizeof place; i++) {
        CHECK(((const char *)&place)[i] == 0);
    }
}

static void test_offsets(const cachelora_embedder *embedder)
{
    float vectors[MOST];
    const char *text = "gr\xc3\xbc\xc3\x9f";
    const size_t wrong[][3] = {
        {3, 2, 4}, {0, 4, 3}, {0, 8, 9}, {8, 8, 8}, {0, SIZE_MAX, 3}, {SIZE_MAX, SIZE_MAX, SIZE_MAX}, {SIZE_MAX, 0, 1},
        {0, 0, SIZE_MAX},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        CHECK_FAILS(cachelora_embed_batch(embedder, bytes(text), 6, wrong[i], 2, vectors, MOST, NULL, &err),
                    CACHELORA_INVALID_ARGUMENT, "of 6");
    }
    // Between the bytes of one character.
    const size_t split[] = {0, 3, 6};
    CHECK_FAILS(cachelora_embed_batch(embedder, bytes(text), 6, split, 2, vectors, MOST, NULL, &err), CACHELORA_INVALID_UTF8,
                "text 0");
    // Not from the beginning, and not to the end: nobody asked for that.
    const size_t inner[] = {2, 4, 4};
    CHECK(cachelora_embed_batch(embedder, bytes(text), 6, inner, 2, vectors, MOST, NULL, NULL) == CACHELORA_OK);
}

static void test_overlaps(const cachelora_embedder *embedder)
{
    float vectors[MOST] = {0};
    uint8_t *inside = (uint8_t *)vectors;
    CHECK_FAILS(cachelora_embed(embedder, inside, 4, vectors, MOST, NULL, &err), CACHELORA_INVALID_ARGUMENT, "out overlaps utf8");
    const size_t dimension = cachelora_dimension(embedder);
    CHECK_FAILS(cachelora_embed(embedder, inside + dimension * sizeof *vectors - 1, 1, vectors, MOST, NULL, &err),
                CACHELORA_INVALID_ARGUMENT, "out overlaps utf8");
    CHECK(cachelora_embed(embedder, inside + dimension * sizeof *vectors, 1, vectors, MOST, NULL, NULL) == CACHELORA_OK);
    CHECK_FAILS(cachelora_similarity(vectors, vectors, dimension, vectors + 1, &err), CACHELORA_INVALID_ARGUMENT, "overlaps a");
}

static void test_texts(const cachelora_embedder *embedder, const char *bundle)
{
    float vector[MOST];
    float number = 0.0F;
    cachelora_embedder *out = NULL;
    // A lone continuation, overlong, a surrogate, beyond Unicode, and cut.
    const char *const wrong[] = {"\x80", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "a\xe2\x82", "\xfe\xff"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        const size_t len = strlen(wrong[i]);
        const size_t offsets[] = {0, 0, len};
        CHECK_FAILS(cachelora_embed(embedder, bytes(wrong[i]), len, vector, MOST, NULL, &err), CACHELORA_INVALID_UTF8, "utf8");
        CHECK_FAILS(cachelora_embed_batch(embedder, bytes(wrong[i]), len, offsets, 2, vector, MOST, NULL, &err),
                    CACHELORA_INVALID_UTF8, "text 1");
        CHECK_FAILS(cachelora_open(wrong[i], len, NULL, &out, &err), CACHELORA_INVALID_UTF8, "dir");
        CHECK_FAILS(cachelora_threshold(embedder, wrong[i], len, 0.05, &number, &err), CACHELORA_INVALID_UTF8, "domain");
    }
    const uint8_t nul[4096] = {0};
    CHECK(cachelora_embed(embedder, nul, sizeof nul, vector, MOST, NULL, NULL) == CACHELORA_OK);
    // A NUL in a path never shortens it.
    char path[4096] = {0};
    const size_t len = (size_t)snprintf(path, sizeof path, "%s", bundle);
    CHECK_FAILS(cachelora_open(path, len + 1, NULL, &out, &err), CACHELORA_BUNDLE_NOT_FOUND, "");
    CHECK_FAILS(cachelora_open(path, 0, NULL, &out, &err), CACHELORA_BUNDLE_NOT_FOUND, "");
    CHECK_FAILS(cachelora_threshold(embedder, "all\0", 4, 0.05, &number, &err), CACHELORA_NOT_CALIBRATED, "domain");
    CHECK(out == NULL);
}

static void count_message(uint32_t level, const char *message, size_t len, void *user_data)
{
    (void)message;
    if (level == CACHELORA_LOG_ERROR && len > 0) {
        ++*(int *)user_data;
    }
}

static void check_no_handle(const cachelora_embedder *embedder)
{
    float vector[MOST];
    float number = 0.0F;
    const size_t offsets[] = {0, 1};
    CHECK_FAILS(embed(embedder, vector, &err), CACHELORA_INVALID_ARGUMENT, "no open handle");
    CHECK_FAILS(cachelora_embed_batch(embedder, bytes("a"), 1, offsets, 1, vector, MOST, NULL, &err), CACHELORA_INVALID_ARGUMENT,
                "no open handle");
    CHECK_FAILS(cachelora_threshold(embedder, "all", 3, 0.05, &number, &err), CACHELORA_INVALID_ARGUMENT, "no open handle");
    CHECK(cachelora_dimension(embedder) == 0 && cachelora_max_tokens(embedder) == 0);
    CHECK(cachelora_fingerprint(embedder).len == 0 && cachelora_kernel(embedder).len == 0);
    CHECK(cachelora_retain(embedder) == NULL);
    int messages = 0;
    cachelora_set_log_callback(count_message, &messages, CACHELORA_LOG_ERROR);
    cachelora_free(embedder);
    CHECK(messages == 1);
    cachelora_set_log_callback(NULL, NULL, 0);
}

// Nothing is read through a pointer that is no handle, so a sanitizer has nothing to say here.
static void test_handles(const char *bundle)
{
    cachelora_embedder *embedder = open_bundle(bundle);
    long long numbers[64] = {0};
    check_no_handle((const cachelora_embedder *)numbers);
    check_no_handle((const cachelora_embedder *)(uintptr_t)1);
    check_no_handle((const cachelora_embedder *)UINTPTR_MAX);
    check_no_handle(shifted(embedder));

    // An error is no embedder, and an embedder no error.
    cachelora_error *error = NULL;
    CHECK(embed(NULL, NULL, &error) == CACHELORA_INVALID_ARGUMENT);
    check_no_handle((const cachelora_embedder *)error);
    CHECK(cachelora_error_status((const cachelora_error *)embedder) == CACHELORA_OK);
    CHECK(cachelora_error_message((const cachelora_error *)embedder).len == 0);
    cachelora_error_free((cachelora_error *)embedder);
    float vector[MOST];
    CHECK(embed(embedder, vector, NULL) == CACHELORA_OK);
    cachelora_error_free(error);
    CHECK(cachelora_error_status(error) == CACHELORA_OK && cachelora_error_message(error).len == 0);
    cachelora_error_free(error);

    // Freed, and freed again, also while others have been opened since.
    CHECK(cachelora_retain(embedder) == embedder);
    cachelora_free(embedder);
    CHECK(embed(embedder, vector, NULL) == CACHELORA_OK);
    cachelora_free(embedder);
    check_no_handle(embedder);
    for (int i = 0; i < 20; i++) {
        cachelora_embedder *other = open_bundle(bundle);
        CHECK(other != embedder);
        check_no_handle(embedder);
        CHECK(embed(other, vector, NULL) == CACHELORA_OK);
        cachelora_free(other);
    }
}

struct caller {
    const cachelora_embedder *embedder;
    const float *expected;
    atomic_int *stop;
    int right;
    int refused;
    int wrong;
};

// Embeds until it is refused or told to stop, with no reference of its own.
static void *embed_until_refused(void *argument)
{
    struct caller *caller = argument;
    const size_t dimension = cachelora_dimension(caller->embedder);
    float vector[MOST];
    while (!atomic_load(caller->stop) && caller->refused == 0) {
        const cachelora_status status = embed(caller->embedder, vector, NULL);
        if (status == CACHELORA_INVALID_ARGUMENT) {
            caller->refused++;
        } else if (status == CACHELORA_OK && memcmp(vector, caller->expected, dimension * sizeof *vector) == 0) {
            caller->right++;
        } else {
            caller->wrong++;
        }
    }
    return NULL;
}

enum { THREADS = 4 };

static void start(struct caller *callers, pthread_t *threads, const struct caller *like)
{
    for (int i = 0; i < THREADS; i++) {
        callers[i] = *like;
        CHECK(pthread_create(&threads[i], NULL, embed_until_refused, &callers[i]) == 0);
    }
}

static void test_close_while_calls_run(const char *bundle)
{
    atomic_int stop = 0;
    for (int round = 0; round < 10; round++) {
        cachelora_embedder *embedder = open_bundle(bundle);
        float expected[MOST];
        CHECK(embed(embedder, expected, NULL) == CACHELORA_OK);
        struct caller callers[THREADS];
        pthread_t threads[THREADS];
        start(callers, threads, &(struct caller){embedder, expected, &stop, 0, 0, 0});
        rest(5);
        cachelora_free(embedder);
        for (int i = 0; i < THREADS; i++) {
            pthread_join(threads[i], NULL);
            CHECK(callers[i].refused == 1 && callers[i].wrong == 0);
        }
    }
}

// Runs `work` in a child; its result is how the child ended, -1 where it did not end by itself.
static int in_child(int (*work)(const cachelora_embedder *, const float *, const char *), const cachelora_embedder *embedder,
                    const float *expected, const char *bundle)
{
    fflush(NULL);
    const pid_t child = fork();
    if (child == 0) {
        alarm(60);
        _exit(work(embedder, expected, bundle));
    }
    int status = 0;
    CHECK(child > 0 && waitpid(child, &status, 0) == child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

enum { SAME, REFUSED, WRONG };

static int embed_again(const cachelora_embedder *embedder, const float *expected, const char *bundle)
{
    (void)bundle;
    float vector[MOST];
    cachelora_error *err = NULL;
    const cachelora_status status = embed(embedder, vector, &err);
    if (status == CACHELORA_INVALID_ARGUMENT && strstr(cachelora_error_message(err).data, "forked") != NULL) {
        cachelora_free(embedder);
        return REFUSED;
    }
    return status == CACHELORA_OK && memcmp(vector, expected, cachelora_dimension(embedder) * sizeof *vector) == 0 ? SAME : WRONG;
}

static int open_again(const cachelora_embedder *embedder, const float *expected, const char *bundle)
{
    int messages = 0;
    cachelora_set_log_callback(count_message, &messages, CACHELORA_LOG_ERROR);
    const int before = embed_again(embedder, expected, bundle);
    cachelora_embedder *other = NULL;
    if (before == WRONG || cachelora_open(bundle, strlen(bundle), NULL, &other, NULL) != CACHELORA_OK) {
        return WRONG;
    }
    const int after = embed_again(other, expected, bundle);
    cachelora_free(other);
    return after == SAME ? before : WRONG;
}

static void test_fork(const char *bundle)
{
    cachelora_embedder *embedder = open_bundle(bundle);
    float expected[MOST];
    CHECK(embed(embedder, expected, NULL) == CACHELORA_OK);
    CHECK(in_child(embed_again, embedder, expected, bundle) == SAME);
    // A child opens anew what its parent has open too, whatever other threads do with theirs.
    CHECK(in_child(open_again, embedder, expected, bundle) == SAME);
    atomic_int stop = 0;
    struct caller callers[THREADS];
    pthread_t threads[THREADS];
    start(callers, threads, &(struct caller){embedder, expected, &stop, 0, 0, 0});
    int ends[3] = {0};
    for (int i = 0; i < 40; i++) {
        rest(1);
        const int end = in_child(i % 2 == 0 ? embed_again : open_again, embedder, expected, bundle);
        CHECK(end == SAME || end == REFUSED);
        ends[end < 0 ? WRONG : end]++;
    }
    CHECK(ends[REFUSED] > 0);
    atomic_store(&stop, 1);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        CHECK(callers[i].wrong == 0 && callers[i].refused == 0 && callers[i].right > 0);
    }
    CHECK(embed(embedder, expected, NULL) == CACHELORA_OK);
    cachelora_free(embedder);
}

// Resident memory in KiB.
static long resident(void)
{
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL || fscanf(file, "%*d %ld", &pages) != 1) {
        pages = 0;
    }
    if (file != NULL) {
        fclose(file);
    }
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static void test_opens(const char *bundle, long opens, int memory)
{
    long early = 0;
    float vector[MOST];
    for (long i = 0; i < opens; i++) {
        if (i == opens / 10) {
            early = resident();
        }
        cachelora_embedder *embedder = open_bundle(bundle);
        CHECK(embed(embedder, vector, NULL) == CACHELORA_OK);
        cachelora_free(embedder);
        CHECK_FAILS(cachelora_open(bundle, 1, NULL, &embedder, &err), cachelora_error_status(err), "");
    }
    const long grown = resident() - early;
    printf("%ld opens and closes: %ld KiB resident, %+ld since a tenth of them\n", opens, resident(), grown);
    // A leak of one page per open would be 3,600; the heap grows once by a mebibyte where ONNX Runtime uses it.
    CHECK(!memory || grown < 1800);
}

static void misuse_from_callback(uint32_t level, const char *message, size_t len, void *user_data)
{
    (void)level, (void)message, (void)len;
    ++*(int *)user_data;
    cachelora_set_log_callback(NULL, NULL, 0);
    cachelora_free(user_data);
}

// A callback must not call back; one that does neither waits for itself nor calls itself.
static void test_callback_that_calls_back(void)
{
    int calls = 0;
    cachelora_set_log_callback(misuse_from_callback, &calls, CACHELORA_LOG_ERROR);
    cachelora_free((const cachelora_embedder *)&calls);
    cachelora_free((const cachelora_embedder *)&calls);
    CHECK(calls == 2);
    cachelora_set_log_callback(NULL, NULL, 0);
}

static void test_panics(const cachelora_embedder *embedder)
{
    static const char text[] = "cachelora, please panic";
    float vector[MOST];
    int messages = 0;
    cachelora_set_log_callback(count_message, &messages, CACHELORA_LOG_ERROR);
    for (int i = 0; i < 3; i++) {
        CHECK_FAILS(cachelora_embed(embedder, bytes(text), sizeof text - 1, vector, MOST, NULL, &err), CACHELORA_PANIC,
                    "a defect of cachelora: as the text asked for");
        CHECK(messages == i + 1);
        CHECK(embed(embedder, vector, NULL) == CACHELORA_OK);
    }
    cachelora_set_log_callback(NULL, NULL, 0);
}

int main(int argc, char **argv)
{
    int panics = 0;
    int memory = 1;
    int forks = 1;
    long opens = 1000;
    for (int i = 2; i < argc; i++) {
        if (strcmp(argv[i], "--panics") == 0) {
            panics = 1;
        } else if (strcmp(argv[i], "--no-memory") == 0) {
            memory = 0;
        } else if (strcmp(argv[i], "--no-fork") == 0) {
            forks = 0;
        } else if (strcmp(argv[i], "--opens") == 0 && i + 1 < argc) {
            opens = strtol(argv[++i], NULL, 10);
        } else {
            argc = 0;
        }
    }
    if (argc < 2) {
        fprintf(stderr, "usage: %s BUNDLE [--panics] [--no-memory] [--no-fork] [--opens N]\n", argv[0]);
        return 2;
    }
    const char *bundle = argv[1];
    cachelora_embedder *embedder = open_bundle(bundle);
    CHECK(cachelora_dimension(embedder) * 3 <= MOST);
    test_null_and_empty(embedder);
    test_small_buffers(embedder);
    test_misaligned(embedder, bundle);
    test_offsets(embedder);
    test_overlaps(embedder);
    test_texts(embedder, bundle);
    if (panics) {
        test_panics(embedder);
    }
    cachelora_free(embedder);
    test_handles(bundle);
    test_callback_that_calls_back();
    test_opens(bundle, opens, memory);
    if (forks) {
        test_fork(bundle);
    }
    test_close_while_calls_run(bundle);
    printf("C ABI misused: %d passed, %d failed\n", checks - failures, failures);
    return failures != 0;
}
