"""A chat server on loopback that misbehaves on purpose, and remembers what it was asked."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = Callable[[str], str]


def question_in(request: dict[str, Any]) -> str:
    """Return the question of the last message, without what stands around it."""
    content = str(request["messages"][-1]["content"])
    return content.partition("Question: ")[2].partition("\n")[0]


def honest(question: str) -> str:
    """Answer as a good model would, about the question alone."""
    return json.dumps({"positive": f"Tell me about this: {question}", "negative": f"{question} on mars"})


class ChatServer:
    """Serves ``/v1/chat/completions`` on a free port.

    Args:
        answer: Text of the reply for a question.
        faults: What the first tries of every n-th question meet: ``429``, ``500``, ``cut``, ``slow``.
        schema: Whether ``response_format`` is taken; otherwise it is refused with 400.
        delay: Seconds that every reply takes.
        stream: Reply with a stream of events, asked or not.
        unknown: Names in a request that are refused with 400.
        refuses: Whether a question is refused with 400, whatever else is asked.
        finish: The reason for the end of every reply; ``length`` cuts it in half.
        retry_after: What 429 says, in seconds.
        lives: After so many answers it closes every connection without a word.
    """

    def __init__(
        self,
        answer: Answer = honest,
        *,
        faults: tuple[str, ...] = (),
        schema: bool = True,
        delay: float = 0.0,
        stream: bool = False,
        unknown: tuple[str, ...] = (),
        refuses: Callable[[str], bool] = lambda question: False,
        finish: str = "stop",
        retry_after: str = "0.01",
        lives: float = float("inf"),
    ) -> None:
        self.lives = lives
        self.unknown, self.refuses, self.finish, self.retry_after = unknown, refuses, finish, retry_after
        self.answer, self.faults, self.schema, self.delay, self.stream = answer, faults, schema, delay, stream
        self.tries: Counter[str] = Counter()
        self.answered: Counter[str] = Counter()
        self.met: Counter[str] = Counter()
        self.lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: Any) -> None:
                pass

            def do_POST(self) -> None:
                if self.path != "/v1/chat/completions":
                    return outer.send(self, 404, {"error": {"message": f"nothing is at {self.path}"}})
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                return outer.reply(self, body)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"

    def reply(self, handler: BaseHTTPRequestHandler, body: dict[str, Any]) -> None:
        question = question_in(body)
        with self.lock:
            self.tries[question] += 1
            number = len(self.tries)
            fault = self.faults[number % len(self.faults)] if self.faults and self.tries[question] == 1 else None
            if fault:
                self.met[fault] += 1
        if "response_format" in body and not self.schema:
            return self.send(handler, 400, {"error": {"message": "response_format is not known"}})
        if self.answered.total() >= self.lives:
            handler.close_connection = True
            return None
        for name in self.unknown:
            if name in body:
                hint = " Use 'max_completion_tokens' instead." if name == "max_tokens" else ""
                message = f"Unsupported parameter: '{name}' is not supported with this model.{hint}"
                return self.send(handler, 400, {"error": {"message": message, "param": name}})
        if self.refuses(question):
            return self.send(handler, 400, {"error": {"message": "filtered", "code": "content_filter"}})
        if fault == "429":
            return self.send(handler, 429, {"error": {"message": "slow down"}}, {"Retry-After": self.retry_after})
        if fault == "500":
            return self.send(handler, 500, {"error": {"message": "out of order"}})
        if fault == "cut":
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{")
            handler.close_connection = True
            return None
        if fault == "slow":
            time.sleep(1.5)
        time.sleep(self.delay)
        with self.lock:
            self.answered[question] += 1
        if self.stream:
            return self.send_stream(handler, self.answer(question))
        return self.send(
            handler,
            200,
            {
                "id": "1",
                "object": "chat.completion",
                "created": 1,
                "model": body["model"],
                "choices": [
                    {
                        "index": 0,
                        "finish_reason": self.finish,
                        "message": {"role": "assistant", "content": self.content(question)},
                    }
                ],
                "usage": {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110},
            },
        )

    def content(self, question: str) -> str:
        whole = self.answer(question)
        return whole[: len(whole) // 2] if self.finish == "length" else whole

    def send_stream(self, handler: BaseHTTPRequestHandler, content: str) -> None:
        parts = [content[start : start + 7] for start in range(0, len(content), 7)]
        chunks: list[Any] = [{"choices": [{"index": 0, "delta": {"content": part}}]} for part in parts]
        chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        chunks.append({"choices": [], "usage": {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}})
        raw = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks).encode() + b"data: [DONE]\n\n"
        handler.send_response(200)
        handler.send_header("Content-Type", "text/event-stream")
        handler.send_header("Content-Length", str(len(raw)))
        handler.end_headers()
        handler.wfile.write(raw)

    def send(
        self, handler: BaseHTTPRequestHandler, status: int, content: Any, headers: dict[str, str] | None = None
    ) -> None:
        raw = json.dumps(content).encode()
        try:
            handler.send_response(status)
            for name, value in (
                {"Content-Type": "application/json", "Content-Length": str(len(raw))} | (headers or {})
            ).items():
                handler.send_header(name, value)
            handler.end_headers()
            handler.wfile.write(raw)
        except (BrokenPipeError, ConnectionResetError):
            pass  # the client gave up waiting, as it should

    def __enter__(self) -> ChatServer:
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()
