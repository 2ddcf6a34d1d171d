"""`cachelora serve` as clients meet it: a real server, the official OpenAI client, and raw HTTP beyond it."""

from __future__ import annotations

import base64
import http.client
import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import openai
import pytest

MODEL = "tiny"


def fused(tiny: Any) -> Path:
    """Return the bundle of the fused encoder, whose vectors are equal to the last bit in every batch."""
    return tiny.root / "bundle-int8"


@dataclass(frozen=True)
class Running:
    process: subprocess.Popen[str]
    address: str

    @property
    def port(self) -> int:
        return int(self.address.rsplit(":", 1)[1])

    def client(self, key: str = "none") -> openai.OpenAI:
        return openai.OpenAI(base_url=f"{self.address}/v1", api_key=key, max_retries=0, timeout=60)

    def post(self, body: bytes | Any, **headers: str) -> tuple[int, dict[str, str], Any]:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.ask("POST", "/v1/embeddings", content, **headers)

    def ask(self, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, dict[str, str], Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        content = answer.read().decode()
        connection.close()
        named = {name.lower(): value for name, value in answer.getheaders()}
        return answer.status, named, json.loads(content) if "json" in named["content-type"] else content

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(30)


@contextmanager
def serving(bundle: Path, *arguments: object, **environment: str) -> Iterator[Running]:
    where = () if "--unix-socket" in arguments else ("--port", "0")
    process = subprocess.Popen(
        [sys.executable, "-m", "cachelora", "serve", str(bundle), "--model-name", MODEL, *where, *map(str, arguments)],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | environment,
    )
    try:
        assert process.stdout is not None
        said = re.fullmatch(r"listening on (\S+), model tiny\n", process.stdout.readline())
        assert said is not None
        yield Running(process, said[1])
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def refused(bundle: Path, *arguments: object, code: int = 1, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "cachelora", "serve", str(bundle), "--port", "0", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=30,
        env=os.environ | environment,
    )
    assert done.returncode == code, done
    return done.stderr


@pytest.fixture(scope="module")
def server(tiny) -> Iterator[Running]:
    with serving(fused(tiny), "--max-batch", 64, "--max-body", 20_000) as running:
        yield running


@pytest.fixture(scope="module")
def local(tiny):
    from cachelora import Embedder

    with Embedder(fused(tiny)) as embedder:
        yield embedder


def test_the_official_client_gets_the_vectors_of_the_embedder(server, local, tiny):
    texts = [tiny.texts[index % len(tiny.texts)] for index in range(50)]
    # The client asks for base64 unless it is told otherwise.
    for choice in ({}, {"encoding_format": "float"}, {"encoding_format": "base64"}, {"dimensions": local.dimension}):
        answer = server.client().embeddings.create(model=MODEL, input=texts, **choice)
        assert answer.model == MODEL
        assert [row.index for row in answer.data] == list(range(50))
        rows = [
            np.frombuffer(base64.b64decode(row.embedding), "<f4")
            if isinstance(row.embedding, str)
            else np.array(row.embedding, np.float32)
            for row in answer.data
        ]
        assert np.array_equal(np.stack(rows), local.encode(texts)), choice
        tokens = sum(tiny.tokens[index % len(tiny.texts)] for index in range(50))
        assert answer.usage.prompt_tokens == answer.usage.total_tokens == tokens
    one = server.client().embeddings.create(model=MODEL, input="card refund")
    assert np.array_equal(np.array(one.data[0].embedding, np.float32), local.encode("card refund"))
    assert [model.id for model in server.client().models.list()] == [MODEL]


def test_a_bundle_for_onnxruntime_is_served_too(tiny):
    with serving(tiny.bundle) as running:
        answer = running.client().embeddings.create(model=MODEL, input=tiny.texts[:40])
        vectors = np.array([row.embedding for row in answer.data], np.float32)
        # ONNX Runtime pads, and the rows of its batches are equal to the embedder's contract.
        np.testing.assert_allclose(vectors, tiny.vectors[:40], atol=1e-4)


def test_answers_name_the_fingerprint_and_what_was_cut(server, local):
    long = "card " * (local.max_tokens + 5)
    status, headers, body = server.post({"model": MODEL, "input": ["card"] * 20 + [long]})
    assert status == 200
    assert headers["x-cachelora-fingerprint"] == local.fingerprint
    assert headers["x-cachelora-truncated"] == "20"
    assert body["usage"]["prompt_tokens"] > local.max_tokens
    assert "x-cachelora-truncated" not in server.post({"model": MODEL, "input": "card"})[1]


def test_a_long_text_can_be_refused_by_its_place(tiny, local):
    with serving(fused(tiny), "--on-too-long", "reject") as running:
        body = {"model": MODEL, "input": ["card"] * 20 + ["card " * (local.max_tokens + 5)]}
        status, _, said = running.post(body)
        assert (status, said["error"]["param"]) == (400, "input")
        assert "text 20 has" in said["error"]["message"]


@pytest.mark.parametrize(
    ("body", "status", "field", "words"),
    [
        (b"", 400, None, "body"),
        (b"{", 400, None, "body"),
        (b"\xff", 400, None, "body"),
        (b"[" * 10_000, 400, None, "body"),
        ({"model": MODEL}, 400, None, "input"),
        ({"input": "a"}, 400, "model", MODEL),
        ({"model": "text-embedding-3-small", "input": "a"}, 404, "model", MODEL),
        ({"model": MODEL, "input": []}, 400, "input", "at least one"),
        ({"model": MODEL, "input": 7}, 400, "input", "a text or a list"),
        ({"model": MODEL, "input": {"a": 1}}, 400, "input", "a text or a list"),
        ({"model": MODEL, "input": ["a", 7]}, 400, "input", "input[1]"),
        ({"model": MODEL, "input": [1, 2, 3]}, 400, "input", "token ids"),
        ({"model": MODEL, "input": ["a"] * 65}, 400, "input", "at most 64"),
        ({"model": MODEL, "input": "a", "dimensions": 7}, 400, "dimensions", "7 was asked for"),
        ({"model": MODEL, "input": "a", "dimensions": -1}, 400, None, "body"),
        ({"model": MODEL, "input": "a", "encoding_format": "int8"}, 400, None, "int8"),
        ({"model": MODEL, "input": "a" * 20_000}, 413, None, "20000 bytes"),
    ],
)
def test_what_can_not_be_answered_is_told_in_openai_s_shape(server, body, status, field, words):
    got, headers, said = server.post(body)
    assert (got, headers["content-type"]) == (status, "application/json")
    assert said["error"].keys() == {"message", "type", "param", "code"}
    assert said["error"]["type"] == "invalid_request_error"
    assert said["error"]["param"] == field
    assert words in said["error"]["message"]


def test_the_official_client_raises_its_own_errors(server):
    with pytest.raises(openai.NotFoundError) as unknown:
        server.client().embeddings.create(model="other", input="a")
    assert unknown.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError, match="at least one"):
        server.client().embeddings.create(model=MODEL, input=[])


