"""Merge an adapter into its base and export one verified bundle."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cachelora_export.bundle import export_bundle, verify_bundle

__all__ = ["export_bundle", "verify_bundle"]

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    # Loaded on first use: `cachelora --help` asks for the version only and must not import PyTorch.
    if name in __all__:
        from cachelora_export import bundle

        return getattr(bundle, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
