"""Merge an adapter into its base and export one verified bundle."""

from __future__ import annotations

__version__ = "0.1.0"
