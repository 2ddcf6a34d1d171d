"""Making a bundle: merge, export, prove, write."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cachelora.errors import BundleCorruptError, BundleInvalidError, BundleNotFoundError
from cachelora.terminal import note
from cachelora_training.adapters import Adapter, load_encoder, resolve_adapter, transformer_of
from cachelora_training.bases import Base, resolve_base
from cachelora_training.directories import check_output, complete_directory
from cachelora_training.hashing import sha256_of_file

from cachelora_export import __version__
from cachelora_export.errors import ExportError
from cachelora_export.graph import ensure_normalised, write_graph
from cachelora_export.manifest import (
    GRAPH,
    INT8_WEIGHTS,
    MANIFEST,
    TOKENIZER,
    AdapterEntry,
    Architecture,
    BaseEntry,
    FileEntry,
    Manifest,
    fingerprint,
)
from cachelora_export.merge import merged_encoder
from cachelora_export.parity import measure_int8_parity, measure_parity, texts_of_many_lengths
from cachelora_export.quantize import quantize_encoder
from cachelora_export.tokenizer import plain_tokenizer, write_tokenizer

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from tokenizers import Tokenizer

__all__ = ["export_bundle", "verify_bundle"]


def export_bundle(
    base_name: str,
    adapter_name: str | None,
    output: Path,
    *,
    parity_texts: list[str] | None = None,
    int8: bool = True,
    force: bool = False,
) -> Manifest:
    """Merge an adapter into its base, export it, prove parity and write the bundle ``output``.

    The directory appears complete or not at all.

    Args:
        base_name: See :func:`cachelora_training.bases.resolve_base`.
        adapter_name: See :func:`cachelora_training.adapters.resolve_adapter`; None exports the bare base.
        output: The bundle's directory.
        parity_texts: What the exported model is compared on; None makes 200 texts of 3 to 128 tokens.
        int8: Also write int8 weights for the fused encoder, where it computes this architecture.
        force: Replace an existing directory.

    Returns:
        The manifest that was written.

    Raises:
        OutputExistsError, BaseModelError, AdapterError, HubError, ExportError, ParityError.
    """
    check_output(output, force=force)
    base = resolve_base(base_name)
    adapter = None if adapter_name is None else resolve_adapter(adapter_name)

    note(f"merging {adapter.name if adapter else 'nothing'} into {base.name}")
    encoder = merged_encoder(base, adapter)
    if ensure_normalised(encoder):
        note("the model does not normalise its vectors; the bundle does")
    max_tokens = _max_tokens(encoder)
    with complete_directory(output) as directory:
        note("exporting to ONNX")
        write_graph(encoder, directory / GRAPH)
        write_tokenizer(encoder, directory / TOKENIZER)
        tokenizer = plain_tokenizer(encoder)
        texts = parity_texts or texts_of_many_lengths(tokenizer, max_tokens)
        note(f"comparing with PyTorch on {len(texts)} texts")
        parity = measure_parity(
            directory / GRAPH,
            load_encoder(base, adapter),
            tokenizer,
            texts,
            max_tokens=max_tokens,
            reference_name=_reference_name(base, adapter),
        )
        files = [GRAPH, TOKENIZER]
        if int8 and _write_int8(encoder, tokenizer, max_tokens, directory / INT8_WEIGHTS):
            files.append(INT8_WEIGHTS)
        unsigned = Manifest(
            created_by=f"cachelora-export {__version__}",
            base_model=BaseEntry(
                id=base.name,
                revision=base.revision,
                sha256=base.weights_sha256,
                license=base.license,
            ),
            adapter=None if adapter is None else _adapter_entry(adapter),
            architecture=_architecture(encoder),
            pooling=_pooling(encoder),
            normalize=True,
            max_tokens=max_tokens,
            dimension=int(encoder.get_embedding_dimension() or 0),
            files={name: _file_entry(directory / name) for name in files},
            parity=parity,
        )
        manifest = unsigned.model_copy(update={"fingerprint": fingerprint(unsigned)})
        (directory / MANIFEST).write_text(manifest.to_json(), encoding="utf-8")
        if INT8_WEIGHTS in files:
            note("comparing int8 with float32")
            # The record is no part of the fingerprint, so it can be added to the bundle that it was measured on.
            record = parity | {"int8": measure_int8_parity(directory, texts)}
            manifest = manifest.model_copy(update={"parity": record})
            (directory / MANIFEST).write_text(manifest.to_json(), encoding="utf-8")
    return manifest


def verify_bundle(path: Path) -> Manifest:
    """Hash every file of a bundle again and return its manifest.

    Raises:
        BundleNotFoundError, BundleInvalidError, BundleCorruptError: what differs, and where.
    """
    from pydantic import ValidationError

    place = path / MANIFEST
    if not place.is_file():
        raise BundleNotFoundError(f"{place}: no such file; `cachelora export` writes a bundle")
    try:
        manifest = Manifest.model_validate_json(place.read_bytes())
    except ValidationError as error:
        raise BundleInvalidError(f"{place}: {error}") from error
    for name, entry in manifest.files.items():
        file = path / name
        if not file.is_file():
            raise BundleNotFoundError(f"{file}: no such file, but the manifest lists it")
        found = _file_entry(file)
        if found != entry:
            raise BundleCorruptError(f"{file}: has {found}, the manifest says {entry}; export or copy the bundle again")
    if fingerprint(manifest) != manifest.fingerprint:
        raise BundleCorruptError(f"{place}: fingerprint: does not agree with the rest of the manifest")
    return manifest


def _write_int8(encoder: SentenceTransformer, tokenizer: Tokenizer, max_tokens: int, path: Path) -> bool:
    """Write the fused encoder's weights; say why and return False where it does not compute this model."""
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer

    others = [type(module).__name__ for module in encoder if not isinstance(module, Normalize | Pooling | Transformer)]
    tokenizer.enable_truncation(max_tokens)
    calibration = [tokenizer.encode(text).ids for text in texts_of_many_lengths(tokenizer, max_tokens)]
    tokenizer.no_truncation()
    try:
        if others:
            raise ExportError(f"the fused encoder has no module {', '.join(others)}")
        quantize_encoder(transformer_of(encoder), path, pooling=_pooling(encoder), calibration=calibration)
    except ExportError as error:
        note(f"no int8 weights: {error}; this bundle runs through ONNX Runtime")
        return False
    return True


