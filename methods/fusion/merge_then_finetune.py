"""What papers of fusion add to a fused network, fine-tuning, and its controls: the same to other starting networks.

A fused network that is tuned has seen labels that the one-shot fusion has not, so it is compared with the plain average
and with the best parent after the same tuning (Singh and Jaggi 2020, arXiv:1910.05653, do that with parents and
average). All starts are tuned on the same images in the same order with the same augmentation: the order is drawn
before the start is made.

The recipe is the parents' own at a tenth of their peak learning rate, for two epochs. (The paper's code too divides the
parents' learning rate by a factor, but reports the best epoch on the test set; here the last one counts.)
While tuning BatchNorm normalises by the batch; its running statistics follow.
"""

from __future__ import annotations

import copy
from typing import Literal

import torch
from torch import nn

from bench import method
from bench.models.train import fit
from bench.scenarios.fuse.scenario import FuseTask
from bench.types import Count, Rate
from methods.fusion.aligned import Align, aligned
from methods.fusion.held_out import best_parent
from methods.fusion.state import mean, result

Start = Literal["best-parent", "average", "ot-fusion", "ot-fusion-acts", "git-rebasin", "git-rebasin-acts"]

ALIGNED_BY: dict[Start, Align] = {
    "average": "none",
    "ot-fusion": "ot",
    "ot-fusion-acts": "ot-acts",
    "git-rebasin": "weights",
    "git-rebasin-acts": "activations",
}
"""Start -> how units are brought together before the average."""


@method(family="fusion", scenario="fuse", access={"weights", "labels", "unlabeled", "validation"})
def merge_then_finetune(
    task: FuseTask, *, start: Start = "best-parent", epochs: Count = 2, lr_share: Rate = 0.1
) -> nn.Module:
    """Fine-tune a fused network, or one of its controls, on the labelled images of all owners.

    Args:
        start: the network that is tuned: what the method of that name makes, or the parent that is best on held-out
            images, which is what fusion must beat.
        epochs: passes over the images.
        lr_share: peak learning rate as a share of the parents'.
    """
    draws = torch.Generator().manual_seed(int(torch.randint(2**62, (), generator=task.generator)))
    model = starting_network(task, start).requires_grad_(True)
    recipe = task.recipe.model_copy(update={"epochs": epochs, "peak_lr": lr_share * task.recipe.peak_lr})
    fit(model, task.inputs, task.labels, recipe, generator=draws, device=task.compute, progress=task.progress)
    return model


def starting_network(task: FuseTask, start: Start) -> nn.Module:
    """What is tuned: a network of its own."""
    if start == "best-parent":
        return copy.deepcopy(best_parent(task))
    return result(task, mean(aligned(task, ALIGNED_BY[start])))
