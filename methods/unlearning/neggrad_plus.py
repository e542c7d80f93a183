"""NegGrad+: descent on the retained rows and ascent on the forgotten ones in each step.

Meghdad Kurmanji, Peter Triantafillou, Jamie Hayes and Eleni Triantafillou, "Towards Unbounded Machine Unlearning",
NeurIPS 2023, arXiv:2302.09880 (a baseline of that paper, after Golatkar et al., CVPR 2020).

Done otherwise: the cross-entropy that rises is cut off, row by row, at `clip` nats, for it has no bound; both batches
pass the network as one, the forgotten rows a minority, so that BatchNorm sees about the mixture that the original was
trained on (a batch of one class by itself ruins the running statistics; and normalised by running statistics, ascent
finds directions that the descent, normalised by its batch, does not feel); the rate falls linearly to 0.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bench import method
from bench.models.train import Loss
from bench.scenarios.unlearn.task import UnlearnTask
from bench.types import Count, Fraction, Rate
from methods.unlearning.batches import endless
from methods.unlearning.finetune import EPOCHS, train_on, tuning_recipe
from methods.unlearning.neggrad import ascent


@method(
    family="unlearning",
    scenario="unlearn",
    access={"weights", "retain_labels", "forget_labels"},
    paper="arXiv:2302.09880",
    year=2023,
    in_place=True,
)
def neggrad_plus(
    task: UnlearnTask,
    *,
    alpha: Fraction = 0.95,
    epochs: Count = EPOCHS,
    lr: Rate = 0.05,
    forget_batch: Count = 16,
    clip: Rate = 5.0,
) -> nn.Module:
    """Minimise alpha CE(retained) - (1 - alpha) CE(forgotten), a batch of each a step.

    Args:
        alpha: 1 is `finetune`, to the last bit, and so is any where there are no forgotten rows.
        epochs: passes over the retained rows; the forgotten ones are cycled.
        lr: the learning rate at the start.
        forget_batch: forgotten rows a step; of retained ones the recipe's batch.
        clip: cross-entropy in nats at which a forgotten row is forgotten enough.
    """
    plain = alpha == 1 or not len(task.forget_inputs)
    loss = None if plain else descent_and_ascent(task, alpha, forget_batch, clip)
    train_on(task, tuning_recipe(task.recipe, epochs, lr), loss)
    return task.model


def descent_and_ascent(task: UnlearnTask, alpha: float, forget_batch: int, clip: float) -> Loss:
    """The loss of one step, for `fit`, which brings the retained batch."""
    # A generator of its own: the retained rows come in the order in which they come without ascent.
    generator = torch.Generator().manual_seed(task.seed)
    batches = endless(task.forget_inputs, forget_batch, task.recipe.augment, generator, task.device)
    labels = task.forget_labels.to(task.device)
    smoothing = task.recipe.label_smoothing

    def loss(model: nn.Module, x: Tensor, y: Tensor, index: Tensor) -> Tensor:  # noqa: ARG001
        images, rows = next(batches)
        kept, gone = model(torch.cat([x, images])).split([len(x), len(images)])
        keep = nn.functional.cross_entropy(kept, y, label_smoothing=smoothing)
        return alpha * keep + (1 - alpha) * ascent(gone, labels[rows], clip)

    return loss
