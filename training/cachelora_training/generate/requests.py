"""What is asked of a language model and what comes back, whoever answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

__all__ = ["Asked", "Asker", "Keep", "Reply"]


@dataclass(frozen=True)
class Asked:
    """One request: its key in the journal, the chat, and the form of the reply."""

    key: str
    messages: list[dict[str, str]]
    response_format: dict[str, Any]


@dataclass(frozen=True)
class Reply:
    """What a model answered, and what it cost in tokens.

    Attributes:
        content: The text; empty where there is none.
        prompt_tokens, completion_tokens: As the server counts them; 0 where it does not.
        lack: Why the text can't be whole: cut off at the longest reply, or refused by the server; empty if it is.
    """

    content: str
    prompt_tokens: int
    completion_tokens: int
    lack: str = ""


Keep = Callable[[Asked, Reply], None]


class Asker(Protocol):
    """Asks every request; ``keep`` gets each reply as soon as it is there; ``title`` names the progress bar."""

    def __call__(self, requests: Sequence[Asked], keep: Keep, title: str) -> None: ...  # noqa: D102
