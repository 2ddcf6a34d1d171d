from __future__ import annotations

import json

import pytest
from cachelora_training.errors import RowsError
from cachelora_training.rows import KINDS, read_triplets
from hypothesis import given
from hypothesis import strategies as st

GOOD = {"anchor": "a question", "positive": "the same question", "negative": "another question"}


def test_reads_rows_in_order_with_defaults(write):
    first = write(
        "a.jsonl",
        [GOOD, GOOD | {"anchor": " b? ", "domain": "law", "kind": "jurisdiction", "extra": 1}],
    )
    second = write("b.jsonl", [GOOD | {"anchor": "c?", "kind": "version"}])
    rows = read_triplets([first, second])
    assert [(row.anchor, row.domain, row.kind) for row in rows] == [
        ("a question", "general", "other"),
        ("b?", "law", "place"),
        ("c?", "general", "version"),
    ]
    assert [row.source for row in rows] == [f"{first}:1", f"{first}:2", f"{second}:1"]


def test_every_bad_row_of_every_file_is_reported(tmp_path):
    a, b = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    bad = [
        b'{"anchor": "a", "positive": "b"}',
        b"not json",
        b"[1]",
        b"",
        json.dumps(GOOD | {"negative": 7}).encode(),
        json.dumps(GOOD | {"positive": "   "}).encode(),
        json.dumps(GOOD | {"kind": "colour"}).encode(),
        json.dumps(GOOD | {"domain": 3}).encode(),
        json.dumps(GOOD | {"positive": GOOD["anchor"]}).encode(),
        json.dumps(GOOD | {"negative": GOOD["positive"]}).encode(),
    ]
    a.write_bytes(b"\n".join(bad))
    b.write_bytes(json.dumps(GOOD).encode() + b'\n{"anchor": "\xff"}\n')
    missing = str(tmp_path / "missing.jsonl")
    with pytest.raises(RowsError) as caught:
        read_triplets([str(a), missing, str(b)])
    lines = str(caught.value).splitlines()
    assert lines[0] == "11 problems in the data:"
    assert lines[1:] == [
        f"{a}:1: negative: a question was expected, found nothing",
        lines[2],
        f"{a}:3: a JSON object was expected, found list",
        f"{a}:5: negative: a question was expected, found 7",
        f'{a}:6: positive: a question was expected, found "   "',
        f'{a}:7: kind: one of {", ".join(KINDS)} was expected, found "colour"',
        f"{a}:8: domain: a name was expected, found 3",
        f"{a}:9: positive: is the anchor itself; another question was expected",
        f"{a}:10: negative: is the positive itself; a question with another answer was expected",
        f"{missing}: no such file",
        f"{b}:2: UTF-8 was expected, found byte 0xff at 12",
    ]
    assert lines[2].startswith(f"{a}:2: a JSON object was expected: ")


def test_a_long_list_of_problems_is_cut_with_its_count(write):
    path = write("bad.jsonl", [{} for _ in range(100)])
    with pytest.raises(RowsError, match=r"300 problems(.|\n)*and 250 more"):
        read_triplets([path])


def test_an_empty_file_and_an_incomplete_address_are_problems(write):
    with pytest.raises(RowsError, match="has no rows"):
        read_triplets([write("empty.jsonl", [])])
    with pytest.raises(RowsError, match="hf://datasets/owner/name/path was expected"):
        read_triplets(["hf://datasets/owner/name"])


@given(
    st.lists(
        st.tuples(st.text(min_size=1), st.text(min_size=1), st.text(min_size=1)).filter(
            lambda row: all(text.strip() for text in row) and len({" ".join(text.split()) for text in row}) == 3
        ),
        min_size=1,
        max_size=5,
    )
)
def test_whatever_json_can_say_comes_back(tmp_path_factory, texts):
    path = tmp_path_factory.mktemp("rows") / "rows.jsonl"
    lines = [json.dumps(dict(zip(("anchor", "positive", "negative"), row, strict=True))) for row in texts]
    path.write_text("\n".join(lines))
    found = [(row.anchor, row.positive, row.negative) for row in read_triplets([str(path)])]
    assert found == [tuple(text.strip() for text in row) for row in texts]
