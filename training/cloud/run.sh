#!/usr/bin/env bash
# Generates, trains and evaluates; DIRECTORY is where everything is kept, usually a mounted bucket.
#
#   bash training/cloud/run.sh DIRECTORY
#
# Variables: DOMAIN MODEL COPIES NUM_SAMPLES RECIPE QUERIES TEST_FILE as train.yaml explains them; BASE_MODEL for
# another base than the recipe's; ENDPOINTS, addresses separated by spaces, for servers that already run.
#
# Work happens on the local disk and is copied to DIRECTORY every minute, because a bucket takes whole files only and
# a machine may be gone at any moment. A new machine starts from that copy: `cachelora generate` keeps a journal and
# repeats no request that it has an answer to.
set -euo pipefail

kept=${1:?usage: run.sh DIRECTORY}
work=${WORK:-$HOME/work}
export PATH="$HOME/cachelora/bin:$PATH"
mkdir -p "$kept" "$work"
copy() { cp -ru --preserve=timestamps "$1/." "$2/"; }
copy "$kept" "$work"
# Nothing is ever deleted there: a fresh machine must not empty the bucket.
keep() { copy "$work" "$kept"; }
children=()
finish() {
    status=$?
    trap - EXIT
    [ ${#children[@]} -eq 0 ] || kill "${children[@]}" 2>/dev/null || true
    wait
    keep
    exit "$status"
}
trap finish EXIT
trap 'exit 143' TERM INT
(while sleep "${KEEP_SECONDS:-60}"; do keep || true; done) >/dev/null 2>>"$work/keep.log" &
children+=($!)

# Starts the servers, on this machine's own address only, and waits until all of them answer.
serve() {
    local per=$((4 / COPIES)) copy port devices
    ENDPOINTS=
    for ((copy = 0; copy < COPIES; copy++)); do
        port=$((8000 + copy))
        devices=$(seq -s, $((copy * per)) $((copy * per + per - 1)))
        CUDA_VISIBLE_DEVICES=$devices "$HOME/vllm/bin/vllm" serve "$MODEL" --host 127.0.0.1 --port "$port" \
            --tensor-parallel-size "$per" --max-model-len 4096 >"$work/vllm-$copy.log" 2>&1 &
        children+=($!)
        ENDPOINTS+=" http://127.0.0.1:$port/v1"
    done
    for endpoint in $ENDPOINTS; do
        # Half an hour for download and start; a server that never comes must not cost a night.
        for ((try = 0; ; try++)); do
            curl -sf "$endpoint/models" >/dev/null && break
            [ "$try" -lt 180 ] || { echo "$endpoint does not answer; see vllm-*.log" >&2; return 1; }
            sleep 10
        done
    done
}

# A copy that was cut short does not count; the journal has every answer still.
if ! (cd "$work" && sha256sum --check --status triplets.sha256 2>/dev/null); then
    rm -f "$work/triplets.jsonl"
    [ -n "${ENDPOINTS:-}" ] || serve
    endpoints=()
    for endpoint in $ENDPOINTS; do endpoints+=(--endpoint "$endpoint"); done
    cachelora generate --domain "$DOMAIN" --queries "$QUERIES" --output "$work/triplets.jsonl" \
        --num-samples "$NUM_SAMPLES" --model "$MODEL" --test-data "$TEST_FILE" "${endpoints[@]}"
    (cd "$work" && sha256sum triplets.jsonl >triplets.sha256)
    keep
fi

# The GPUs are the trainer's now.
if [ ${#children[@]} -gt 1 ]; then
    kill "${children[@]:1}" && wait "${children[@]:1}" || true
    children=("${children[0]}")
fi

base=()
[ -z "${BASE_MODEL:-}" ] || base=(--base-model "$BASE_MODEL")
if [ ! -s "$work/results.json" ]; then
    # Minutes of work: a run that was cut off is repeated from its start.
    cachelora train --train-data "$work/triplets.jsonl" --eval-data "$TEST_FILE" --recipe "$RECIPE" \
        --output "$work/adapter" --force "${base[@]}"
    cachelora evaluate --test-file "$TEST_FILE" --adapter "$work/adapter" --output "$work/results.json" "${base[@]}"
fi