def test_wrong_paths_and_methods(server):
    for method, path, status in (("GET", "/v1/embeddings", 405), ("POST", "/healthz", 405), ("GET", "/v2", 404)):
        got, _, said = server.ask(method, path)
        assert got == status
        assert path in said["error"]["message"]


def test_a_body_without_a_length_is_limited_too(server):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    connection.request("POST", "/v1/embeddings", iter([b"a" * 10_000] * 3), encode_chunked=True, headers={
        "Transfer-Encoding": "chunked"
    })  # fmt: skip
    assert connection.getresponse().status == 413
    connection.close()


def test_a_body_that_does_not_arrive_is_given_up(tiny):
    with serving(fused(tiny), "--body-timeout", 0.2) as running, socket.create_connection(
        ("127.0.0.1", running.port), timeout=20
    ) as connection:  # fmt: skip
        connection.sendall(b"POST /v1/embeddings HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n{")
        assert connection.recv(100).startswith(b"HTTP/1.1 408")


def test_a_head_that_does_not_arrive_is_given_up(tiny):
    with serving(fused(tiny), "--head-timeout", 0.2) as running:
        for sent in (b"", b"POST /v1/embeddings HTTP/1.1\r\nHost: x\r\nConte"):
            with socket.create_connection(("127.0.0.1", running.port), timeout=20) as connection:
                connection.sendall(sent)
                assert connection.recv(1) == b""


