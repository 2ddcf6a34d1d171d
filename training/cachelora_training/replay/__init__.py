"""A cache as it runs: questions in order, the nearest of everything stored, and what was served wrongly."""

from cachelora_training.replay.run import replay_bundle

__all__ = ["replay_bundle"]
