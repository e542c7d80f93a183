"""How the methods that need weights alone merge checkpoints piece by piece (`bench.scenarios.merge.in_pieces`).

Where entries count one by one a piece is some rows of a tensor; where a tensor's ranks, angles or singular values count
it is the tensor. DARE draws a mask a tensor, from a generator that the seed and the tensor's name give. TIES ranks the
entries of whole task vectors: it looks at all of them, twice (four times in float64), for its thresholds. KnOTS shares
one ranking among the coordinates of all layers, and is given all tensors at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import nn

from bench.metrics.magnitudes import Ranking
from bench.scenarios.merge.in_pieces import Look, Merge, in_pieces
from bench.scenarios.merge.scenario import MergeTask
from methods.merging.dare import SCALING, dare, drop_and_rescale
from methods.merging.task_vectors import TaskVector, add, task_vectors
from methods.merging.ties import above, elect_and_average

ALIGNED = 64
"""Columns that torch adds up alike; those that are left over at the end of a block it adds in another order."""

in_pieces("average", of="entries", base=False)
in_pieces("slerp", of="tensors", base=False)
in_pieces("task-arithmetic", of="entries")
in_pieces("breadcrumbs", of="tensors")
in_pieces("tsv-merge", of="tensors")
in_pieces("iso-c", of="tensors")
in_pieces("iso-cts", of="tensors")
in_pieces("knots", of="network")


@in_pieces("ties", of="entries")
def ties_in_pieces(look: Look, *, keep: float, scaling: float) -> Merge:
    """TIES with the thresholds of whole task vectors."""
    return _ties(look, _task_vectors, keep, scaling)


@in_pieces("dare", of="tensors")
def dare_in_pieces(
    look: Look,
    *,
    drop: float,
    merge: Literal["average", "task-arithmetic", "ties"],
    keep: float,
    scaling: float | None,
) -> Merge:
    """DARE as it is; before TIES with the thresholds of whole sparse vectors, which each look draws again."""
    if merge != "ties":
        return lambda task: dare(task, drop=drop, merge=merge, keep=keep, scaling=scaling)

    def sparse(task: MergeTask) -> list[TaskVector]:
        return [drop_and_rescale(vector, drop, task.generator) for vector in _task_vectors(task)]

    return _ties(look, sparse, keep, SCALING["ties"] if scaling is None else scaling)


def _task_vectors(task: MergeTask) -> list[TaskVector]:
    return task_vectors(task.init, task.parents)


def _ties(look: Look, vectors: Callable[[MergeTask], list[TaskVector]], keep: float, scaling: float) -> Merge:
    limits = thresholds(look, vectors, keep)

    def merge(task: MergeTask) -> nn.Module:
        parts = vectors(task)
        change = {}
        for name, delta in parts[0].items():
            trimmed = torch.stack([above(v[name].flatten(), limit) for v, limit in zip(parts, limits, strict=True)])
            padded = nn.functional.pad(trimmed, (0, -trimmed.shape[1] % ALIGNED))
            change[name] = elect_and_average(padded)[: trimmed.shape[1]].view_as(delta)
        return add(task.init, change, task.parents, scaling)

    return merge


def thresholds(look: Look, vectors: Callable[[MergeTask], list[TaskVector]], keep: float) -> list[float]:
    """The smallest magnitude of each task vector that `methods.merging.ties.trim` lets stay, without the whole vector.

    Returns:
        One a task; infinity where nothing stays.
    """
    ranking = Ranking()

    def count(task: MergeTask) -> None:
        for number, vector in enumerate(vectors(task)):
            for delta in vector.values():
                ranking.count(number, delta.abs().flatten().numpy())

    while not ranking.done:
        look("ranking", count)
        ranking.narrow(lambda entries: entries - int(keep * entries))
    return ranking.found()
