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
from bench.scenarios.merge.scenario import MergeTask
from bench.types import Fraction, Weight
from methods.merging.task_vectors import BLOCK, TaskVector, add, task_vectors


@method(family="merging", scenario="merge", access={"weights"}, paper="arXiv:2306.01708", year=2023)
def ties(task: MergeTask, *, keep: Fraction = 0.2, scaling: Weight = 1.0) -> nn.Module:
    """Trim to the share `keep` of largest entries, elect signs, average the entries that agree."""
    vectors = task_vectors(task.init, task.parents)
    return add(task.init, merge(vectors, keep), task.parents, scaling)


def merge(vectors: Sequence[TaskVector], keep: float) -> TaskVector:
    """TIES on task vectors; trimming ranks the entries of a whole vector, not of each weight."""
    names = list(vectors[0])
    trimmed = torch.stack([trim(torch.cat([v[name].flatten() for name in names]), keep) for v in vectors])
    merged = elect_and_average(trimmed)
    parts = merged.split([vectors[0][name].numel() for name in names])
    return {name: part.view_as(vectors[0][name]) for name, part in zip(names, parts, strict=True)}


def trim(vector: Tensor, keep: float) -> Tensor:
    """Zero all but the floor(keep * d) entries of largest magnitude of a vector [d]; entries that tie all stay.

    The threshold is NumPy's partition: less than half the time of torch's kthvalue on 11 million entries.
    """
    count = int(keep * len(vector))
    if count == 0:
        return torch.zeros_like(vector)
    magnitude = vector.abs()
    place = len(vector) - count
    threshold = np.partition(magnitude.cpu().numpy(), place)[place].item()
    return above(vector, threshold)


def above(vector: Tensor, threshold: float) -> Tensor:
    """Zero the entries whose magnitude is below the threshold; NaN is below nothing, and stays to be seen."""
    return torch.where(vector.abs() < threshold, 0.0, vector)


def elect_and_average(trimmed: Tensor) -> Tensor:
    """Per entry of [T, d]: the sign of the sum over tasks, then the mean of the non-zero entries of that sign; [d]."""
    return torch.cat([_elect_and_average(block) for block in trimmed.split(BLOCK, dim=1)])  # twice as fast as at once


def _elect_and_average(trimmed: Tensor) -> Tensor:
    elected = trimmed.sum(0).sign()
    agreeing = (trimmed * elected).clamp(min=0)  # magnitudes of the entries of the elected sign
    return elected * agreeing.sum(0) / agreeing.sign().sum(0).clamp(min=1)
