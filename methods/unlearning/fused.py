"""FUSED, for one owner of all data: overwrite with a sparse adapter that can be taken out again.

Zhengyi Zhong, Weidong Bao, Ji Wang, Shuai Zhang, Jingxuan Zhou, Lingjuan Lyu and Wei Yang Bryan Lim, "Unlearning
through Knowledge Overwriting: Reversible Federated Unlearning via Selective Sparse Adapter", CVPR 2025,
arXiv:2502.20709.

First a trial: a round of training tells which layers react most, by the sum of the absolute changes of their weights.
The `layers` first ones get a sparse matrix A each, most entries of which are dropped at random. A alone is trained, on
retained rows, and the network works with W + A. The original is frozen, BatchNorm statistics included, so that removal
of A gives it back to the last bit: `without_adapter`. (Adding A to W and subtracting it again would not.)

Done otherwise: one client, who holds the retained rows: no server, no averaging, and a round is an epoch. A begins at
0, so that training begins at the original. Layers are matrices and kernels; biases and norms get no adapter. The
public code (Zhong-Zhengyi/FUSED-Code) trains dense adapters of low rank on fixed layers; this is the paper's form.

As many layers as in the code's ResNet-18. On the validation split of the digits rates from 0.01 to 1 come out within
0.003 of each other: where the network fits its retained rows they hardly pull, and nothing is overwritten. 0.1 is the
middle of that range. In the code, classes are forgotten by giving their rows random labels; here no such row is seen.
"""

from __future__ import annotations

import copy
from collections.abc import Callable

from torch import nn

from bench import method
from bench.models.compositions import Overwritten
from bench.models.train import fit
from bench.scenarios.unlearn.task import UnlearnTask
from bench.types import Count, Rate, Share
from methods.unlearning.finetune import tuning_recipe


@method(
    family="unlearning", scenario="unlearn", access={"weights", "retain_labels"}, paper="arXiv:2502.20709", year=2025
)
def fused(
    task: UnlearnTask,
    *,
    layers: Count = 4,
    density: Share = 0.2,
    trial_lr: Rate = 0.05,
    epochs: Count = 10,
    lr: Rate = 0.1,
) -> nn.Module:
    """Train sparse adapters of the most sensitive layers on the retained rows, beside the frozen original.

    Args:
        layers: how many layers get an adapter.
        density: share of a layer's entries that its adapter has.
        trial_lr: learning rate of the epoch that finds the layers.
        epochs: passes over the retained rows.
        lr: the adapters' learning rate at the start; it falls to 0.
    """
    names = critical_layers(task, trial_lr)[:layers]
    model = Overwritten(copy.deepcopy(task.model), names, density, task.generator)
    train_retained(task, model, epochs, lr, task.progress)
    return model


def train_retained(
    task: UnlearnTask, model: nn.Module, epochs: int, lr: float, progress: Callable[[int, int], None] | None = None
) -> None:
    """Train what is trainable in a model on the retained rows, in place."""
    fit(
        model,
        task.retain_inputs,
        task.retain_labels,
        tuning_recipe(task.recipe, epochs, lr),
        generator=task.generator,
        device=task.compute,
        progress=progress,
    )


def without_adapter(model: Overwritten) -> nn.Module:
    """The original again, to the last bit, as trainable as it was."""
    return model.frozen.requires_grad_(True)


def critical_layers(task: UnlearnTask, lr: float) -> list[str]:
    """Names of weight matrices and kernels, those first that an epoch on the retained rows changes most."""
    trial = copy.deepcopy(task.model)
    train_retained(task, trial, 1, lr)
    before = dict(task.model.named_parameters())
    after = {name: p.detach() for name, p in trial.named_parameters() if p.ndim >= 2}
    change = {name: float((p - before[name].detach()).abs().sum()) for name, p in after.items()}
    return sorted(change, key=lambda name: -change[name])
