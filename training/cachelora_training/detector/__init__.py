"""A domain detector on a bundle's vectors: fitted here, used by `cachelora.detector` and `cachelora.hybrid`.

| file | subject |
|---|---|
| `fit.py` | the regression, its strength and the confidence that counts as clear, by cross-validation |
| `measure.py` | what a detector does with rows that it was not fitted to |
| `commands.py` | `cachelora fit-detector` |
"""

from __future__ import annotations

from cachelora_training.detector.fit import fit_detector

__all__ = ["fit_detector"]
