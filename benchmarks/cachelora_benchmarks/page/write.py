"""From a directory of results to the files that show it, and the question whether these still do."""

from __future__ import annotations

import os
from io import BytesIO
from pathlib import Path

import numpy as np
from cachelora.directories import write_bytes_atomically
from cachelora.errors import UsageError
from PIL import Image

from cachelora_benchmarks.page.markdown import BEGIN, END, page_text, summary_text
from cachelora_benchmarks.page.plots import PLOTS
from cachelora_benchmarks.page.results import read_results

__all__ = ["stale_files", "with_summary", "write_page"]

# Another processor may round a pixel's grey otherwise; a line that has moved changes far more.
GREY_TOLERANCE = 24
PIXELS_TOLERANCE = 1e-4


def write_page(results: Path, output: Path, readme: Path | None = None) -> list[Path]:
    """Write the page, its plots, and the part of ``readme`` between the marker comments; return what was written.

    Args:
        results: A directory of directories that ``cachelora bench all`` wrote; plots are written into these.
        output: The Markdown file.
        readme: A file with both marker comments.

    Raises:
        UsageError: see :func:`read_results`; or ``readme`` lacks the comments.
    """
    rendered = _render(results, output, readme)
    for path, content in rendered.items():
        write_bytes_atomically(path, content)
    return list(rendered)


def stale_files(results: Path, output: Path, readme: Path | None = None) -> list[Path]:
    """Return the files that :func:`write_page` would change: texts to the byte, plots as far as an eye can see."""
    return [path for path, content in _render(results, output, readme).items() if not _shows(path, content)]


def with_summary(text: str, summary: str) -> str:
    """Return ``text`` with ``summary`` between the marker comments.

    Raises:
        UsageError: they are not there once each, in their order.
    """
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise UsageError(f"one line {BEGIN} and after it one line {END} were expected")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{summary}\n\n{END}{after}"


def _render(results: Path, output: Path, readme: Path | None) -> dict[Path, bytes]:
    found = read_results(results)
    rendered: dict[Path, bytes] = {}
    places: dict[tuple[str, str], str] = {}
    for bundle in found.bundles:
        for name, draw in PLOTS.items():
            if name in bundle.facts:
                path = results / bundle.name / f"{name}.png"
                rendered[path] = draw(bundle.facts[name])
                places[bundle.name, name] = _link(path, output)
    rendered[output] = page_text(found, places).encode()
    if readme is not None:
        try:
            text = with_summary(readme.read_text(encoding="utf-8"), summary_text(found, _link(output, readme)))
        except (OSError, UsageError) as error:
            raise UsageError(f"{readme}: {error}") from None
        rendered[readme] = text.encode()
    return rendered


def _link(target: Path, page: Path) -> str:
    return Path(os.path.relpath(target, page.parent)).as_posix()


def _shows(path: Path, content: bytes) -> bool:
    if not path.is_file():
        return False
    written = path.read_bytes()
    if written == content or path.suffix != ".png":
        return written == content
    old, new = (np.asarray(Image.open(BytesIO(image)).convert("RGB"), dtype=np.int16) for image in (written, content))
    if old.shape != new.shape:
        return False
    moved = (np.abs(old - new).max(axis=2) > GREY_TOLERANCE).mean()
    return bool(moved <= PIXELS_TOLERANCE)
