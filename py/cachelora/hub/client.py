"""The hub's own client, loaded when it is needed, and its failures in our words."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from cachelora.errors import HubError, UsageError

if TYPE_CHECKING:
    from huggingface_hub import HfApi

__all__ = ["explain", "hub_api", "is_final", "split_id"]

IDENTIFIER = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9_][\w.-]*")


def hub_api() -> HfApi:
    """Return the client. Its token is that of its own login or of HF_TOKEN; we never see or take one.

    Raises:
        HubError: the client is not installed.
    """
    try:
        from huggingface_hub import HfApi

        from cachelora import __version__
    except ModuleNotFoundError as error:
        if error.name != "huggingface_hub":
            raise
        raise HubError('the hub needs its client: pip install "cachelora[hub]"') from error
    return HfApi(library_name="cachelora", library_version=__version__)


def split_id(name: str) -> tuple[str, str | None]:
    """Split ``owner/name[@revision]``; the revision is None where none is given.

    Raises:
        UsageError: it does not have this form.
    """
    identifier, at, revision = name.partition("@")
    if not IDENTIFIER.fullmatch(identifier) or (at and not revision):
        raise UsageError(f"{name!r}: a place on the hub has the form owner/name or owner/name@revision")
    return identifier, revision or None


def is_final(error: Exception) -> bool:
    """Whether the hub itself answered no, so that a copy from the cache must not hide the answer."""
    from huggingface_hub.errors import HfHubHTTPError

    response = getattr(error, "response", None)
    if not isinstance(error, HfHubHTTPError) or response is None:
        return False
    # 408 and 429 ask for patience; what is in the cache needs none.
    return 400 <= response.status_code < 500 and response.status_code not in (408, 429)


def explain(error: Exception, identifier: str, kind: str, revision: str | None) -> HubError:
    """Return a HubError that says what was wrong with ``identifier`` and what to do."""
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    place = f"{kind} {identifier}" + (f"@{revision}" if revision else "")
    if isinstance(error, GatedRepoError):
        return HubError(f"{place}: its owner grants access one by one; ask on its page, then log in")
    if isinstance(error, RepositoryNotFoundError):
        return HubError(
            f"{place}: the hub has no such {kind}, or it is private and nobody is logged in; "
            "check the spelling, --kind, and the hub client's login (or HF_TOKEN)"
        )
    if isinstance(error, RevisionNotFoundError):
        return HubError(f"{place}: no such revision; give a branch, a tag or a full commit")
    # The client's first line says what happened; the rest is advice about its own arguments.
    reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
    response = getattr(error, "response", None)
    said = response.headers.get("X-Error-Message") if response is not None else None
    return HubError(f"{place}: {reason}" + (f" ({said})" if said and said not in reason else ""))
