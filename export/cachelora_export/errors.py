"""The failures of this distribution; `cachelora.errors` has those of the runtime."""

from __future__ import annotations

from cachelora.errors import CacheloraError

__all__ = ["ExportError", "ParityError"]


class ExportError(CacheloraError, RuntimeError):
    """The model can't be exported."""


class ParityError(CacheloraError, ArithmeticError):
    """The exported model does not compute what the PyTorch model computes; no bundle was written."""
