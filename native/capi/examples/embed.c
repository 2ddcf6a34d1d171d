// Embeds the lines of stdin: one line of numbers per line of text, written so that reading them back gives
// the same float32.
//
//     embed BUNDLE < texts.txt
//
// SPDX-License-Identifier: Apache-2.0

#define _POSIX_C_SOURCE 200809L

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cachelora.h"

static int fail(cachelora_error *err)
{
    fprintf(stderr, "error: %s\n", cachelora_error_message(err).data);
    cachelora_error_free(err);
    return 1;
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: %s BUNDLE < texts.txt\n", argv[0]);
        return 2;
    }
    if (cachelora_abi_version() != CACHELORA_ABI_VERSION) {
        fprintf(stderr, "error: libcachelora has another ABI version than this program\n");
        return 1;
    }

    cachelora_error *err = NULL;
    cachelora_embedder *embedder = NULL;
    if (cachelora_open(argv[1], strlen(argv[1]), NULL, &embedder, &err) != CACHELORA_OK) {
        return fail(err);
    }
    const size_t dimension = cachelora_dimension(embedder);
    float *vector = malloc(dimension * sizeof *vector);
    int result = vector == NULL;

    char *line = NULL;
    size_t room = 0;
    ssize_t length = 0;
    while (result == 0 && (length = getline(&line, &room, stdin)) >= 0) {
        if (length > 0 && line[length - 1] == '\n') {
            length--;
        }
        if (cachelora_embed(embedder, (const uint8_t *)line, (size_t)length, vector, dimension, NULL, &err) !=
            CACHELORA_OK) {
            result = fail(err);
            break;
        }
        for (size_t i = 0; i < dimension; i++) {
            printf("%s%.9g", i == 0 ? "" : " ", (double)vector[i]);
        }
        putchar('\n');
    }

    free(line);
    free(vector);
    cachelora_free(embedder);
    return result;
}
