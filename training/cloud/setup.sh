#!/usr/bin/env bash
# Installs vLLM and cachelora, each in an environment of its own: they pin different versions of PyTorch.
# Runs in the root of a checkout; safe to run again.
set -euo pipefail

python3 -m pip install --quiet --user "uv==0.13.8"
uv() { python3 -m uv "$@"; }

if [ ! -x "$HOME/vllm/bin/vllm" ]; then
    uv venv --quiet --clear --python 3.12 "$HOME/vllm"
    uv pip install --quiet --python "$HOME/vllm" "vllm==0.33.0"
fi

if ! command -v "$HOME/.cargo/bin/cargo" >/dev/null; then
    curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y --quiet --profile minimal
fi
export PATH="$HOME/.cargo/bin:$PATH"
uv venv --quiet --clear --python 3.12 "$HOME/cachelora"
uv pip install --quiet --python "$HOME/cachelora" -c constraints.txt ".[cli,hub]" ./training
"$HOME/cachelora/bin/cachelora" --version
