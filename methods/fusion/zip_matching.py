"""Which features of several networks become one: greedy merging under a budget (ZipIt!, arXiv:2305.03053)."""

from __future__ import annotations

import torch
from torch import Tensor


def zip_units(similarity: Tensor, parents: int, alpha: float, beta: float) -> Tensor:
    """Merge the most similar two of all features, again and again, until as many are left as one network has.

    A merged feature is as similar to another as the less similar of its two parts, times alpha; it counts as a feature
    of the network that its first part is from. Two features of one network may be merged as often as the network's
    budget allows, which is a share beta of its part of all merges. Of three and more networks too many may be left when
    nothing may be merged any more; then similarity alone decides.

    Args:
        similarity: float64 [n * d, n * d], symmetric: of the features of n networks, side by side.
        parents: n.
        alpha: 1 lets features be merged over and over; 0 forbids to merge what shares a network with an earlier merge.
        beta: 0 forbids to merge within a network.

    Returns:
        The unmerge matrix, float64 [n * d, d] on the device of `similarity`: one 1 a row, in the column of the merged
        feature that the feature went into. Columns are in the order of their first features.
    """
    size = len(similarity)
    units = size // parents
    table = similarity.cpu().clone()
    unmerge = torch.eye(size, dtype=table.dtype)
    origin = torch.arange(size) // units
    contains = torch.eye(parents, dtype=torch.bool)[origin]
    allowed, possible = (~torch.eye(size, dtype=torch.bool) for _ in range(2))
    budget = [int((size - units) // parents * beta + 1e-4)] * parents

    def close(parent: int) -> None:
        mine = origin == parent
        allowed[mine.nonzero(), mine] = False

    for parent in range(parents):
        if budget[parent] == 0:
            close(parent)
    for _ in range(size - units):
        i, j = _best(table, allowed if allowed.any() else possible)
        table[i] = torch.minimum(table[i], table[j]) * (alpha or 1.0)
        table[:, i] = table[i]
        contains[i] |= contains[j]
        allowed[i] &= allowed[j]
        if alpha == 0:
            allowed[i] &= ~(contains & contains[i]).any(1)
        allowed[:, i] = allowed[i]
        for free in (allowed, possible):
            free[j], free[:, j] = False, False
        unmerge[:, i] += unmerge[:, j]
        unmerge[:, j] = 0
        if origin[i] == origin[j]:
            parent = int(origin[i])
            budget[parent] -= 1
            if budget[parent] <= 0:
                close(parent)
    return unmerge[:, unmerge.any(0)].to(similarity)


def _best(table: Tensor, free: Tensor) -> tuple[int, int]:
    """The largest entry among the free ones, as (lower, higher) index."""
    flat = int(table.masked_fill(~free, -torch.inf).argmax())
    i, j = divmod(flat, len(table))
    return min(i, j), max(i, j)
