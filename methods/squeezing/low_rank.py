"""A low-rank copy of the teacher, as large as the student, trained on: what linear algebra does without learnt maps.

Emily Denton, Wojciech Zaremba, Joan Bruna, Yann LeCun and Rob Fergus, Exploiting Linear Structure Within Convolutional
Networks for Efficient Evaluation, NIPS 2014, arXiv:1404.0736.

Layers of the teacher are replaced by their truncated SVD, two thinner layers, and the whole is trained by the recipe of
all rows. The paper chooses ranks layer by layer, by hand; here one rule chooses all of them (`ranks.choose_ranks`),
as a uniform share of each layer's rank would spend as much on a flat spectrum as on one that few directions make up.
Factors start and decay as those of Khodak, Tenenholtz, Mackey and Fusi (ICLR 2021, arXiv:2105.01029): the roots of
the singular values in both, and weight decay on the product, so that it means what it means for every other row (with
AdamW, whose decay is no part of the loss, it stays on the factors).

Kernels are factored as [out, in * k * k]. Embeddings are factored too: the teacher's alone may be larger than the whole
student. Norms, biases and positions are the teacher's, kept and counted: a wide teacher has more than the student.
"""

from __future__ import annotations

import copy
from collections.abc import Collection

from torch import Tensor, nn

from bench import method
from bench.models.train import fit
from bench.scenarios.squeeze import SqueezeTask
from bench.types import Fraction, Rate
from methods.distillation.losses import Loss, soft_and_hard_labels
from methods.squeezing.factors import count, factorise, layers, replace, squared_norm
from methods.squeezing.ranks import choose_ranks


@method(family="squeezing", scenario="squeeze", access={"weights", "labels"}, paper="arXiv:1404.0736", year=2014)
def low_rank(task: SqueezeTask, *, kd_weight: Fraction = 0.0, temperature: Rate = 4.0) -> nn.Module:
    """Low rank: the teacher's layers by truncated SVD, with as many parameters as the student, trained on.

    Args:
        kd_weight: weight of the teacher's softened outputs; the labels' cross-entropy weighs 1 - kd_weight.
        temperature: of the softening.
    """
    model = copy.deepcopy(task.teacher).requires_grad_(True)
    ranks = choose_ranks(model, count(task.student))
    truncate(model, ranks)
    loss = soft_and_hard_labels(task.teacher, task.recipe, 1 - kd_weight, temperature)
    recipe = task.recipe
    if recipe.optimizer == "sgd" and recipe.weight_decay > 0:
        loss, recipe = (
            decayed_products(loss, ranks, recipe.weight_decay),
            recipe.model_copy(update={"weight_decay": 0.0}),
        )
    fit(
        model,
        task.inputs,
        task.labels,
        recipe,
        generator=task.generator,
        device=task.compute,
        loss=loss,
        progress=task.progress,
    )
    return model


def truncate(model: nn.Module, ranks: dict[str, int]) -> None:
    """Replace the named layers by their truncated SVD, in place."""
    own = layers(model)
    for name, rank in ranks.items():
        replace(model, name, factorise(own[name], rank))


def decayed_products(objective: Loss, names: Collection[str], weight_decay: float) -> Loss:
    """A loss plus what SGD's weight decay is the gradient of, with the product of factors in place of each factor."""

    def loss(model: nn.Module, x: Tensor, y: Tensor, index: Tensor) -> Tensor:
        return objective(model, x, y, index) + weight_decay / 2 * squared_norms(model, names)

    return loss


def squared_norms(model: nn.Module, names: Collection[str]) -> Tensor:
    """Sum of squares of all matrices and kernels that a recipe decays, the named products counting as matrices."""
    products = [module for name, module in model.named_modules() if name in names]
    inside = {id(p) for product in products for p in product.parameters()}
    whole = [p.square().sum() for p in model.parameters() if p.ndim >= 2 and id(p) not in inside]
    return sum((squared_norm(product) for product in products), sum(whole, next(model.parameters()).new_zeros(())))
