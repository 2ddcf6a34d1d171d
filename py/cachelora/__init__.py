"""Sentence vectors that know when a cached answer may be reused.

from cachelora import Embedder

with Embedder("bundle") as embedder:
    question, stored = embedder.encode(["reset my password", "how do I change my password?"])
    if question @ stored >= embedder.threshold("all", 0.05):
        ...  # the stored answer may be served
"""

from cachelora.embedder import Embedder, EncodedTexts
from cachelora.errors import CacheloraError
from cachelora.hybrid import HybridEmbedder, Placed

__all__ = ["CacheloraError", "Embedder", "EncodedTexts", "HybridEmbedder", "Placed", "__version__"]

__version__ = "0.1.0"
