from __future__ import annotations

from collections import Counter

from cachelora_training.examples import Examples, Pair
from cachelora_training.mixing import balanced
from cachelora_training.rows import Triplet
from hypothesis import given
from hypothesis import strategies as st


def examples(**sizes: int) -> Examples:
    """Rows of several domains; every fourth is a pair."""
    triplets, pairs = [], []
    for domain, size in sizes.items():
        for number in range(size):
            name = f"{domain} {number}"
            if number % 4 == 3:
                pairs.append(Pair(name, name + "?", domain))
            else:
                triplets.append(Triplet(name, name + "?", name + "!", domain))
    return Examples(triplets, pairs)


def sizes_of(found: Examples) -> Counter[str]:
    return Counter(row.domain for row in found.rows)


def test_without_balance_rows_stay_as_they_came():
    given_rows = examples(law=40, medical=8)
    assert balanced(given_rows, 0, 0) is given_rows


def test_one_domain_has_nothing_to_catch_up_with():
    given_rows = examples(law=40)
    assert balanced(given_rows, 1, 0) is given_rows


def test_full_balance_shows_every_domain_equally_often():
    found = sizes_of(balanced(examples(law=400, medical=120, general=52), 1, 0))
    assert max(found.values()) - min(found.values()) <= 2


def test_half_a_balance_lifts_a_quarter_of_the_rows_to_half():
    assert sizes_of(balanced(examples(law=400, medical=100), 0.5, 0)) == {"law": 400, "medical": 200}


@given(
    sizes=st.dictionaries(st.sampled_from(["law", "medical", "general"]), st.integers(4, 60), min_size=1),
    balance=st.floats(0, 1),
    seed=st.integers(0, 5),
)
def test_no_row_is_lost_and_none_is_seen_much_oftener_than_another(sizes, balance, seed):
    given_rows = examples(**sizes)
    found = balanced(given_rows, balance, seed)
    assert found == balanced(given_rows, balance, seed)
    times = Counter((type(row), row.anchor, row.domain) for row in found.rows)
    assert set(times) == {(type(row), row.anchor, row.domain) for row in given_rows.rows}
    for domain in sizes:
        for form in (Triplet, Pair):
            own = [count for (kind, _, of), count in times.items() if of == domain and kind is form]
            assert not own or max(own) - min(own) <= 1
