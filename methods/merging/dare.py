"""Language Models are Super Mario: Absorbing Abilities from Homologous Models as a Free Lunch (DARE).
Yu, Yu, Yu, Huang, Li. ICML 2024, arXiv:2311.03099.

Drop And REscale: every entry of a task vector is dropped with probability p, and the others are divided by 1 - p, so
that each entry keeps its expectation. What is left is merged by another method: average, task arithmetic or TIES. Every
model and every tensor has a mask of its own. All that is in a task vector is masked, biases and scales of norms too, as
in the authors' code.

Differs from the paper: p is 0.5 unless said. The paper drops 0.9 and more, of language models whose fine-tuning changed
their weights by some 0.002; it says itself that larger changes do not survive that. The scaling is not searched for:
unless said it is what the merge has by itself, 1, and 0.3 for task arithmetic.
"""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from annotated_types import Ge, Lt
from torch import Tensor, nn

from bench import method
from bench.scenarios.merge.scenario import MergeTask
from bench.types import Fraction, Weight
from methods.merging import ties
from methods.merging.task_vectors import BLOCK, TaskVector, add, mean, task_vectors, total

Drop = Annotated[float, Ge(0), Lt(1)]
"""A share to drop that leaves something."""

SCALING = {"average": 1.0, "task-arithmetic": 0.3, "ties": 1.0}


@method(family="merging", scenario="merge", access={"weights"}, paper="arXiv:2311.03099", year=2024)
def dare(
    task: MergeTask,
    *,
    drop: Drop = 0.5,
    merge: Literal["average", "task-arithmetic", "ties"] = "task-arithmetic",
    keep: Fraction = 0.2,
    scaling: Weight | None = None,
) -> nn.Module:
    """Drop entries of the task vectors at random, rescale the others, merge.

    Args:
        drop: p, the share of entries to drop.
        merge: what merges the sparse task vectors.
        keep: the share that TIES trims to; of no effect on the other merges.
        scaling: factor of the merged change; unset, that of the merge.
    """
    sparse = [drop_and_rescale(v, drop, task.generator) for v in task_vectors(task.init, task.parents)]
    if merge == "ties":
        change = ties.merge(sparse, keep)
    elif merge == "average":
        change = mean(sparse)
    else:
        change = total(sparse)
    return add(task.init, change, task.parents, SCALING[merge] if scaling is None else scaling)


def drop_and_rescale(vector: TaskVector, drop: float, generator: torch.Generator) -> TaskVector:
    """m * tau / (1 - drop) with m ~ Bernoulli(1 - drop), one draw of the (CPU) generator an entry."""
    return {name: _sparse(delta, drop, generator) for name, delta in vector.items()}


def _sparse(delta: Tensor, drop: float, generator: torch.Generator) -> Tensor:
    """Block by block: the draws and the mask of a block never leave the processor's cache."""
    sparse = torch.empty_like(delta, memory_format=torch.contiguous_format)
    for target, block in zip(sparse.view(-1).split(BLOCK), delta.reshape(-1).split(BLOCK), strict=True):
        kept = torch.rand(block.shape, generator=generator).ge_(drop)
        torch.mul(block, kept.to(block.device), out=target).div_(1 - drop)
    return sparse
