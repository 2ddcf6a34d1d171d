"""Many requests in flight to one or several OpenAI-compatible servers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence

from cachelora.errors import CacheloraError
from cachelora.terminal import note, progress

from cachelora_training.generate.pace import Pace
from cachelora_training.generate.requests import Asked, Asker, Keep, Reply
from cachelora_training.generate.server import RefusedError, Server, ServerError, Settings

__all__ = ["EndpointError", "Settings", "endpoints"]

# So many refusals of a server that never answered anything are no matter of single questions.
REFUSALS_OF_A_SERVER = 5


class EndpointError(CacheloraError, OSError):
    """Every server refuses all requests, or stays out of reach after all retries."""


def endpoints(settings: Settings) -> Asker:
    """Return who asks these servers.

    A request goes to the server with the fewest in flight. A server that fails for good is given up, and the others do
    its work. :class:`EndpointError` is raised when none is left. Replies that had arrived were kept; so are those of
    the requests in flight, which are waited for, because they are paid for.
    """

    def ask(requests: Sequence[Asked], keep: Keep, title: str) -> None:
        asyncio.run(_ask_all(requests, settings, keep, title))

    return ask


class _Pool:
    """The servers that are left, and what each of them refused before it answered anything.

    A question that is refused, by a server's content filter for instance, is refused again by every later run; so
    the refusal is kept as its reply. But a server that refuses everything was asked wrongly, and nothing is kept.
    """

    def __init__(self, settings: Settings, keep: Keep) -> None:
        self.servers = [Server(url, settings) for url in settings.urls]
        self._left = list(self.servers)
        self._refused: dict[Server, list[tuple[Asked, Reply]]] = {server: [] for server in self.servers}
        self._keep = keep
        self.failures: list[str] = []

    def next(self) -> Server | None:
        """Return the server with the fewest requests in flight, or None if none is left."""
        return min(self._left, key=lambda server: server.in_flight, default=None)

    def give_up(self, server: Server, reason: str) -> None:
        """Ask a server no more."""
        if server not in self._left:
            return
        self._left.remove(server)
        self.failures.append(f"{server.url}: {reason}")
        if self._left:
            note(f"{server.url}: given up: {reason}; {len(self._left)} of {len(self.servers)} servers left")

    def answered(self, server: Server, asked: Asked, reply: Reply) -> None:
        """Keep an answer, and what the server refused before: it was no fault of the settings."""
        for refusal in self._refused[server]:
            self._keep(*refusal)
        self._refused[server].clear()
        self._keep(asked, reply)

    def refused(self, server: Server, asked: Asked, reason: str) -> None:
        """Keep a refusal, as soon as the server has answered anything."""
        refusals = self._refused[server]
        refusals.append((asked, Reply("", 0, 0, lack="refused by the server")))
        if server.answers:
            note(f"{server.url}: refuses one question ({asked.key}): {reason}")
            self._keep(*refusals.pop())
        elif len(refusals) >= REFUSALS_OF_A_SERVER:
            self.give_up(server, reason)

    def unanswered(self) -> str | None:
        """Return who refused something and never answered anything, or None."""
        return next((server.url for server, refusals in self._refused.items() if refusals), None)


async def _ask_all(requests: Sequence[Asked], settings: Settings, keep: Keep, title: str) -> None:
    """Ask every request; ``keep`` gets each reply as soon as it arrives.

    Raises:
        EndpointError: no server is left.
    """
    places = asyncio.Semaphore(settings.concurrency)
    with progress() as display:
        pace = Pace(title, len(requests), display)

        def keep_and_count(asked: Asked, reply: Reply) -> None:
            keep(asked, reply)
            pace.add(reply)

        pool = _Pool(settings, keep_and_count)

        async def one(asked: Asked) -> None:
            async with places:
                while (server := pool.next()) is not None:
                    try:
                        pool.answered(server, asked, await server.ask(asked))
                        break
                    except RefusedError as refusal:
                        pool.refused(server, asked, str(refusal))
                        break
                    except ServerError as error:
                        pool.give_up(server, str(error))

        jobs: list[Awaitable[None]] = [one(asked) for asked in requests]
        try:
            await asyncio.gather(*jobs)
        finally:
            for server in pool.servers:
                await server.client.close()
    missing = len(requests) - pace.replies
    if missing:
        reasons = pool.failures or [f"{pool.unanswered()}: refuses every question"]
        raise EndpointError(
            "\n".join(reasons) + f"\n{missing} of {len(requests)} replies are missing; what had arrived is kept, "
            "run the same command again to continue"
        )
