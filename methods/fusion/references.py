"""What a fusion is measured against: the plain average, the ensemble, each parent, and training on everybody's data."""

from __future__ import annotations

import torch
from torch import nn

from bench import Skip, method
from bench.models.compositions import Ensemble
from bench.models.train import fit
from bench.scenarios.fuse.scenario import FuseTask
from bench.scenarios.merge.scenario import MergeTask
from bench.types import Steps
from methods.fusion.state import averaged, parent_entries


@method(family="reference", scenario=("fuse", "merge"), access={"weights"})
def average(task: FuseTask | MergeTask) -> nn.Module:
    """The mean of all weights and running statistics, unit by unit as they happen to lie."""
    return averaged(task, parent_entries(task))


@method(family="reference", scenario="fuse", access={"weights"})
def ensemble(task: FuseTask, *, handle_missing: bool = True) -> nn.Module:
    """All parents, their logits averaged: as many networks as parents, and no fusion.

    Args:
        handle_missing: a class's logit is averaged over the parents that have seen the class.
    """
    seen = task.class_counts > 0
    return Ensemble(task.parents, seen if handle_missing else torch.ones_like(seen))


@method(family="reference", scenario="fuse", access={"weights"})
def parent(task: FuseTask, *, index: Steps = 0) -> nn.Module:
    """One parent as it is.

    Args:
        index: which one, counted from 0.
    """
    if index >= len(task.parents):
        raise Skip(f"there is no parent {index}; there are {len(task.parents)}, counted from 0")
    return task.parents[index]


@method(family="reference", scenario="fuse", access={"labels"})
def joint_training(task: FuseTask) -> nn.Module:
    """One network trained as each parent was, from where they started, on the images of all owners.

    It makes as many passes over all images as each parent made over its own. Where owners share no image, that is as
    many steps as all parents together.
    """
    fit(
        task.student,
        task.inputs,
        task.labels,
        task.recipe,
        generator=task.generator,
        device=task.compute,
        progress=task.progress,
    )
    return task.student
