from __future__ import annotations

import os

import numpy as np
import pytest
import tiny_bundle
from cachelora.errors import UsageError
from cachelora_benchmarks.latency import RUNS_PER_TURN, multiply_adds, summarise, text_of_tokens
from cachelora_benchmarks.machine import describe_machine, pinned_to_one_core
from cachelora_export.tokenizer import plain_tokenizer


def tokenizer():
    class Encoder:
        tokenizer = tiny_bundle.tiny_tokenizer()

    return plain_tokenizer(Encoder())


@pytest.mark.parametrize("count", [3, 8, 16, 128])
def test_texts_have_exactly_the_tokens_that_were_asked_for(count):
    found = tokenizer()
    assert len(found.encode(text_of_tokens(found, count)).ids) == count


def test_fewer_tokens_than_there_can_be():
    with pytest.raises(UsageError, match="at least 3"):
        text_of_tokens(tokenizer(), 2)


def test_ratios_compare_within_a_turn():
    """A machine that slows down by half in the middle changes medians, but not the ratio."""
    slow = np.repeat([1.0, 2.0], 4 * RUNS_PER_TURN)
    found = summarise({"other": list(3 * slow), "cachelora": list(slow)})
    assert found["other"]["times_ours"] == {"median": 3, "p5": 3, "p95": 3}
    assert found["other"]["ours_times"]["median"] == 0.333
    assert found["cachelora"]["times_ours"]["median"] == 1
    assert found["cachelora"]["p5"] == 1
    assert found["cachelora"]["p95"] == 2


def test_the_limit_counts_every_product():
    shape = {"layers": 12, "hidden_size": 384, "intermediate_size": 1536}
    # Four products of H x H and two of H x I a layer.
    assert multiply_adds(shape, 16) == 12 * 16 * (4 * 384**2 + 2 * 384 * 1536)


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this system does not pin processes")
def test_pinning_ends_with_the_block():
    before = os.sched_getaffinity(0)
    with pinned_to_one_core() as core:
        assert os.sched_getaffinity(0) == {core}
    assert os.sched_getaffinity(0) == before


def test_the_machine_is_described():
    facts = describe_machine()
    assert facts["processor"]
    assert facts["cores"] == os.cpu_count()
    assert {"cachelora", "onnxruntime", "torch"} <= facts["versions"].keys()
