"""A peer is a process; those here are Python programs that speak the protocol, with our own encoder inside."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from cachelora import Embedder
from cachelora.errors import UsageError
from cachelora_benchmarks.engines import onnxruntime_engine, write_unpooled
from cachelora_benchmarks.latency import measure_latency
from cachelora_benchmarks.peers import Peer, PeerError, find_peers, lowest_cosine

TINY = Path(os.environ.get("CACHELORA_TEST_TINY", "build/test/tiny"))
MAX_TOKENS = 128

RUNNER = """
import json, os, sys, time
from cachelora import Embedder

bundle, unpooled, base, max_tokens = sys.argv[1:]
encode = Embedder(bundle).encode
clocks = {"wall": time.perf_counter_ns, "cpu": time.process_time_ns}

def answer(found):
    print(json.dumps(found), flush=True)

answer({"version": "1.2.3", "reads": "bundle"})
for line in sys.stdin:
    request, text = line.rstrip("\\n").split("\\t")
    name, _, runs = request.partition(" ")
    if text == "core":
        answer(sorted(os.sched_getaffinity(0)))
    elif text == "threads":
        answer([int(os.environ["OMP_NUM_THREADS"]), int(os.environ["RAYON_NUM_THREADS"])])
    elif name == "vector":
        answer(VECTOR)
    else:
        times = []
        for _ in range(int(runs)):
            start = clocks[name]()
            encode(text)
            times.append(clocks[name]() - start)
        answer(times)
