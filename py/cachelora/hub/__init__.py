"""Adapters, bundles and test sets on the model hub: pull and push. Needs the ``hub`` extra."""

from __future__ import annotations

from cachelora.hub.pull import Pulled, pull
from cachelora.hub.push import Pushed, push

__all__ = ["Pulled", "Pushed", "pull", "push"]
