"""What an adapter is trained to do: rank the right question first, and leave ordinary similarities in place."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from cachelora_training.length_groups import embedded_by_length
from cachelora_training.processes import gathered, process_count

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

__all__ = ["BaseVectors", "GeometryKeepingLoss"]

# Texts that are embedded at once: enough to keep a processor busy, few enough to be of similar length.
GROUP = 16


class BaseVectors:
    """The base model's normalised vectors of the training texts, found again by their tokens.

    Computed once: during training the base model costs nothing more.

    Args:
        encoder: The model before any training, when its adapter changes nothing yet.
        texts: All training texts.
    """

    def __init__(self, encoder: SentenceTransformer, texts: Sequence[str]) -> None:
        distinct = sorted(set(texts))
        self._places = {text: place for place, text in enumerate(distinct)}
        self.vectors = torch.as_tensor(
            encoder.encode(distinct, batch_size=64, normalize_embeddings=True, show_progress_bar=False)
        )
        self._rows: dict[tuple[int, ...], int] = {}
        for start in range(0, len(distinct), 256):
            # The library's annotation asks for a list of every modality at once.
            part: Any = distinct[start : start + 256]
            features = encoder.preprocess(part)
            for offset, key in enumerate(_keys(features)):
                self._rows[key] = start + offset

    def of(self, features: dict[str, Any]) -> Tensor:
        """Return the vectors of one batch of tokens: (texts, dimension)."""
        return self.vectors[[self._rows[key] for key in _keys(features)]]

    def of_texts(self, texts: Sequence[str]) -> Tensor:
        """Return the vectors of training texts: (texts, dimension)."""
        return self.vectors[[self._places[text] for text in texts]]


def _keys(features: dict[str, Any]) -> list[tuple[int, ...]]:
    """Return the tokens of each text without its padding."""
    ids, mask = features["input_ids"].cpu(), features["attention_mask"].cpu().bool()
    return [tuple(row[kept].tolist()) for row, kept in zip(ids, mask, strict=True)]


class GeometryKeepingLoss(nn.Module):
    """A ranking loss, and a price on moving questions that have nothing to do with one another.

    Near misses alone teach an encoder to push away whatever looks alike, paraphrases included. So the cosines between
    texts of different rows are held where the base model has them (relational distillation, Park et al. 2019); within
    a row the ranking loss is free. The target may be sharpened: a power above 1 of the base's cosines
    lowers middling ones more than high ones, and so widens the gap in which a threshold lies.

    Args:
        encoder: The model in training.
        ranking: Multiple negatives ranking with written negatives.
        base: The base model's vectors of all training texts.
        weight: What one unit of squared difference of cosines costs.
        sharpness: The power of positive cosines; 1 keeps the base's geometry.
    """

    def __init__(
        self,
        encoder: SentenceTransformer,
        ranking: MultipleNegativesRankingLoss,
        base: BaseVectors,
        *,
        weight: float,
        sharpness: float,
    ) -> None:
        super().__init__()
        self.model = encoder
        self.ranking = ranking
        self.base = base
        self.weight = weight
        self.sharpness = sharpness

    def forward(self, sentence_features: Iterable[dict[str, Tensor]], labels: Tensor) -> Tensor:
        """Return the loss of one batch; features are those of anchors, positives and, where there are, negatives."""
        columns = list(sentence_features)
        before = torch.cat([gathered(self.base.of(column).to(column["input_ids"].device)) for column in columns])
        if process_count() == 1:
            embeddings = embedded_by_length(self.model, columns, GROUP)
        else:
            # Each call gathers its rows from all processes, and these must stay together as columns.
            embeddings = [self.model(column)["sentence_embedding"] for column in columns]
        loss: Tensor = self.ranking.compute_loss_from_embeddings(embeddings, labels)
        return loss + self.weight * self.drift(torch.cat(embeddings), before, rows=len(embeddings[0]))

    def drift(self, after: Tensor, before: Tensor, *, rows: int) -> Tensor:
        """Return the mean squared change of cosines between texts of different rows.

        Args:
            after: (columns * rows, dimension), column after column.
            before: The same texts by the base model.
            rows: Rows of the batch.
        """
        after = nn.functional.normalize(after.float(), dim=-1)
        target = before.to(after.device) @ before.to(after.device).T
        target = target.clamp(min=0) ** self.sharpness + target.clamp(max=0)
        row = torch.arange(len(after), device=after.device) % rows
        strangers = row[:, None] != row[None, :]
        return ((after @ after.T - target)[strangers] ** 2).mean() if bool(strangers.any()) else after.sum() * 0.0
