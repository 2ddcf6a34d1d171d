from pathlib import Path
from typing import final

__all__ = ["NativeEmbedder", "find_onnxruntime"]

@final
class NativeEmbedder:
    def __new__(
        cls,
        path: str | Path,
        *,
        reject_too_long: bool,
        threads: int,
        backend: str,
        onnxruntime_path: str | Path | None,
        site_packages: list[Path],
    ) -> NativeEmbedder: ...
    def encode(self, texts: list[str]) -> tuple[bytearray, list[int], list[bool]]: ...
    def threshold(self, domain: str, max_false_hit_rate: float) -> float: ...
    @property
    def dimension(self) -> int: ...
    @property
    def max_tokens(self) -> int: ...
    @property
    def backend(self) -> str: ...
    @property
    def fingerprint(self) -> str: ...
    @property
    def onnxruntime(self) -> tuple[Path, str, str] | None: ...

def find_onnxruntime(onnxruntime_path: str | Path | None, site_packages: list[Path]) -> tuple[Path, str, str, str]: ...
