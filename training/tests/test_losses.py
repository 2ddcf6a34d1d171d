from __future__ import annotations

import pytest
import torch
from cachelora_training.bases import resolve_base
from cachelora_training.examples import read_examples
from cachelora_training.length_groups import embedded_by_length
from cachelora_training.losses import BaseVectors, GeometryKeepingLoss
from cachelora_training.recipe import Recipe
from cachelora_training.train import base_vectors, new_adapter, ranking_loss, train_encoder, training_loss

TEXTS = [
    "how can i reset my password",
    "reset the password how",
    "how can i reset my card",
    "change",
    "card",
    "my card",
]


def encoder_of(base, **changes):
    settings = Recipe(base_model=str(base), **{"batch_size": 4, "learning_rate": 0.02, "epochs": 4} | changes)
    return new_adapter(resolve_base(str(base)), settings), settings


def test_base_vectors_are_found_by_their_tokens_whatever_the_padding(base):
    encoder, _ = encoder_of(base)
    vectors = BaseVectors(encoder, TEXTS)
    expected = torch.as_tensor(encoder.encode(TEXTS, normalize_embeddings=True))
    for chosen in ([0, 3], [3], [5, 1, 0, 4]):
        found = vectors.of(encoder.preprocess([TEXTS[index] for index in chosen]))
        torch.testing.assert_close(found, expected[chosen], rtol=1e-4, atol=1e-5)


def test_drift_is_zero_where_nothing_moved_and_sees_only_strangers(base):
    encoder, settings = encoder_of(base)
    loss = GeometryKeepingLoss(
        encoder, ranking_loss(encoder, settings), BaseVectors(encoder, TEXTS), weight=1.0, sharpness=1.0
    )
    before = torch.nn.functional.normalize(torch.randn(6, 8, generator=torch.Generator().manual_seed(0)), dim=-1)
    assert loss.drift(before, before, rows=2) < 1e-12
    assert loss.drift(before.roll(1, 0), before, rows=2) > 0.01
    # One row: everything in it may move.
    assert loss.drift(before.roll(1, 0), before, rows=1) == 0


def test_the_price_holds_unrelated_questions_in_place(base, rows, write):
    examples = read_examples([write("train.jsonl", rows(16))])
    moved = {}
    for weight in (0.0, 50.0):
        encoder, settings = encoder_of(base, geometry_weight=weight)
        before = torch.as_tensor(encoder.encode(examples.texts))
        train_encoder(encoder, examples, settings)
        after = torch.as_tensor(encoder.encode(examples.texts))
        cosine = torch.nn.functional.cosine_similarity
        strangers = [(0, index) for index in range(3, 48)]
        moved[weight] = max(
            abs(float(cosine(after[a], after[b], dim=0) - cosine(before[a], before[b], dim=0))) for a, b in strangers
        )
    assert 0 < moved[50.0] < 0.7 * moved[0.0]


def test_without_a_price_the_loss_is_the_ranking_alone(base, rows, write):
    examples = read_examples([write("train.jsonl", rows(4))])
    encoder, settings = encoder_of(base)
    assert base_vectors(encoder, examples, settings) is None
    assert type(training_loss(encoder, None, settings)) is type(ranking_loss(encoder, settings))


@pytest.mark.parametrize("group", [1, 2, 5, 100])
def test_groups_of_similar_length_give_the_same_embeddings_and_gradients(base, group):
    encoder, _ = encoder_of(base)
    encoder.eval()
    texts = [TEXTS, [text * (1 + index) for index, text in enumerate(TEXTS)]]
    found: list[tuple[torch.Tensor, torch.Tensor]] = []
    for embed in (
        lambda columns: [encoder(dict(column))["sentence_embedding"] for column in columns],
        lambda columns: embedded_by_length(encoder, columns, group),
    ):
        encoder.zero_grad()
        embeddings = embed([encoder.preprocess(column) for column in texts])
        assert [len(part) for part in embeddings] == [len(TEXTS)] * 2
        (torch.cat(embeddings) ** 3).sum().backward()
        gradient = torch.cat([p.grad.flatten() for p in encoder.parameters() if p.grad is not None])
        found.append((torch.cat(embeddings).detach(), gradient.clone()))
    torch.testing.assert_close(found[1][0], found[0][0], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found[1][1], found[0][1], rtol=1e-3, atol=1e-5)
    assert found[0][1].abs().max() > 0
