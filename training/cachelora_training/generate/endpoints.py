"""Many requests in flight to one or several OpenAI-compatible servers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import Any

from cachelora.errors import CacheloraError
from cachelora.terminal import note, progress

from cachelora_training.generate.requests import Asked, Asker, Keep, Reply

__all__ = ["EndpointError", "Settings", "endpoints"]


class EndpointError(CacheloraError, OSError):
    """A server refuses every request, or stays out of reach after all retries."""


@dataclass(frozen=True)
class Settings:
    """How servers are asked.

    Attributes:
        urls: Base addresses such as ``http://127.0.0.1:8000/v1``; requests are spread over them in turn.
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


class _Server:
    """One server, and whether it takes a JSON schema."""

    def __init__(self, url: str, settings: Settings) -> None:
        from openai import AsyncOpenAI

        self.url = url
        self.settings = settings
        self.structured = True
        self.client = AsyncOpenAI(
            base_url=url, api_key=settings.api_key, max_retries=settings.retries, timeout=settings.timeout
        )

    async def ask(self, asked: Asked) -> Reply:
        from openai import BadRequestError, UnprocessableEntityError

        if self.structured:
            try:
                return await self._complete(asked, response_format=asked.response_format)
            except (BadRequestError, UnprocessableEntityError) as error:
                if self.structured:
                    self.structured = False
                    note(f"{self.url}: takes no JSON schema ({error.status_code}); asking in words")
        return await self._complete(asked)

    async def _complete(self, asked: Asked, **extra: Any) -> Reply:
        settings = self.settings
        completion: Any = await self.client.chat.completions.create(
            model=settings.model,
            messages=asked.messages,  # type: ignore[arg-type]
            temperature=settings.temperature,
            max_tokens=settings.max_tokens,
            **extra,
        )
        if isinstance(completion, str):
            return _reply_of_stream(completion)
        usage = completion.usage
        choices = completion.choices or []
        return Reply(
            content=(choices[0].message.content or "") if choices else "",
            prompt_tokens=usage.prompt_tokens if usage else 0,
            completion_tokens=usage.completion_tokens if usage else 0,
        )


def _reply_of_stream(text: str) -> Reply:
    """Return the reply in a stream of events; some servers stream although nobody asked them to.

    Raises:
        EndpointError: the stream has no end, or is none.
    """
    content: list[str] = []
    tokens = {"prompt_tokens": 0, "completion_tokens": 0}
    finished = False
    for line in text.splitlines():
        data = line.removeprefix("data:").strip()
        if not line.startswith("data:") or data == "[DONE]":
            continue
        chunk = json.loads(data)
        for choice in chunk.get("choices") or []:
            content.append((choice.get("delta") or {}).get("content") or "")
            finished = finished or choice.get("finish_reason") is not None
        tokens |= {key: count for key, count in (chunk.get("usage") or {}).items() if key in tokens}
    if not finished:
        raise EndpointError(f"neither a chat completion nor a whole stream of one: {text[:200]!r}")
    return Reply("".join(content), **tokens)


def endpoints(settings: Settings) -> Asker:
    """Return who asks these servers.

    It raises :class:`EndpointError` if a request failed for good. Replies that had arrived were kept; so are those of
    the requests in flight, which are waited for, because they are paid for.
    """

    def ask(requests: Sequence[Asked], keep: Keep, title: str) -> None:
        asyncio.run(_ask_all(requests, settings, keep, title))

    return ask


async def _ask_all(requests: Sequence[Asked], settings: Settings, keep: Keep, title: str) -> None:
    """Ask every request; ``keep`` gets each reply as soon as it arrives.

    Raises:
        EndpointError: a request failed for good.
    """
    servers = [_Server(url, settings) for url in settings.urls]
    places = asyncio.Semaphore(settings.concurrency)
    failure: EndpointError | None = None
    with progress() as display:
        task = display.add_task(title, total=len(requests))

        async def one(index: int, asked: Asked) -> None:
            nonlocal failure
            async with places:
                if failure is not None:
                    return
                server = servers[index % len(servers)]
                try:
                    reply = await server.ask(asked)
                except Exception as error:  # the client's own retries are over; whatever it is, it is final
                    failure = failure or EndpointError(
                        f"{server.url}: {type(error).__name__}: {error}; what had arrived is kept, run the same "
                        "command again to continue"
                    )
                    return
                keep(asked, reply)
                display.advance(task)

        jobs: list[Awaitable[None]] = [one(index, asked) for index, asked in enumerate(requests)]
        try:
            await asyncio.gather(*jobs)
        finally:
            for server in servers:
                await server.client.close()
    if failure is not None:
        raise failure
