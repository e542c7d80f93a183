"""Named parts of a training split: who sees which rows, as a pure function of the labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bench.data.draws import generator, ordered_by_class
from bench.errors import DataError

if TYPE_CHECKING:
    from torch import Tensor

    from bench.data.spec import Rows


def select(rows: Rows, labels: Tensor) -> Tensor:
    """Indices (int64, sorted) into `labels` [N] of the rows that belong to this part.

    Args:
        rows: which part; its docstrings say what each kind means.
        labels: int64 [N] of the whole training split.

    Raises:
        DataError: the part does not exist (no such class, part or share), or is empty.
    """
    import torch

    return torch.from_numpy(_select(rows, labels.cpu().numpy()))


def spaced(rows: Tensor, count: int) -> Tensor:
    """At most `count` of the rows, evenly spaced."""
    import torch

    if len(rows) <= count:
        return rows
    return rows[torch.linspace(0, len(rows) - 1, count).round().long()]


def _select(rows: Rows, labels: np.ndarray) -> np.ndarray:
    inside = _select(rows.of, labels) if rows.of is not None else np.arange(len(labels))
    if rows.kind == "without":
        if rows.minus is None:
            raise DataError("rows of kind 'without' need `minus`: the rows that are left out")
        chosen = np.setdiff1d(inside, _select(rows.minus, labels))
    else:
        chosen = inside[_KINDS[rows.kind](rows, labels[inside])]
    if not len(chosen):
        raise DataError(f"no row is left: {_named(rows)} is empty on {len(labels)} rows")
    return np.sort(chosen)


def _all(_rows: Rows, labels: np.ndarray) -> np.ndarray:
    return np.arange(len(labels))


def _classes(rows: Rows, labels: np.ndarray) -> np.ndarray:
    _need_classes(rows, labels)
    return np.flatnonzero(np.isin(labels, rows.classes))


def _random(rows: Rows, labels: np.ndarray) -> np.ndarray:
    """A share of every class. Parts 0, 1, ... are disjoint windows of one order."""
    if not 0 < rows.share <= 1 or rows.part < 0 or rows.share * (rows.part + 1) > 1 + 1e-9:
        raise DataError(f"{_named(rows)}: share {rows.share} has no part {rows.part} (share x (part + 1) is at most 1)")
    return _window(rows, labels, rows.share * rows.part, rows.share * (rows.part + 1))


def _disjoint(rows: Rows, labels: np.ndarray) -> np.ndarray:
    """Classes in order (0-4 | 5-9) for seed 0, as papers split them; any other seed draws the order."""
    present = np.unique(labels)
    _need_part(rows, len(present), "classes")
    if rows.seed:
        present = present[np.argsort(generator("disjoint", rows.seed).random(len(present)), kind="stable")]
    return np.flatnonzero(np.isin(labels, np.array_split(present, rows.parts)[rows.part]))


def _dirichlet(rows: Rows, labels: np.ndarray) -> np.ndarray:
    """Every class is shared out by a draw from Dirichlet(alpha, ..., alpha) (Hsu et al. 2019, arXiv:1909.06335).

    The draw is repeated until every part has ten rows, as is usual; where 100 draws do not bring that, empty parts
    take one row each from the largest.
    """
    _need_part(rows, len(labels), "rows")
    if rows.alpha <= 0:
        raise DataError(f"{_named(rows)}: alpha must be positive, got {rows.alpha}")
    owner = np.empty(len(labels), dtype=np.int64)
    order = ordered_by_class(labels, int(labels.max()) + 1, "dirichlet", rows.seed)
    draw = generator("dirichlet", rows.seed, rows.parts, rows.alpha)
    for _ in range(100):
        for members in order:
            p = draw.dirichlet(np.full(rows.parts, rows.alpha))
            ends = np.rint(np.cumsum(p)[:-1] * len(members)).astype(np.int64)
            for part, chunk in enumerate(np.split(members, ends)):
                owner[chunk] = part
        if np.bincount(owner, minlength=rows.parts).min() >= 10:
            break
    for part in range(rows.parts):
        if not (owner == part).any():
            largest = np.bincount(owner, minlength=rows.parts).argmax()
            owner[np.flatnonzero(owner == largest)[0]] = part
    return np.flatnonzero(owner == rows.part)


def _personal(rows: Rows, labels: np.ndarray) -> np.ndarray:
    """Part 0: all of one class and `share` of the others; part 1: all the rest (Singh & Jaggi, arXiv:1910.05653)."""
    _need_classes(rows, labels)
    if len(rows.classes) != 1 or rows.part not in (0, 1) or not 0 <= rows.share < 1:
        raise DataError(f"{_named(rows)}: 'personal' takes one class, part 0 or 1, and a share below 1")
    own = labels == rows.classes[0]
    others = np.flatnonzero(~own)
    low, high = (0.0, rows.share) if rows.part == 0 else (rows.share, 1.0)
    some = others[_window(rows, labels[others], low, high)]
    return np.concatenate([np.flatnonzero(own), some]) if rows.part == 0 else some


_KINDS = {
    "all": _all,
    "classes": _classes,
    "random": _random,
    "disjoint": _disjoint,
    "dirichlet": _dirichlet,
    "personal": _personal,
}


def _window(rows: Rows, labels: np.ndarray, low: float, high: float) -> np.ndarray:
    """From `low` to `high` of every class's order; windows that meet share nothing and lose nothing."""
    order = ordered_by_class(labels, int(labels.max(initial=0)) + 1, rows.kind, rows.seed)
    return np.concatenate([r[round(low * len(r)) : round(high * len(r))] for r in order])


def _need_classes(rows: Rows, labels: np.ndarray) -> None:
    absent = sorted(set(rows.classes) - set(np.unique(labels).tolist()))
    if absent or not rows.classes:
        raise DataError(f"{_named(rows)}: classes {absent or 'none'}; there are {np.unique(labels).tolist()}")


def _need_part(rows: Rows, things: int, what: str) -> None:
    if not 0 <= rows.part < rows.parts:
        raise DataError(f"{_named(rows)}: part {rows.part} of {rows.parts}; parts are counted from 0")
    if rows.parts > things:
        raise DataError(f"{_named(rows)}: {rows.parts} parts of {things} {what}")


def _named(rows: Rows) -> str:
    return f"rows {rows.model_dump(mode='json', exclude_defaults=True) or 'all'}"
