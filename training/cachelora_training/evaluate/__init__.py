"""What an encoder is worth to a cache: figures with intervals, on rows that nobody trained on."""

from cachelora_training.evaluate.results import evaluate_models

__all__ = ["evaluate_models"]
