"""Fine-tuning: train on, without the rows to be forgotten, and trust in catastrophic forgetting.

The baseline of every unlearning paper (e.g. Golatkar et al., CVPR 2020, arXiv:1911.04933, section 6); as in
Unlearn-Sparse (Jia et al., NeurIPS 2023, arXiv:2304.04934), with the training recipe's batch size, augmentation, label
smoothing and weight decay.

Done otherwise: the learning rate falls linearly from `lr` to 0, where papers keep it constant.
"""

from __future__ import annotations

from torch import nn

from bench import method
from bench.models.train import Loss, fit
from bench.scenarios.unlearn.task import UnlearnTask
from bench.schema.recipe import Recipe
from bench.types import Count, Rate

EPOCHS = 5
"""Default passes over the retained rows, of every method of the family that goes on with the training recipe in all
layers: so boards compare losses, labels and masks, and not lengths. (The code of SalUn and Unlearn-Sparse does
likewise, with 10.)"""


@method(
    family="unlearning",
    scenario="unlearn",
    access={"weights", "retain_labels"},
    paper="arXiv:1911.04933",
    year=2020,
    in_place=True,
)
def finetune(task: UnlearnTask, *, epochs: Count = EPOCHS, lr: Rate = 0.05) -> nn.Module:
    """Go on training on the retained rows only.

    Args:
        epochs: passes over the retained rows.
        lr: the learning rate at the start.
    """
    train_on(task, tuning_recipe(task.recipe, epochs, lr))
    return task.model


def tuning_recipe(recipe: Recipe, epochs: int, lr: float) -> Recipe:
    """The training recipe for `epochs` more, by SGD whose rate falls from `lr` to 0."""
    return recipe.model_copy(update={"epochs": epochs, "peak_lr": lr, "warmup": 0.0, "optimizer": "sgd"})


def by_adam(recipe: Recipe) -> Recipe:
    """The same recipe by Adam, without weight decay."""
    return recipe.model_copy(update={"optimizer": "adamw", "weight_decay": 0.0})


def train_on(task: UnlearnTask, recipe: Recipe, loss: Loss | None = None) -> None:
    """Train the given model on the retained rows, in place; `loss` as in `fit`."""
    fit(
        task.model,
        task.retain_inputs,
        task.retain_labels,
        recipe,
        generator=task.generator,
        device=task.compute,
        loss=loss,
        progress=task.progress,
    )
