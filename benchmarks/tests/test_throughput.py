from __future__ import annotations

import json

import pytest
from cachelora.errors import UsageError
from cachelora_benchmarks.throughput import read_questions


def test_questions_of_plain_lines_and_of_rows(tmp_path):
    file = tmp_path / "questions"
    file.write_text("how are you?\n\n  and you? \n")
    assert read_questions(file, 10) == ["how are you?", "and you?"]
    assert read_questions(file, 1) == ["how are you?"]
    rows = [{"query": "one", "source": "x"}, {"anchor": "two", "positive": "y"}]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert read_questions(file, 10) == ["one", "two"]


def test_what_holds_no_question_is_refused(tmp_path):
    with pytest.raises(UsageError, match="no such file"):
        read_questions(tmp_path / "nowhere", 1)
    file = tmp_path / "questions"
    file.write_text("\n")
    with pytest.raises(UsageError, match="no question"):
        read_questions(file, 1)
    file.write_text('one\n{"answer": "two"}\n')
    with pytest.raises(UsageError, match=":2: a key of query"):
        read_questions(file, 5)
