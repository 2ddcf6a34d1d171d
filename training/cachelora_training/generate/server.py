"""One OpenAI-compatible server: how it wants to be asked, and what its failures mean."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

from cachelora.terminal import note

from cachelora_training.generate.requests import Asked, Reply

__all__ = ["RefusedError", "Server", "ServerError", "Settings"]


class RefusedError(Exception):
    """The server won't answer this request, however often it is asked; others it may."""


class ServerError(Exception):
    """The server fails for good: out of reach after all retries, or not willing to answer anything."""


@dataclass(frozen=True)
class Settings:
    """How servers are asked.

    Attributes:
        urls: Base addresses such as ``http://127.0.0.1:8000/v1``; requests are spread over them.
        api_key: Sent as a bearer token.
        model: The model's name there.
        concurrency: Requests in flight at a time, over all servers.
        retries: How often one request is tried again after a timeout, a cut connection, 408, 409, 429 or 5xx; the
            official client waits longer each time, and as long as a server's Retry-After says.
        timeout: Seconds until a request counts as lost.
        temperature, max_tokens: As the API has them.
    """

    urls: tuple[str, ...]
    api_key: str
    model: str
    concurrency: int = 16
    retries: int = 8
    timeout: float = 120.0
    temperature: float = 0.8
    max_tokens: int = 256


@dataclass(frozen=True)
class _Dialect:
    """What a server takes of what may be asked.

    Attributes:
        structured: A JSON schema for the reply.
        length: The name of the limit; reasoning models of hosted APIs know the newer one only.
        temperature: One of our choice; the same models have only their own.
    """

    structured: bool = True
    length: str = "max_tokens"
    temperature: bool = True


class Server:
    """One server. It is asked for everything at first, and for less when it says what it does not take."""

    def __init__(self, url: str, settings: Settings) -> None:
        from openai import AsyncOpenAI

        self.url = url
        self.settings = settings
        self.in_flight = 0
        self.answers = 0
        self.client = AsyncOpenAI(
            base_url=url, api_key=settings.api_key, max_retries=settings.retries, timeout=settings.timeout
        )
        self._dialect = _Dialect()

    async def ask(self, asked: Asked) -> Reply:
        """Return the reply to a request.

        Raises:
            RefusedError: the server does not answer this one.
            ServerError: the server failed for good.
        """
        from openai import BadRequestError, UnprocessableEntityError

        self.in_flight += 1
        try:
            while True:
                dialect = self._dialect
                try:
                    reply = await self._complete(asked, dialect)
                except (BadRequestError, UnprocessableEntityError) as error:
                    # Others in flight may have learned it meanwhile.
                    if self._dialect == dialect and not self._learn(str(error)):
                        raise RefusedError(_first_line(error)) from error
                else:
                    self.answers += 1
                    return reply
        except RefusedError:
            raise
        except Exception as error:  # the client's own retries are over; whatever it is, it is final
            raise ServerError(_described(error)) from error
        finally:
            self.in_flight -= 1

    def _learn(self, complaint: str) -> bool:
        """Ask for less after a refusal; return whether there was anything to leave out."""
        before = self._dialect
        if "max_completion_tokens" in complaint and before.length == "max_tokens":
            self._dialect = replace(before, length="max_completion_tokens")
        elif "temperature" in complaint and before.temperature:
            self._dialect = replace(before, temperature=False)
            note(f"{self.url}: takes no temperature; its own is used")
        # Once it has answered with a schema, a refusal without a word about it means the question.
        elif before.structured and (not self.answers or "response_format" in complaint or "schema" in complaint):
            self._dialect = replace(before, structured=False)
            note(f"{self.url}: takes no JSON schema; asking in words")
        return self._dialect != before

    async def _complete(self, asked: Asked, dialect: _Dialect) -> Reply:
        settings = self.settings
        extra: dict[str, Any] = {dialect.length: settings.max_tokens}
        if dialect.temperature:
            extra["temperature"] = settings.temperature
        if dialect.structured:
            extra["response_format"] = asked.response_format
        completion: Any = await self.client.chat.completions.create(
            model=settings.model,
            messages=asked.messages,  # type: ignore[arg-type]
            **extra,
        )
        if isinstance(completion, str):
            return _reply_of_stream(completion)
        usage, choices = completion.usage, completion.choices or []
        return Reply(
            content=(choices[0].message.content or "") if choices else "",
            prompt_tokens=usage.prompt_tokens if usage else 0,
            completion_tokens=usage.completion_tokens if usage else 0,
            lack=_lack(choices[0].finish_reason) if choices else "",
        )


def _lack(finish_reason: str | None) -> str:
    return "cut off at --max-tokens" if finish_reason == "length" else ""


def _reply_of_stream(text: str) -> Reply:
    """Return the reply in a stream of events; some servers stream although nobody asked them to.

    Raises:
        ServerError: the stream has no end, or is none.
    """
    content: list[str] = []
    tokens = {"prompt_tokens": 0, "completion_tokens": 0}
    finished: str | None = None
    for line in text.splitlines():
        data = line.removeprefix("data:").strip()
        if not line.startswith("data:") or data == "[DONE]":
            continue
        chunk = json.loads(data)
        for choice in chunk.get("choices") or []:
            content.append((choice.get("delta") or {}).get("content") or "")
            finished = choice.get("finish_reason") or finished
        tokens |= {key: count for key, count in (chunk.get("usage") or {}).items() if key in tokens}
    if finished is None:
        raise ServerError(f"neither a chat completion nor a whole stream of one: {text[:200]!r}")
    return Reply("".join(content), **tokens, lack=_lack(finished))


def _described(error: Exception) -> str:
    """Return what went wrong; the client's "Connection error." alone does not say what."""
    from openai import APIConnectionError, APIStatusError, APITimeoutError

    if isinstance(error, ServerError):
        return str(error)
    if isinstance(error, APITimeoutError):
        return "no reply within --timeout, after all --retries"
    if isinstance(error, APIConnectionError):
        return f"can't be reached ({error.__cause__ or error}), after all --retries"
    if isinstance(error, APIStatusError):
        advice = {
            401: "; set OPENAI_API_KEY",
            403: "; set OPENAI_API_KEY",
            404: "; the address should end as the server's base URL does, mostly in /v1, and --model name one it has",
        }
        return f"HTTP {error.status_code}: {_first_line(error)}{advice.get(error.status_code, '')}"
    return f"{type(error).__name__}: {_first_line(error)}"


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__
