"""Train, evaluate and calibrate LoRA adapters for semantic caches."""

from __future__ import annotations

__version__ = "0.1.0"
