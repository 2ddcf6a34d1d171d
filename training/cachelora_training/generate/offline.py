"""A model in this process, by vLLM: for large batches on a machine of one's own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cachelora.errors import UsageError
from cachelora.terminal import progress

from cachelora_training.generate.pace import Pace
from cachelora_training.generate.requests import Asked, Asker, Keep, Reply

__all__ = ["offline"]

# Requests between two writes to the journal: enough to fill a GPU, little to lose when it is killed.
CHUNK = 512


def offline(model: str, *, seed: int, temperature: float = 0.8, max_tokens: int = 256, gpus: int = 1) -> Asker:
    """Return who asks ``model`` through vLLM's offline engine, which is started here.

    Args:
        model: Directory or hub id.
        seed: Of sampling; a request's own seed is derived from it and its place.
        temperature: Of the replies.
        max_tokens: Longest reply.
        gpus: Over how many GPUs one copy of the model is split (tensor parallel).

    Raises:
        UsageError: vLLM is not installed.
    """
    try:
        from vllm import LLM, SamplingParams
        from vllm.sampling_params import StructuredOutputsParams
    except ImportError as error:
        raise UsageError(
            f"--backend vllm: vLLM is not installed here ({error}): pip install 'cachelora-training[vllm]', "
            "or give --endpoint"
        ) from error
    engine: Any = LLM(model=model, seed=seed, tensor_parallel_size=gpus)

    def ask(requests: Sequence[Asked], keep: Keep, title: str) -> None:
        with progress() as display:
            pace = Pace(title, len(requests), display)
            for start in range(0, len(requests), CHUNK):
                chunk = requests[start : start + CHUNK]
                sampling = [
                    SamplingParams(
                        temperature=temperature,
                        max_tokens=max_tokens,
                        seed=seed + start + place,
                        structured_outputs=StructuredOutputsParams(json=asked.response_format["json_schema"]["schema"]),
                    )
                    for place, asked in enumerate(chunk)
                ]
                outputs = engine.chat([asked.messages for asked in chunk], sampling, use_tqdm=False)
                for asked, output in zip(chunk, outputs, strict=True):
                    (answer, *_) = output.outputs
                    reply = Reply(
                        answer.text,
                        len(output.prompt_token_ids or ()),
                        len(answer.token_ids),
                        lack="cut off at --max-tokens" if answer.finish_reason == "length" else "",
                    )
                    keep(asked, reply)
                    pace.add(reply)

    return ask
