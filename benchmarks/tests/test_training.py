from __future__ import annotations

import json
import math
import os
from pathlib import Path

import pytest
from cachelora.errors import UsageError
from cachelora_benchmarks.training import measure_training


@pytest.fixture
def rows(tmp_path) -> Path:
    path = tmp_path / "train.jsonl"
    texts = [(f"how can i reset password {n}", f"password {n} reset how", f"reset card {n}") for n in range(12)]
    path.write_text(
        "".join(json.dumps(dict(zip(("anchor", "positive", "negative"), row, strict=True))) + "\n" for row in texts),
        encoding="utf-8",
    )
    return path


def test_both_ways_train_on_the_same_rows(rows):
    base = str(Path(os.environ["CACHELORA_TEST_TINY"]) / "base")
    facts = measure_training([str(rows)], recipe=None, base_model=base, triplets=8, rounds=2, threads=1)
    assert set(facts["seconds"]) == set(facts["peak_mib"]) == {"cachelora", "sentence-transformers"}
    assert all(found["median"] > 0 for found in facts["seconds"].values())
    assert all(50 < peak < 20_000 for peak in facts["peak_mib"].values())
    assert math.isfinite(facts["ours_times"]["median"])
    # What the recipe would add to the rows is left out; its loss is not.
    assert facts["recipe"]["rule_triplets"] == 0
    assert facts["recipe"]["geometry_weight"] > 0


def test_too_few_rows_are_refused(rows):
    with pytest.raises(UsageError, match=r"13 triplets were asked for.* have 12"):
        measure_training([str(rows)], recipe=None, base_model="x", triplets=13, rounds=1, threads=1)
