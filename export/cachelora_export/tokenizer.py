"""The tokenizer of a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cachelora_export.errors import ExportError

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from tokenizers import Tokenizer

__all__ = ["plain_tokenizer", "write_tokenizer"]


def plain_tokenizer(encoder: SentenceTransformer) -> Tokenizer:
    """Return the model's fast tokenizer without padding and without truncation.

    Published files often ask for both (all-MiniLM's for padding to 128), and a reader that obeys pays for tokens
    that carry nothing; how many tokens the model reads stands in the manifest instead.

    Raises:
        ExportError: the model has no fast tokenizer.
    """
    from tokenizers import Tokenizer

    if not getattr(encoder.tokenizer, "is_fast", False):
        raise ExportError("the model has no fast tokenizer (tokenizer.json); bundles need one")
    tokenizer = Tokenizer.from_str(encoder.tokenizer.backend_tokenizer.to_str())
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def write_tokenizer(encoder: SentenceTransformer, path: Path) -> None:
    """Write tokenizer.json."""
    plain_tokenizer(encoder).save(str(path), pretty=False)
