"""The subcommands pull and push. Thin: they parse, call and print."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from cachelora.hub.kinds import Kind

__all__ = ["pull", "push"]

JsonOption = Annotated[bool, typer.Option("--json", help="Print facts as JSON.")]


def pull(
    identifier: Annotated[str, typer.Argument(metavar="ID[@REVISION]", help="A place on the hub: owner/name.")],
    kind: Annotated[Kind | None, typer.Option(help="What to expect; by default what a model repository holds.")] = None,
    output: Annotated[Path | None, typer.Option(help="Copy the files to this directory.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the output.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Fetch an adapter, a bundle or a test set from the hub: one commit, no pickles, cached, verified.

    A bundle goes to $CACHELORA_MODELS/OWNER--NAME where that is set.
    """
    from cachelora.hub.pull import pull as pull_from_hub
    from cachelora.terminal import emit, note, stdout

    _quiet_client()
    done = pull_from_hub(identifier, kind=kind, output=output, force=force)
    if done.unreachable is not None:
        note(f"used the copy in the cache: {done.unreachable}")
    if done.left_out:
        note(f"not downloaded: {', '.join(done.left_out)}")
    facts: dict[str, Any] = {
        "id": done.id,
        "kind": str(done.kind),
        "revision": done.revision,
        "commit": done.commit,
        "path": str(done.path),
        "files": done.files,
        "bytes": done.bytes,
        "not_downloaded": done.left_out,
        "from_cache": done.unreachable is not None,
    }
    if done.kind is Kind.BUNDLE:
        facts["fingerprint"] = done.fingerprint

    def render() -> None:
        stdout.print(str(done.path), highlight=False, markup=False)
        stdout.print(f"{done.kind} {done.id} at commit {done.commit}", highlight=False, markup=False)
        _print_sizes(done.files)

    emit(facts, as_json=as_json, render=render)


def push(
    directory: Annotated[Path, typer.Argument(help="A PEFT adapter or a bundle.")],
    identifier: Annotated[str, typer.Argument(metavar="OWNER/NAME", help="The model repository; made if need be.")],
    private: Annotated[bool, typer.Option("--private", help="Make the repository private.")] = False,
    revision: Annotated[str | None, typer.Option(help="The branch; made if need be.")] = None,
    message: Annotated[str | None, typer.Option(help="The commit's message.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Put an adapter or a bundle on the hub, with a model card, in one commit.

    The token is that of the hub client's login, or HF_TOKEN.
    """
    from cachelora.hub.push import push as push_to_hub
    from cachelora.terminal import emit, stdout

    _quiet_client()
    done = push_to_hub(directory, identifier, private=private, revision=revision, message=message)
    facts: dict[str, Any] = {
        "id": done.id,
        "kind": str(done.kind),
        "revision": done.revision,
        "url": done.url,
        "commit": done.commit,
        "files": done.files,
        "bytes": sum(done.files.values()),
    }

    def render() -> None:
        stdout.print(done.url, highlight=False, markup=False)
        stdout.print(f"{done.kind} {done.id} at commit {done.commit}", highlight=False, markup=False)
        _print_sizes(done.files)

    emit(facts, as_json=as_json, render=render)


def _print_sizes(files: dict[str, int]) -> None:
    from cachelora.terminal import stdout

    for name, size in files.items():
        stdout.print(f"{size:>12,}  {name}", highlight=False, markup=False)
    stdout.print(f"{sum(files.values()):>12,}  bytes in {len(files)} files", highlight=False, markup=False)


def _quiet_client() -> None:
    """Keep the client's progress bars for terminals; a log file wants none."""
    from cachelora.hub.client import hub_api
    from cachelora.terminal import stderr

    hub_api()  # says how to install the client where it is missing
    if not stderr.is_terminal:
        from huggingface_hub.utils.tqdm import disable_progress_bars

        disable_progress_bars()
