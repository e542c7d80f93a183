"""TIES-Merging: Resolving Interference When Merging Models. Yadav, Tam, Choshen, Raffel, Bansal.
NeurIPS 2023, arXiv:2306.01708.

Trim each task vector to its largest entries, elect a sign for every entry, average what agrees with it. Where the
trimmed entries cancel to exactly zero the merged entry is zero (the authors' code takes the majority sign of the whole
vector there). Exactly floor(keep * d) entries stay, and more only where they tie with the smallest that does (the
authors' code keeps one more). The scaling is not searched for: 1, the paper's value without validation data.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from bench import method
from bench.scenarios.merge import MergeTask
from bench.types import Fraction, Weight
from methods.merging.task_vectors import TaskVector, add, task_vectors


@method(family="merging", scenario="merge", access={"weights"}, paper="arXiv:2306.01708", year=2023)
def ties(task: MergeTask, *, keep: Fraction = 0.2, scaling: Weight = 1.0) -> nn.Module:
    """Trim to the share `keep` of largest entries, elect signs, average the entries that agree."""
    vectors = task_vectors(task.init, task.parents)
    return add(task.init, merge(vectors, keep), task.parents, scaling)


def merge(vectors: Sequence[TaskVector], keep: float) -> TaskVector:
    """TIES on task vectors; trimming ranks the entries of a whole vector, not of each weight."""
    flat = torch.stack([torch.cat([v[name].flatten() for name in vectors[0]]) for v in vectors])
    merged = elect_and_average(torch.stack([trim(row, keep) for row in flat]))
    parts = merged.split([weight.numel() for weight in vectors[0].values()])
    return {name: part.view_as(vectors[0][name]) for name, part in zip(vectors[0], parts, strict=True)}


def trim(vector: Tensor, keep: float) -> Tensor:
    """Zero all but the floor(keep * d) entries of largest magnitude of a vector [d]; entries that tie all stay.

    NumPy's partition finds the threshold about ten times faster than torch's kthvalue.
    """
    count = int(keep * len(vector))
    if count == 0:
        return torch.zeros_like(vector)
    magnitude = vector.abs()
    place = len(vector) - count
    threshold = np.partition(magnitude.cpu().numpy(), place)[place].item()
    return vector * (magnitude >= threshold)


def elect_and_average(trimmed: Tensor) -> Tensor:
    """Per entry of [T, d]: the sign of the sum over tasks, then the mean of the non-zero entries of that sign; [d]."""
    elected = trimmed.sum(0).sign()
    agrees = trimmed * elected > 0
    return (trimmed * agrees).sum(0) / agrees.sum(0).clamp(min=1)
