"""L1-sparse unlearning: fine-tune under a penalty on the sum of absolute weights that fades away.

Jinghan Jia, Jiancheng Liu, Parikshit Ram, Yuguang Yao, Gaowen Liu, Yang Liu, Pranay Sharma and Sijia Liu, "Model
Sparsity Can Simplify Machine Unlearning", NeurIPS 2023, arXiv:2304.04934; penalty and schedule as in their code
(OPTML-Group/Unlearn-Sparse): over all parameters, biases and norms included, weighted by gamma (1 - t / T) in epoch
t = 0, ..., T - 1.

Differs from the paper: the learning rate falls linearly to 0 as in `finetune` (theirs stays at 0.01 for 10 epochs), so
that rate and penalty fade together and the weight is larger than theirs (1e-4 or so for a ResNet-18). Their other way,
to prune the original before any method forgets, is not here.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from torch import Tensor, nn

from bench import method
from bench.models.train import Loss, cross_entropy
from bench.scenarios.unlearn.task import UnlearnTask
from bench.types import Count, Rate, Weight
from methods.unlearning.finetune import EPOCHS, train_on, tuning_recipe


@method(
    family="unlearning",
    scenario="unlearn",
    access={"weights", "retain_labels"},
    paper="arXiv:2304.04934",
    year=2023,
    in_place=True,
)
def l1_sparse(task: UnlearnTask, *, gamma: Weight = 4e-3, epochs: Count = EPOCHS, lr: Rate = 0.05) -> nn.Module:
    """Go on training on the retained rows, with an L1 penalty on all weights.

    Args:
        gamma: weight of the penalty in the first epoch; 0 is `finetune`, to the last bit.
        epochs: passes over the retained rows.
        lr: the learning rate at the start.
    """
    recipe = tuning_recipe(task.recipe, epochs, lr)
    steps = max(1, len(task.retain_inputs) // recipe.batch_size)
    train_on(task, recipe, with_penalty(cross_entropy(recipe.label_smoothing), fading(gamma, epochs, steps)))
    return task.model


def fading(gamma: float, epochs: int, steps: int) -> Iterator[float]:
    """The weight at each step: gamma (1 - t / epochs) at all `steps` of epoch t."""
    for epoch in range(epochs):
        yield from itertools.repeat(gamma * (1 - epoch / epochs), steps)


def with_penalty(loss: Loss, weights: Iterator[float]) -> Loss:
    """A loss plus the next weight times the sum of the absolute values of all parameters."""

    def penalised(model: nn.Module, x: Tensor, y: Tensor, index: Tensor) -> Tensor:
        return loss(model, x, y, index) + next(weights) * l1_norm(model)

    return penalised


def l1_norm(model: nn.Module) -> Tensor:
    """Sum of the absolute values of all parameters, a scalar."""
    return sum((p.abs().sum() for p in model.parameters()), start=next(model.parameters()).new_zeros(()))
