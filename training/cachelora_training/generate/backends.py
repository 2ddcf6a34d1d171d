"""Who answers: servers, a model in this process, or nobody, because rules need no answer."""

from __future__ import annotations

import os
from collections.abc import Sequence

from cachelora.errors import UsageError

from cachelora_training.generate.requests import Asker

__all__ = ["BACKENDS", "check_backend", "make_asker"]

BACKENDS = ("endpoint", "vllm", "rules")
KEY_VARIABLE = "OPENAI_API_KEY"


def check_backend(backend: str, model: str | None, endpoint: Sequence[str]) -> None:
    """Refuse what can't be asked, before any work is done.

    Raises:
        UsageError: the backend is unknown, or lacks its model's name or address.
    """
    if backend not in BACKENDS:
        raise UsageError(f"--backend is {backend!r}, one of {', '.join(BACKENDS)} was expected")
    if backend != "rules" and model is None:
        raise UsageError(f"--backend {backend} needs --model, the model's name")
    if backend == "endpoint" and not endpoint:
        raise UsageError("--backend endpoint needs --endpoint, for instance http://127.0.0.1:8000/v1")
    for address in endpoint:
        if not address.startswith(("http://", "https://")):
            raise UsageError(f"--endpoint is {address!r}, an address such as http://127.0.0.1:8000/v1 was expected")


def make_asker(
    backend: str,
    model: str,
    endpoint: Sequence[str] = (),
    *,
    seed: int = 0,
    temperature: float = 0.8,
    max_tokens: int = 256,
    concurrency: int = 16,
    retries: int = 8,
    timeout: float = 120.0,
    gpus: int = 1,
) -> Asker:
    """Return who asks ``model``; the key of a server is read from the environment variable OPENAI_API_KEY.

    Args:
        backend: ``endpoint`` or ``vllm``.
        model: Its name there; for vllm, directory or hub id.
        endpoint: Base addresses of servers.
        seed: Of sampling in this process.
        temperature: Of every reply.
        max_tokens: Longest reply.
        concurrency: Requests in flight, over all servers.
        retries: How often a failed request is tried again.
        timeout: Seconds until a request counts as lost.
        gpus: Over how many a model in this process is split.

    Raises:
        UsageError: vLLM is not installed.
    """
    if backend == "vllm":
        from cachelora_training.generate.offline import offline

        return offline(model, seed=seed, temperature=temperature, max_tokens=max_tokens, gpus=gpus)
    from cachelora_training.generate.endpoints import Settings, endpoints

    return endpoints(
        Settings(
            urls=tuple(endpoint),
            # Servers of one's own take any key; the client insists on one.
            api_key=os.environ.get(KEY_VARIABLE) or "none",
            model=model,
            concurrency=concurrency,
            retries=retries,
            timeout=timeout,
            temperature=temperature,
            max_tokens=max_tokens,
        )
    )
