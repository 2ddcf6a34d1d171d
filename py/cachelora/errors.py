"""One exception class per kind of failure.

Each class also derives from the built-in exception that fits, so that code which knows nothing of
cachelora (``except FileNotFoundError``) still does the right thing.
"""

from __future__ import annotations

__all__ = [
    "BundleCorruptError",
    "BundleInvalidError",
    "BundleNotFoundError",
    "CacheloraError",
    "DetectorError",
    "HubError",
    "InferenceError",
    "InputTooLongError",
    "NotCalibratedError",
    "OutputExistsError",
    "RuntimeInvalidError",
    "RuntimeNotFoundError",
    "RuntimeTooOldError",
    "SchemaUnsupportedError",
    "TokenizerError",
    "UsageError",
]


class CacheloraError(Exception):
    """Base class of every failure that cachelora reports on purpose.

    The message says what was wrong, where, and what to do about it.
    """


class UsageError(CacheloraError, ValueError):
    """An argument has a value that can't be used."""


class BundleNotFoundError(CacheloraError, FileNotFoundError):
    """The bundle directory, or a file that its manifest lists, is missing."""


class BundleInvalidError(CacheloraError, ValueError):
    """The manifest or another file of the bundle does not have the expected form."""


class BundleCorruptError(BundleInvalidError):
    """A file of the bundle does not have the size or SHA-256 that the manifest records."""


class SchemaUnsupportedError(BundleInvalidError):
    """The bundle was written in a newer major schema than this version reads."""


class TokenizerError(CacheloraError, ValueError):
    """The tokenizer could not be read, or failed on a text."""


class RuntimeNotFoundError(CacheloraError, FileNotFoundError):
    """No ONNX Runtime library was found; the message lists every path that was tried."""


class RuntimeInvalidError(CacheloraError, OSError):
    """A library was found but can't be loaded as ONNX Runtime."""


class RuntimeTooOldError(RuntimeInvalidError):
    """The ONNX Runtime that was found is older than the oldest supported one."""


class InputTooLongError(CacheloraError, ValueError):
    """A text has more tokens than the model reads, and the policy is to reject it."""


class InferenceError(CacheloraError, RuntimeError):
    """The model could not be run, or returned a vector that is not finite or not of unit length."""


class NotCalibratedError(CacheloraError, LookupError):
    """No threshold was calibrated for this domain and false-hit budget."""


class DetectorError(CacheloraError, ValueError):
    """A domain detector can't be read, or belongs to another bundle."""


class HubError(CacheloraError, OSError):
    """The hub could not be reached, does not have what was asked for, or must not be given what was offered."""


class OutputExistsError(CacheloraError, FileExistsError):
    """The output is already there."""