def test_health_and_metrics(server):
    assert server.ask("GET", "/healthz")[::2] == (200, "ok\n")

    def metrics() -> dict[str, float]:
        status, headers, text = server.ask("GET", "/metrics")
        assert status == 200
        assert headers["content-type"].startswith("application/openmetrics-text")
        assert text.endswith("# EOF\n")
        lines = [line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#")]
        return {name: float(value) for name, value in lines}

    before = metrics()
    assert server.post({"model": MODEL, "input": ["card refund", "card"]})[0] == 200
    assert server.post(b"{")[0] == 400
    after = metrics()

    def grown(name: str) -> float:
        return after[name] - before.get(name, 0)

    assert grown("cachelora_texts_total") == 2
    assert grown("cachelora_tokens_total") >= 6
    assert grown("cachelora_embeddings_duration_seconds_count") == 1
    assert grown('cachelora_requests_total{path="/v1/embeddings",status="200"}') == 1
    assert grown('cachelora_requests_total{path="/v1/embeddings",status="400"}') == 1
    assert after["cachelora_admitted_requests"] == 0
    server.ask("GET", "/secret-of-a-client")
    assert not [name for name in metrics() if "secret" in name]


def test_the_token_is_asked_for_everywhere_but_for_health(tiny, tmp_path):
    file = tmp_path / "token"
    file.write_text("from file\n")
    for arguments, environment, right in (
        ((), {"CACHELORA_SERVE_TOKEN": "from env"}, "from env"),
        (("--token-file", file), {"CACHELORA_SERVE_TOKEN": "from env"}, "from file"),
    ):
        with serving(fused(tiny), *arguments, **environment) as running:
            assert running.client(right).embeddings.create(model=MODEL, input="a").data
            with pytest.raises(openai.AuthenticationError) as wrong:
                running.client("wrong").embeddings.create(model=MODEL, input="a")
            assert wrong.value.code == "invalid_api_key"
            for path in ("/v1/models", "/metrics"):
                status, headers, _ = running.ask("GET", path)
                assert (status, headers["www-authenticate"]) == (401, "Bearer")
                assert running.ask("GET", path, Authorization=f"Bearer {right}")[0] == 200
            assert running.ask("GET", "/healthz")[0] == 200


def test_it_does_not_start_when_it_would_not_do_what_was_asked(tiny, tmp_path):
    empty = tmp_path / "empty"
    empty.write_text("\n")
    assert "the token is empty" in refused(fused(tiny), "--token-file", empty)
    assert "the token is empty" in refused(fused(tiny), CACHELORA_SERVE_TOKEN=" ")
    assert "missing" in refused(fused(tiny), "--token-file", tmp_path / "missing")
    assert "--without-token" in refused(fused(tiny), "--host", "0.0.0.0")
    assert "cachelora.json" in refused(tmp_path)
    assert "--unix-socket" in refused(fused(tiny), "--unix-socket", tmp_path / "s", code=2)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert "in use" in refused_port(fused(tiny), taken.getsockname()[1])


def refused_port(bundle: Path, port: int) -> str:
    command = [sys.executable, "-m", "cachelora", "serve", str(bundle), "--port", str(port)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.returncode == 1
    return done.stderr


def test_a_unix_socket_is_its_owner_s_alone_and_cleared_away(tiny, tmp_path):
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(path))
    with serving(fused(tiny), "--unix-socket", path) as running:
        assert running.address == f"unix:{path}"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert list(tmp_path.iterdir()) == [path]
        with httpx.Client(transport=httpx.HTTPTransport(uds=str(path))) as transport:
            client = openai.OpenAI(base_url="http://unix/v1", api_key="none", http_client=transport)
            assert client.embeddings.create(model=MODEL, input="a").data
        done = subprocess.run(
            [sys.executable, "-m", "cachelora", "serve", str(fused(tiny)), "--unix-socket", str(path)],
            capture_output=True,
            text=True,
            timeout=30,
        )
        assert done.returncode == 1
        assert "another server listens on it" in done.stderr
        assert running.stop() == 0
    assert not path.exists()
    path.write_text("mine")
    done = subprocess.run(
        [sys.executable, "-m", "cachelora", "serve", str(fused(tiny)), "--unix-socket", str(path)],
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (done.returncode, path.read_text()) == (1, "mine")
    assert "no socket" in done.stderr


# The largest batch: enough work that a signal surely comes while it runs.
def heavy(texts: int = 20_000) -> dict[str, Any]:
    return {"model": MODEL, "input": ["how can i reset my password and get a card refund " * 4] * texts}


def in_background(running: Running, body: Any) -> tuple[threading.Thread, list[tuple[int, dict[str, str], Any]]]:
    answers: list[tuple[int, dict[str, str], Any]] = []

    def ask() -> None:
        try:
            answers.append(running.post(body))
        except (OSError, http.client.HTTPException):
            answers.append((0, {}, None))

    thread = threading.Thread(target=ask)
    thread.start()
    return thread, answers


def until_admitted(running: Running, count: int) -> None:
    deadline = time.monotonic() + 30
    while f"cachelora_admitted_requests {count}\n" not in running.ask("GET", "/metrics")[2]:
        assert time.monotonic() < deadline
        time.sleep(0.002)


LARGE = ("--max-batch", 1_000_000, "--max-body", 1 << 30, "--workers", 1)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_request_that_runs_is_answered_before_the_server_stops(tiny, number):
    with serving(fused(tiny), *LARGE) as running:
        thread, answers = in_background(running, heavy())
        until_admitted(running, 1)
        assert running.stop(number) == 0
        thread.join()
        assert (answers[0][0], len(answers[0][2]["data"])) == (200, 20_000)
        with pytest.raises(ConnectionRefusedError):
            running.ask("GET", "/healthz")


@pytest.mark.parametrize("why", ["the time is over", "a second signal"])
def test_stopping_has_an_end(tiny, why):
    patience = "0.1" if why == "the time is over" else "60"
    with serving(fused(tiny), *LARGE, "--stop-timeout", patience) as running:
        thread, answers = in_background(running, heavy(400_000))
        until_admitted(running, 1)
        running.process.terminate()
        if why == "a second signal":
            time.sleep(0.1)
            running.process.terminate()
        assert running.process.wait(10) == 1
        thread.join()
        assert answers[0][0] == 0


def test_a_full_queue_says_when_to_come_back(tiny):
    with serving(fused(tiny), *LARGE, "--queue", 1) as running:
        background = [in_background(running, heavy(100_000)) for _ in range(2)]
        until_admitted(running, 2)
        status, headers, said = running.post({"model": MODEL, "input": "a"})
        assert (status, headers["retry-after"]) == (503, "1")
        assert said["error"]["code"] == "server_busy"
        assert running.ask("GET", "/healthz")[0] == 200
        running.process.kill()
        for thread, _ in background:
            thread.join()


def test_a_client_that_goes_away_frees_its_place(tiny):
    with serving(fused(tiny), *LARGE) as running:
        content = json.dumps(heavy(400_000)).encode()
        head = f"POST /v1/embeddings HTTP/1.1\r\nHost: a\r\nContent-Length: {len(content)}\r\n\r\n".encode()
        with socket.create_connection(("127.0.0.1", running.port)) as connection:
            connection.sendall(head + content)
            until_admitted(running, 1)
        until_admitted(running, 0)
        assert running.post({"model": MODEL, "input": "a"})[0] == 200


def test_a_single_text_does_not_wait_for_a_whole_batch(tiny):
    with serving(fused(tiny), *LARGE) as running:
        thread, answers = in_background(running, heavy(50_000))
        until_admitted(running, 1)
        assert running.post({"model": MODEL, "input": "a"})[0] == 200
        assert not answers
        running.process.kill()
        thread.join()


def test_without_the_program_the_command_says_how_to_get_it(tmp_path, monkeypatch):
    from cachelora import serve
    from cachelora.errors import CacheloraError

    monkeypatch.setattr(serve, "PROGRAM", "cachelora-serve-that-nobody-built")
    with pytest.raises(CacheloraError, match="make setup"):
        serve.find_program()