"""
RIGHT, WRONG = "encode(text).tolist()", "encode(text).tolist()[::-1]"


def program(directory: Path, source: str, name: str = "runner") -> Path:
    path = directory / name
    path.write_text(f"#!{sys.executable}\n{source}", encoding="utf-8")
    path.chmod(0o755)
    return path


def runner(directory: Path, vector: str = RIGHT, name: str = "runner") -> Path:
    return program(directory, RUNNER.replace("VECTOR", vector), name)


def opened(path: Path) -> Peer:
    base = TINY / "base"
    return Peer("odd", path, bundle=TINY / "bundle", unpooled=base, base=base, max_tokens=MAX_TOKENS)


def test_vectors_and_times_come_through(tmp_path):
    with opened(runner(tmp_path)) as peer:
        assert (peer.version, peer.reads) == ("1.2.3", "bundle")
        text = "how can i reset my password — naïve"
        np.testing.assert_array_equal(peer.encode(text), Embedder(TINY / "bundle").encode(text))
        for clock in ("wall", "cpu"):
            found = peer.timer(clock)("how can i", 7)
            assert len(found) == 7
            assert all(0 < one < 60e9 for one in found)


def test_one_thread_on_the_core_of_this_process(tmp_path):
    before = os.sched_getaffinity(0)
    core = min(before)
    os.sched_setaffinity(0, {core})
    try:
        with opened(runner(tmp_path)) as peer:
            assert peer.encode("core").tolist() == [core]
            assert peer.encode("threads").tolist() == [1, 1]
    finally:
        os.sched_setaffinity(0, before)


def test_the_program_ends_with_the_block(tmp_path):
    with opened(runner(tmp_path)) as peer:
        process = peer._process
        assert process.poll() is None
    assert process.poll() == 0


def test_a_text_of_two_lines_is_never_sent(tmp_path):
    with opened(runner(tmp_path)) as peer, pytest.raises(UsageError, match=r"odd.*several lines"):
        peer.encode("one\ntwo")


GREETED = 'print(\'{"version": "1", "reads": "base"}\', flush=True)\n'


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("import sys; sys.exit('no such model')", r"peer odd: it ended \(exit status 1\): no such model"),
        ("print('hello')", "peer odd: its greeting is not JSON but b'hello'"),
        ("print('[1]')", r"peer odd: it greets with \[1\]"),
        ('print(\'{"version": "1", "reads": "tea leaves"}\')', "peer odd: it greets with .*tea leaves"),
    ],
)
def test_one_that_does_not_greet(tmp_path, source, message):
    with pytest.raises(PeerError, match=message):
        opened(program(tmp_path, source))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("input(); raise SystemExit('out of memory')", r"peer odd: it ended \(exit status 1\): out of memory"),
        ("input(); print('fast!')", "peer odd: the answer to '.*' is not JSON but b'fast!'"),
        ("input(); print('{}')", "peer odd: asked for .* it answers {}"),
        ("input(); print('[]')", r"peer odd: asked for .* it answers \[\]"),
        ("input(); print('[\"a\"]')", r"peer odd: asked for .* it answers \['a'\]"),
    ],
)
@pytest.mark.parametrize("request_of", [lambda peer: peer.encode("a"), lambda peer: peer.timer("wall")("a", 3)])
def test_one_that_dies_or_answers_junk(tmp_path, source, message, request_of):
    with opened(program(tmp_path, GREETED + source)) as peer, pytest.raises(PeerError, match=message):
        request_of(peer)


def test_times_that_are_too_few_or_no_nanoseconds(tmp_path):
    source = GREETED + "input(); print('[5, 5]', flush=True); input(); print('[5, 0.5, 5]', flush=True); input()"
    with opened(program(tmp_path, source)) as peer:
        for _ in range(2):
            with pytest.raises(PeerError, match="asked for 3 times"):
                peer.timer("wall")("a", 3)


def test_a_file_that_can_not_be_run(tmp_path):
    path = tmp_path / "runner"
    path.write_bytes(b"\x00not a program")
    path.chmod(0o755)
    with pytest.raises(PeerError, match=r"peer odd: .*runner"):
        opened(path)


def test_cosines():
    ones, other = np.ones(4, np.float32), np.array([1, 1, 1, 0], np.float32)
    assert lowest_cosine(lambda _: 3 * ones, lambda _: ones, ["a"]) == pytest.approx(1)
    # The worst text counts, not the mean.
    assert lowest_cosine(lambda text: {"a": ones, "b": other}[text], lambda _: ones, ["a", "b"]) < 0.9
    assert lowest_cosine(lambda _: ones[:2], lambda _: ones, ["a"]) == -1
    for broken in (0 * ones, np.nan * ones):
        with np.errstate(invalid="ignore"):
            assert lowest_cosine(lambda _, vector=broken: vector, lambda _: ones, ["a"]) == -1


def test_programs_are_found_and_given(tmp_path):
    built, given = runner(tmp_path, name="built"), runner(tmp_path, name="given")
    (tmp_path / "notes.txt").write_text("no program")
    (tmp_path / "target").mkdir()
    assert find_peers([], tmp_path) == {"built": built, "given": given}
    assert find_peers([f"built={given}"], tmp_path)["built"] == given
    assert find_peers([], tmp_path / "absent") == {}
    with pytest.raises(UsageError, match="NAME=PATH"):
        find_peers(["given"], tmp_path)
    with pytest.raises(UsageError, match=r"notes\.txt is not a program"):
        find_peers([f"a={tmp_path / 'notes.txt'}"], tmp_path)


def test_the_unpooled_graph_gives_what_is_pooled(tmp_path):
    write_unpooled(TINY / "bundle", tmp_path, MAX_TOKENS)
    assert json.loads((tmp_path / "config.json").read_text()) == {"max_position_embeddings": MAX_TOKENS}
    text, tokenizer = "how can i reset my password", tmp_path / "tokenizer.json"
    rows = onnxruntime_engine(tmp_path / "model.onnx", tokenizer, MAX_TOKENS)(text)
    mean = rows.mean(axis=0)
    wanted = onnxruntime_engine(TINY / "bundle" / "model.onnx", tokenizer, MAX_TOKENS)(text)
    np.testing.assert_allclose(mean / np.linalg.norm(mean), wanted, atol=1e-5)


def test_peers_in_a_run(tmp_path):
    """The right one is timed, the wrong one and the one that does not open are named with the reason."""
    facts = measure_latency(
        TINY / "bundle",
        [8],
        rounds=3,
        base_model=str(TINY / "base"),
        peers={
            "right": runner(tmp_path, name="right"),
            # Another tokenizer may read other texts in its own way; that is told and excludes nobody.
            "ascii": runner(tmp_path, "encode('' if not text.isascii() else text).tolist()", name="ascii"),
            "wrong": runner(tmp_path, WRONG, name="wrong"),
            "dead": program(tmp_path, "raise SystemExit('no model')", "dead"),
        },
    )
    peers, timed = facts["peers"], facts["latency"]["8"]
    one = pytest.approx(1, abs=1e-5)
    assert peers["right"] == {"version": "1.2.3", "reads": "bundle", "cosine": one, "cosine_ordinary": one}
    assert peers["ascii"]["cosine"] == one
    assert peers["ascii"]["cosine_ordinary"] < 0.9999
    assert "ascii" in timed
    assert timed["right"]["median"] > 0
    assert timed["right"]["times_ours"]["median"] > 0
    assert peers["wrong"]["cosine"] < 0.9999
    assert "its vectors differ" in peers["wrong"]["left_out"]
    assert "no model" in peers["dead"]["left_out"]
    assert not {"wrong", "dead"} & timed.keys()


def test_one_that_dies_while_it_is_timed_ends_the_run(tmp_path):
    source = RUNNER.replace("VECTOR", RIGHT).replace("times = []", "sys.exit('it broke')")
    with pytest.raises(PeerError, match=r"peer late: .*it broke"):
        measure_latency(
            TINY / "bundle",
            [8],
            rounds=3,
            base_model=str(TINY / "base"),
            peers={"late": program(tmp_path, source, "late")},
        )
