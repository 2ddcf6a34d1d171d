from __future__ import annotations

import torch
from cachelora_training.neighbours import batches_of_distinct, neighbour_order
from cachelora_training.processes import batches_for_all
from datasets import Dataset
from hypothesis import given
from hypothesis import strategies as st


def subjects(count: int, size: int) -> torch.Tensor:
    """Return `size` rows on each of `count` subjects, which are orthogonal."""
    noise = 0.1 * torch.randn(count * size, count, generator=torch.Generator().manual_seed(1))
    return torch.nn.functional.normalize(torch.eye(count).repeat(size, 1) + noise, dim=-1)


def test_neighbours_come_together_in_an_order_of_chance():
    vectors = subjects(8, 4)
    orders = [neighbour_order(vectors, 4, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1)]
    assert orders[0] == orders[1] != orders[2]
    for order in orders:
        assert sorted(order) == list(range(32))
        groups = [{row % 8 for row in order[start : start + 4]} for start in range(0, 32, 4)]
        assert all(len(group) == 1 for group in groups)
    assert len({row % 8 for row in neighbour_order(vectors, 1, torch.Generator().manual_seed(0))[:8]}) > 2


@given(rows=st.integers(1, 40), group=st.integers(1, 9), seed=st.integers(0, 99))
def test_every_row_comes_once(rows, group, seed):
    generator = torch.Generator().manual_seed(seed)
    vectors = torch.nn.functional.normalize(torch.randn(rows, 4, generator=generator), dim=-1)
    assert sorted(neighbour_order(vectors, group, generator)) == list(range(rows))


@given(texts=st.lists(st.frozensets(st.sampled_from("abcdefgh"), min_size=1, max_size=3), max_size=30))
def test_no_text_is_twice_in_a_batch_and_no_row_is_lost(texts):
    batches = list(batches_of_distinct(range(len(texts)), texts, 4))
    assert sorted(row for batch in batches for row in batch) == list(range(len(texts)))
    for batch in batches:
        assert 1 <= len(batch) <= 4
        assert sum(len(texts[row]) for row in batch) == len(frozenset().union(*(texts[row] for row in batch)))


def test_a_batch_of_the_trainer_holds_neighbours():
    vectors = subjects(4, 4)
    data = Dataset.from_dict({"anchor": [str(row) for row in range(16)], "positive": [f"p{row}" for row in range(16)]})
    sampler = batches_for_all(lambda texts: vectors[[int(text) for text in texts]], 4)(
        data, batch_size=4, drop_last=False, valid_label_columns=[], generator=torch.Generator()
    )
    assert [len({row % 4 for row in batch}) for batch in sampler] == [1, 1, 1, 1]
    assert len(sampler) == 4
