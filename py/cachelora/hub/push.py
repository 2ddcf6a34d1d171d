"""From this machine to the hub: an adapter or a bundle, its card, in one commit."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cachelora.errors import HubError, RuntimeInvalidError, RuntimeNotFoundError, UsageError
from cachelora.hub.card import card_text
from cachelora.hub.client import explain, hub_api, split_id
from cachelora.hub.kinds import ADAPTER_CONFIG, ADAPTER_WEIGHTS, CARD, MANIFEST, Kind, allowed, check_content, is_pickle
from cachelora.hub.kinds import kind_of as kind_of_names

if TYPE_CHECKING:
    from huggingface_hub import HfApi

__all__ = ["Pushed", "files_to_push", "push"]


@dataclass(frozen=True)
class Pushed:
    """What was pushed.

    Attributes:
        id: ``owner/name``.
        kind: Adapter or bundle.
        revision: The branch; None for the default one.
        url: The commit's page.
        commit: Its 40 hexadecimal digits.
        files: Size in bytes by name, the card included.
    """

    id: str
    kind: Kind
    revision: str | None
    url: str
    commit: str
    files: dict[str, int]


def push(
    directory: Path,
    identifier: str,
    *,
    private: bool = False,
    revision: str | None = None,
    message: str | None = None,
) -> Pushed:
    """Put a PEFT adapter or a bundle into the model repository ``owner/name``, which is made if need be.

    The token is that of the hub client's own login or of HF_TOKEN.

    Args:
        directory: The adapter or the bundle; nothing is written to it.
        identifier: ``owner/name``.
        private: Make the repository private; one that is there and public is refused.
        revision: The branch, made if need be; None for the default one.
        message: The commit's message.

    Raises:
        UsageError, HubError, BundleInvalidError, BundleCorruptError: all but the hub's own refusals before
            anything is sent.
    """
    if split_id(identifier)[1] is not None:
        raise UsageError(f"{identifier!r}: give the branch with --revision, not after an @")
    kind, files = files_to_push(directory)
    api = hub_api()
    card = card_text(directory, kind, identifier).encode()

    from huggingface_hub import CommitOperationAdd, get_token

    if get_token() is None:
        raise HubError("nobody is logged in to the hub: use the hub client's login, or set HF_TOKEN")
    operations = [CommitOperationAdd(name, str(path)) for name, path in files.items() if name != CARD]
    operations.append(CommitOperationAdd(CARD, card))
    try:
        api.create_repo(identifier, private=True if private else None, exist_ok=True)
        if private:
            _check_private(api, identifier)
        if revision is not None:
            api.create_branch(identifier, branch=revision, exist_ok=True)
        done = api.create_commit(
            identifier, operations, commit_message=message or f"cachelora: {kind} {identifier}", revision=revision
        )
    except HubError:
        raise
    except Exception as error:
        raise explain(error, identifier, "model", revision) from error
    sizes = {name: path.stat().st_size for name, path in files.items()} | {CARD: len(card)}
    return Pushed(identifier, kind, revision, str(done.commit_url), done.oid, dict(sorted(sizes.items())))


def files_to_push(directory: Path) -> tuple[Kind, dict[str, Path]]:
    """Return what a directory is, and its files by name; hidden ones stay at home.

    Raises:
        HubError: it is neither adapter nor bundle, or holds a file that must not travel.
        BundleInvalidError, BundleCorruptError: it is a bundle that can't be opened.
    """
    if not directory.is_dir():
        raise HubError(f"{directory}: no such directory")
    files = {
        path.relative_to(directory).as_posix(): path
        for path in sorted(directory.rglob("*"))
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(directory).parts)
    }
    pickles = [name for name in files if is_pickle(name)]
    if pickles:
        raise HubError(
            f"{directory}: {', '.join(pickles)}: may hold pickles, which run code where they are loaded; "
            "remove them, and save weights as safetensors"
        )
    kind = kind_of_names(files)
    if kind is None:
        raise HubError(
            f"{directory}: is neither a bundle ({MANIFEST}) nor a PEFT adapter ({ADAPTER_CONFIG}, {ADAPTER_WEIGHTS})"
        )
    strange = [name for name in files if not allowed(name)]
    if strange:
        raise HubError(
            f"{directory}: {', '.join(strange)}: only safetensors, ONNX, JSON and text are pushed; remove it"
        )
    for path in files.values():
        check_content(path)
    if kind is Kind.BUNDLE:
        _verify(directory)
    return kind, files


def _verify(directory: Path) -> None:
    from cachelora import Embedder

    try:
        Embedder(directory).close()
    except (RuntimeNotFoundError, RuntimeInvalidError) as error:
        raise HubError(f"{directory}: a bundle is tried before it is pushed: {error}") from error


def _check_private(api: HfApi, identifier: str) -> None:
    if not api.repo_info(identifier).private:
        raise HubError(f"{identifier}: is already there and public; choose another name, or push without --private")
