"""A sparse copy of the teacher with as many weights as the student, trained on.

Song Han, Jeff Pool, John Tran and William Dally, Learning both Weights and Connections for Efficient Neural Networks,
NIPS 2015, arXiv:1506.02626; the gradual schedule is that of Michael Zhu and Suyog Gupta, To Prune, or Not to Prune,
2017, arXiv:1710.01878.

The weights of least magnitude, over all layers at once, are set to zero and stay zero while the others are trained by
the recipe of all rows. As in Han et al. a layer's threshold is one quality parameter times the standard deviation of
the layer's weights (in the teacher); the number of weights decides the parameter, so that nothing is left to choose.
(One threshold for bare magnitudes would take out layers of small weights whole, such as embeddings, of which a text
classifier dies.) They go round several times; equal steps leave time for one round. With `until` the share of zeros
grows along the training instead, s_t = s (1 - (1 - t / T)^3), from none to all; a weight that has gone does not come
back.

Layers are those of `factors.layers`, embeddings included. Norms, biases and positions are kept and counted. A sparse
network is small on disk and as slow as the teacher: the board counts weights that are not zero, and times it as it is.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from bench import Skip, method
from bench.models.train import fit
from bench.scenarios.squeeze import SqueezeTask
from bench.types import Fraction, Rate
from methods.distillation.losses import soft_and_hard_labels
from methods.squeezing.factors import count, layers

PRUNINGS = 100
"""How often the gradual schedule prunes, at most; Zhu and Gupta say that every 100 to 1000 of many steps will do."""


class Mask(nn.Module):
    """Parametrization of a weight: zero where it is not kept, and no gradient there."""

    kept: Tensor
    scale: Tensor
    """Standard deviation of the layer's weights before any of them went."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.register_buffer("scale", weight.detach().std(correction=0).clamp(min=torch.finfo(weight.dtype).tiny))
        self.register_buffer("kept", torch.ones_like(weight, dtype=torch.bool))

    def forward(self, weight: Tensor) -> Tensor:
        """Same shape."""
        return weight * self.kept


@method(family="squeezing", scenario="squeeze", access={"weights", "labels"}, paper="arXiv:1506.02626", year=2015)
def pruned(
    task: SqueezeTask, *, until: Fraction = 0.0, kd_weight: Fraction = 0.0, temperature: Rate = 4.0
) -> nn.Module:
    """Pruning: the teacher's largest weights, as many as the student has, trained on.

    Args:
        until: share of the steps over which weights go; with 0 all go before the first.
        kd_weight: weight of the teacher's softened outputs; the labels' cross-entropy weighs 1 - kd_weight.
        temperature: of the softening.
    """
    model = copy.deepcopy(task.teacher).requires_grad_(True)
    masked = mask_layers(model)
    total = sum(mask.kept.numel() for mask in masks(masked))
    target = count(task.student) - (count(model) - total)
    if target < 1:
        raise Skip(f"the teacher's norms and biases have {1 - target} parameters more than the student can spare")
    objective = soft_and_hard_labels(task.teacher, task.recipe, 1 - kd_weight, temperature)
    batch = min(task.recipe.batch_size, len(task.inputs))
    span = round(until * task.recipe.epochs * (len(task.inputs) // batch))
    step = 0

    def loss(model: nn.Module, x: Tensor, y: Tensor, index: Tensor) -> Tensor:
        nonlocal step
        if step < span and step % max(1, span // PRUNINGS) == 0:
            keep_largest(masked, total - round((total - target) * sparsity(step / span)))
        elif step == span:
            keep_largest(masked, target)
        step += 1
        with parametrize.cached():
            return objective(model, x, y, index)

    fit(
        model,
        task.inputs,
        task.labels,
        task.recipe,
        generator=task.generator,
        device=task.compute,
        loss=loss,
        progress=task.progress,
    )
    keep_largest(masked, target)  # where weights went until the last step
    for layer in masked:
        parametrize.remove_parametrizations(layer, "weight", leave_parametrized=True)
    return model


def sparsity(done: float) -> float:
    """1 - (1 - done)^3: the share of the zeros that are there at a share of the schedule; fast first, then slowly."""
    return 1 - (1 - done) ** 3


def mask_layers(model: nn.Module) -> list[nn.Module]:
    """Put a mask that keeps everything on each layer, in place; the layers."""
    found: list[nn.Module] = list(layers(model).values())
    for layer in found:
        parametrize.register_parametrization(layer, "weight", Mask(layer.weight))  # type: ignore[arg-type]
    return found


def masks(layers: list[nn.Module]) -> list[Mask]:
    """Their masks."""
    return [layer.get_submodule("parametrizations.weight.0") for layer in layers]  # type: ignore[misc]


@torch.no_grad()
def keep_largest(layers: list[nn.Module], number: int) -> None:
    """Keep exactly so many weights, those largest in units of their layer's scale; what is zero already goes first.

    Of equal weights it keeps the earlier ones. Masks change in place. What lies behind a mask may go on moving with the
    optimizer's momentum; nothing reads it.
    """
    scaled = zip(layers, masks(layers), strict=True)
    magnitudes = torch.cat([layer.weight.abs().flatten() / mask.scale for layer, mask in scaled])  # type: ignore[operator]
    keep = torch.zeros_like(magnitudes, dtype=torch.bool)
    keep[magnitudes.argsort(descending=True, stable=True)[:number]] = True
    parts = keep.split([layer.weight.numel() for layer in layers])  # type: ignore[operator]
    for mask, part in zip(masks(layers), parts, strict=True):
        mask.kept.copy_(part.view_as(mask.kept))
