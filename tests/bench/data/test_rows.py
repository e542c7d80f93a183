from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.data import select
from bench.data.spec import Rows
from bench.errors import DataError

LABELS = torch.arange(1000) % 10


def counts(index: torch.Tensor, labels: torch.Tensor = LABELS) -> list[int]:
    return labels[index].bincount(minlength=10).tolist()


def parts_of(rows: Rows) -> list[torch.Tensor]:
    return [select(rows.model_copy(update={"part": p}), LABELS) for p in range(rows.parts)]


def assert_partition(parts: list[torch.Tensor], n: int) -> None:
    assert torch.cat(parts).sort().values.tolist() == list(range(n))
    assert all(len(p) for p in parts)


def test_all_is_every_row_in_order():
    assert select(Rows(), LABELS).tolist() == list(range(1000))


def test_classes_takes_these_and_no_other():
    index = select(Rows(kind="classes", classes=(2, 7)), LABELS)
    assert counts(index) == [0, 0, 100, 0, 0, 0, 0, 100, 0, 0]


def test_a_list_from_a_suite_is_a_tuple_of_classes_and_its_items_stay_strict():
    assert Rows.model_validate({"kind": "classes", "classes": [2, 7]}).classes == (2, 7)
    with pytest.raises(ValueError, match="valid integer"):
        Rows.model_validate({"kind": "classes", "classes": ["2"]})


def test_random_takes_its_share_of_every_class_and_parts_do_not_meet():
    first, second = (select(Rows(kind="random", share=0.3, part=p), LABELS) for p in (0, 1))
    assert counts(first) == counts(second) == [30] * 10
    assert not set(first.tolist()) & set(second.tolist())


def test_random_halves_cover_all():
    assert_partition([select(Rows(kind="random", share=0.5, part=p), LABELS) for p in (0, 1)], 1000)


def test_a_larger_random_share_holds_the_smaller():
    small, large = (set(select(Rows(kind="random", share=s), LABELS).tolist()) for s in (0.1, 0.4))
    assert small < large


def test_disjoint_splits_the_classes_as_papers_do():
    first, second = parts_of(Rows(kind="disjoint", parts=2))
    assert counts(first) == [100] * 5 + [0] * 5
    assert counts(second) == [0] * 5 + [100] * 5


def test_disjoint_with_a_seed_is_another_partition_by_classes():
    parts = parts_of(Rows(kind="disjoint", parts=3, seed=1))
    assert_partition(parts, 1000)
    owners = [{c for c, n in enumerate(counts(p)) if n} for p in parts]
    assert sorted(map(len, owners)) == [3, 3, 4]
    assert owners[0] != {0, 1, 2, 3}


@settings(max_examples=25)
@given(
    parts=st.integers(1, 8),
    alpha=st.sampled_from([0.01, 0.1, 1.0, 100.0]),
    seed=st.integers(0, 5),
    n=st.integers(10, 300),
)
def test_dirichlet_gives_every_row_to_one_part_and_leaves_none_empty(parts, alpha, seed, n):
    labels = torch.arange(n) % 7
    rows = [Rows(kind="dirichlet", part=p, parts=parts, alpha=alpha, seed=seed) for p in range(parts)]
    assert_partition([select(r, labels) for r in rows], n)


def test_dirichlet_is_skewed_by_a_small_alpha_and_even_with_a_large_one():
    def spread(alpha: float) -> float:
        return float(np.std([counts(p) for p in parts_of(Rows(kind="dirichlet", parts=4, alpha=alpha))]))

    assert spread(0.1) > 3 * spread(100.0)


def test_dirichlet_counts_do_not_depend_on_the_order_of_the_rows():
    shuffled = LABELS[torch.randperm(1000, generator=torch.Generator().manual_seed(0))]
    rows = Rows(kind="dirichlet", parts=3, part=1)
    assert counts(select(rows, LABELS)) == counts(select(rows, shuffled), shuffled)


def test_personal_class():
    owner, rest = (select(Rows(kind="personal", classes=(3,), share=0.1, part=p), LABELS) for p in (0, 1))
    assert counts(owner) == [10, 10, 10, 100] + [10] * 6
    assert counts(rest) == [90, 90, 90, 0] + [90] * 6
    assert_partition([owner, rest], 1000)


@pytest.mark.parametrize(
    "forget", [Rows(kind="classes", classes=(4,)), Rows(kind="random", share=0.1, seed=5)], ids=["class", "random"]
)
def test_forget_and_retain_sets_partition_the_split(forget: Rows):
    assert_partition([select(forget, LABELS), select(Rows(kind="without", minus=forget), LABELS)], 1000)


def test_of_takes_a_part_inside_a_part_and_counts_rows_of_the_whole_split():
    half = Rows(kind="disjoint", parts=2, part=1)
    inside = select(Rows(kind="random", share=0.2, of=half), LABELS)
    assert counts(inside) == [0] * 5 + [20] * 5
    assert set(inside.tolist()) < set(select(half, LABELS).tolist())
    kept = select(Rows(kind="without", of=half, minus=Rows(kind="classes", classes=(0, 9))), LABELS)
    assert counts(kept) == [0] * 5 + [100] * 4 + [0]


@pytest.mark.parametrize(
    "rows",
    [
        Rows(kind="random", share=0.3, seed=2),
        Rows(kind="disjoint", parts=2, seed=2),
        Rows(kind="dirichlet", parts=3, seed=2),
        Rows(kind="personal", classes=(1,), share=0.2, seed=2),
    ],
    ids=lambda rows: rows.kind,
)
def test_a_draw_is_its_seed_s_sorted_and_unmoved_by_the_global_generators(rows: Rows):
    torch.manual_seed(0)
    first = select(rows, LABELS)
    torch.manual_seed(1)
    assert torch.equal(first, select(rows, LABELS))
    assert first.dtype == torch.int64
    assert torch.equal(first, first.sort().values)
    assert not torch.equal(first, select(rows.model_copy(update={"seed": 3}), LABELS))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (Rows(kind="classes", classes=(3, 12)), r"classes \[12\]; there are \[0, 1"),
        (Rows(kind="classes"), "classes none"),
        (Rows(kind="random", share=0.6, part=1), "share 0.6 has no part 1"),
        (Rows(kind="random", share=0.0), "share 0.0"),
        (Rows(kind="random", share=0.001), "empty on 1000 rows"),
        (Rows(kind="disjoint", parts=11), "11 parts of 10 classes"),
        (Rows(kind="disjoint", parts=2, part=2), "part 2 of 2; parts are counted from 0"),
        (Rows(kind="dirichlet", parts=2, alpha=0.0), "alpha must be positive"),
        (Rows(kind="personal", classes=(1, 2), share=0.1), "takes one class"),
        (Rows(kind="without"), "need `minus`"),
        (Rows(kind="without", minus=Rows()), "empty"),
    ],
)
def test_a_part_that_does_not_exist_is_refused(rows: Rows, message: str):
    with pytest.raises(DataError, match=message):
        select(rows, LABELS)
