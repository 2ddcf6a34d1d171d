// Embeds the lines of stdin, all in one batch, and prints them as embed.c does.
//
//     embed BUNDLE < texts.txt
//
// SPDX-License-Identifier: Apache-2.0

#include <cstdint>
#include <cstdio>
#include <iostream>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "cachelora.h"

namespace {

// Throws what a call says if it failed.
void check(cachelora_status status, cachelora_error *err)
{
    if (status == CACHELORA_OK) {
        return;
    }
    const cachelora_str message = cachelora_error_message(err);
    const std::string text(message.data, message.len);
    cachelora_error_free(err);
    throw std::runtime_error(text);
}

struct Free {
    void operator()(const cachelora_embedder *embedder) const { cachelora_free(embedder); }
};
using Embedder = std::unique_ptr<const cachelora_embedder, Free>;

Embedder open(const std::string &directory)
{
    cachelora_embedder *embedder = nullptr;
    cachelora_error *err = nullptr;
    const cachelora_status status = cachelora_open(directory.data(), directory.size(), nullptr, &embedder, &err);
    check(status, err);
    return Embedder(embedder);
}

void run(const std::string &directory)
{
    const Embedder embedder = open(directory);
    const size_t dimension = cachelora_dimension(embedder.get());

    std::string texts;
    std::vector<size_t> offsets{0};
    for (std::string line; std::getline(std::cin, line);) {
        texts += line;
        offsets.push_back(texts.size());
    }
    const size_t count = offsets.size() - 1;
    std::vector<float> vectors(count * dimension);
    cachelora_error *err = nullptr;
    const auto *bytes = reinterpret_cast<const uint8_t *>(texts.data());
    const cachelora_status status = cachelora_embed_batch(
        embedder.get(), bytes, texts.size(), offsets.data(), count, vectors.data(), vectors.size(), nullptr, &err);
    check(status, err);

    for (size_t i = 0; i < vectors.size(); i++) {
        std::printf("%.9g%c", static_cast<double>(vectors[i]), (i + 1) % dimension == 0 ? '\n' : ' ');
    }
}

}  // namespace

int main(int argc, char **argv)
{
    if (argc != 2) {
        std::fprintf(stderr, "usage: %s BUNDLE < texts.txt\n", argv[0]);
        return 2;
    }
    if (cachelora_abi_version() != CACHELORA_ABI_VERSION) {
        std::fprintf(stderr, "error: libcachelora has another ABI version than this program\n");
        return 1;
    }
    try {
        run(argv[1]);
    } catch (const std::exception &error) {
        std::fprintf(stderr, "error: %s\n", error.what());
        return 1;
    }
    return 0;
}