def _file_entry(path: Path) -> FileEntry:
    return FileEntry(size=path.stat().st_size, sha256=sha256_of_file(path))


def _adapter_entry(adapter: Adapter) -> AdapterEntry:
    return AdapterEntry(
        id=adapter.name,
        revision=adapter.revision,
        sha256=adapter.weights_sha256,
        rank=adapter.rank,
        alpha=adapter.alpha,
        target_modules=adapter.target_modules,
    )


def _reference_name(base: Base, adapter: Adapter | None) -> str:
    return f"PyTorch: {base.name}" + (f" with {adapter.name}, not merged" if adapter else "")


def _architecture(encoder: SentenceTransformer) -> Architecture:
    config = transformer_of(encoder).config
    try:
        return Architecture(
            model_type=config.model_type,
            layers=config.num_hidden_layers,
            hidden_size=config.hidden_size,
            heads=config.num_attention_heads,
            intermediate_size=config.intermediate_size,
            vocab_size=config.vocab_size,
            max_positions=config.max_position_embeddings,
            activation=config.hidden_act,
            layer_norm_eps=config.layer_norm_eps,
        )
    except AttributeError as error:
        raise ExportError(f"architecture {config.model_type}: {error}; encoders like BERT are supported") from error


def _pooling(encoder: SentenceTransformer) -> str:
    from sentence_transformers.sentence_transformer.modules import Pooling

    for module in encoder:
        if isinstance(module, Pooling):
            mode = module.pooling_mode
            return mode if isinstance(mode, str) else "+".join(mode)
    raise ExportError("the model has no pooling module; a sentence encoder was expected")


def _max_tokens(encoder: SentenceTransformer) -> int:
    positions = int(transformer_of(encoder).config.max_position_embeddings)
    return min(int(encoder.max_seq_length or positions), positions)
