"""Tiny real models for tests: a two-layer BERT in hub layout, a LoRA adapter on it, their bundle, golden vectors.

    python tests/tiny_bundle.py DIRECTORY

writes DIRECTORY/{base,adapter,bundle,bundle-int8}, the last also with int8 weights, and DIRECTORY/golden.json: texts
with the vectors that PyTorch gives for the base with its adapter, not merged. Weights are random but seeded;
nothing is downloaded.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import torch
from cachelora_export import export_bundle
from cachelora_export.parity import texts_of_many_lengths
from cachelora_export.tokenizer import plain_tokenizer
from cachelora_training.adapters import load_encoder
from cachelora_training.bases import resolve_base
from cachelora_training.calibrate import record_calibration
from cachelora_training.recipe import Recipe
from cachelora_training.train import new_adapter, save_adapter
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

MAX_TOKENS = 128
WORDS = [
    "a",
    "an",
    "the",
    "is",
    "are",
    "was",
    "what",
    "how",
    "why",
    "when",
    "can",
    "may",
    "i",
    "my",
    "me",
    "you",
    "your",
    "it",
    "in",
    "on",
    "at",
    "of",
    "to",
    "for",
    "with",
    "without",
    "before",
    "after",
    "and",
    "or",
    "not",
    "password",
    "account",
    "reset",
    "email",
    "change",
    "card",
    "bank",
    "refund",
    "dose",
    "child",
    "adult",
    "fever",
    "pain",
    "drug",
    "court",
    "lease",
    "rent",
    "tenant",
    "law",
    "sleep",
    "work",
    "anxiety",
    "friend",
    "file",
    "python",
    "list",
    "string",
    "git",
    "branch",
    "docker",
    "error",
    "number",
    "how",
    "many",
    "much",
    "long",
    "safe",
    "old",
    "new",
    "first",
    "last",
]
EDGE_TEXTS = [
    "",
    " ",
    "a",
    "?!",
    "\u200b",
    "naïve café",
    "e\u0301",
    "日本語のテキスト",
    "🙏🏽 thanks",
    "a\0b",
    "zzzzzzzzzzzz",
    "How do I reset my password?\nPlease.",
    "x" * 300,
    "the password of my account " * 60,
]
# What the bindings must find again; random weights can't be calibrated in earnest.
CALIBRATION = {
    "schema_version": "1.0",
    "confidence": 0.95,
    "domains": {
        "all": [{"max_false_hit_rate": 0.05, "threshold": 0.875}, {"max_false_hit_rate": 0.25, "threshold": 0.75}],
        "law": [],
    },
}


def tiny_tokenizer() -> PreTrainedTokenizerFast:
    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)] + [str(digit) for digit in range(10)]
    pieces = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        *".,:;?!'\"()-/%$#@&*+=<>[]{}_",
        *letters,
    ]
    pieces += [f"##{letter}" for letter in letters]
    vocabulary = {piece: index for index, piece in enumerate(dict.fromkeys([*pieces, *WORDS]))}
    tokenizer = Tokenizer(models.WordPiece(vocab=vocabulary, unk_token="[UNK]", max_input_chars_per_word=100))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])],
    )
    # What published files ask for and nobody may obey.
    tokenizer.enable_padding(length=64, pad_id=vocabulary["[PAD]"], pad_token="[PAD]")
    tokenizer.enable_truncation(max_length=64)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        pad_token="[PAD]",
        mask_token="[MASK]",
        model_max_length=MAX_TOKENS,
    )


def make_base(
    directory: Path,
    *,
    pooling: str = "mean",
    normalize: bool = True,
    hidden: int = 32,
    seed: int = 7,
) -> Path:
    """Write a base model in sentence-transformers' layout and return its directory."""
    torch.manual_seed(seed)
    tokenizer = tiny_tokenizer()
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=hidden,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=2 * hidden,
        max_position_embeddings=MAX_TOKENS,
        # Larger than the usual 0.02, so that texts differ as they do in a trained model.
        initializer_range=0.2,
        pad_token_id=tokenizer.pad_token_id,
    )
    shutil.rmtree(directory, ignore_errors=True)
    transformer = directory.with_name(f"{directory.name}.transformer")
    BertModel(config).save_pretrained(transformer)
    tokenizer.save_pretrained(transformer)
    module = Transformer(str(transformer))
    modules = [module, Pooling(hidden, pooling), *([Normalize()] if normalize else [])]
    encoder = SentenceTransformer(modules=modules, device="cpu")
    encoder.max_seq_length = MAX_TOKENS
    encoder.save(str(directory))
    shutil.rmtree(transformer)
    return directory


def make_adapter(base: Path, directory: Path, *, seed: int = 11) -> Path:
    """Write a LoRA adapter with random weights, as a trained one would have, and return its directory."""
    found = resolve_base(str(base))
    encoder = new_adapter(found, Recipe(base_model=str(base), rank=4, alpha=8, seed=seed))
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, weights in encoder[0].auto_model.named_parameters():
            if "lora_" in name:
                weights.normal_(std=0.2)
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    save_adapter(encoder, found, directory)
    return directory


def main(root: Path) -> None:
    root.mkdir(parents=True, exist_ok=True)
    base = make_base(root / "base")
    adapter = make_adapter(base, root / "adapter")
    for name, int8 in (("bundle", False), ("bundle-int8", True)):
        export_bundle(str(base), str(adapter), root / name, int8=int8, force=True)
        record_calibration(root / name, CALIBRATION)
    encoder = load_encoder(str(base), str(adapter))
    texts = [*EDGE_TEXTS, *texts_of_many_lengths(plain_tokenizer(encoder), MAX_TOKENS)]
    # One at a time: padding would add its own rounding.
    vectors = [encoder.encode(text, show_progress_bar=False).tolist() for text in texts]
    token_ids = [plain_tokenizer(encoder).encode(text).ids for text in texts]
    golden = {
        "texts": texts,
        "token_ids": token_ids,
        "tokens": [len(ids) for ids in token_ids],
        "max_tokens": MAX_TOKENS,
        "vectors": vectors,
    }
    (root / "golden.json").write_text(json.dumps(golden), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
