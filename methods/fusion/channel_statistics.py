"""Mean and deviation of every channel that goes into a nonlinearity, and setting them by the weights."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bench import Skip
from methods.fusion.features import CONSTANT
from methods.watching import by_channel, named, show, watching

BATCH = 500


@dataclass(frozen=True)
class Statistics:
    """Of one module's output: float64 [channels] each."""

    mean: Tensor
    std: Tensor
    """Over all images and positions; the population's."""
    varies: Tensor
    """bool: more than by rounding."""


Goals = Mapping[str, tuple[Tensor, Tensor]]
"""Module -> mean and standard deviation that its output shall have, float64 [channels] each."""


@torch.no_grad()
def last_affine(model: nn.Module, layers: Collection[str], example: Tensor) -> tuple[str, ...]:
    """Per layer, the module by whose scale and shift its channels can be set: a norm that takes the very tensor that
    the layer puts out, or else the layer itself. In the order of a forward pass.

    Args:
        model: a LayerNorm is the only norm that is looked for.
        layers: names of convolutions, linear layers and embeddings.
        example: a float input of the model.

    Raises:
        Skip: such a module has no bias.
    """
    order: list[str] = []
    outputs: dict[str, Tensor] = {}

    def wrote(name: str, y: Tensor) -> None:
        outputs[name] = y
        order.append(name)

    def normed(name: str, x: Tensor) -> None:
        for layer in [layer for layer, y in outputs.items() if y is x]:
            order[order.index(layer)] = name

    norms = [name for name, module in model.named_modules() if isinstance(module, nn.LayerNorm)]
    with watching(named(model, layers), wrote), watching(named(model, norms), normed, inputs=True):
        model(example)
    for name in order:
        module = model.get_submodule(name)
        if not isinstance(module, nn.Embedding) and module.bias is None:
            raise Skip(f"{name} has no bias and no norm after it, so that the mean of its channels cannot be set")
    return tuple(order)


@torch.no_grad()
def channel_statistics(
    model: nn.Module, images: Tensor, modules: Sequence[str], device: torch.device, goals: Goals | None = None
) -> dict[str, Statistics]:
    """Statistics of the modules' outputs in one pass over the images.

    With goals, every output is brought to its goal before it is handed on, batch by batch, as a BatchNorm in training
    would: a module's statistics are those that it has after all modules before it are set.

    Args:
        model: in eval mode.
        images: uint8 [N, C, H, W]; taken in equal batches of at most 500.
        modules: names; channels are axis 1 of outputs [B, C, H, W], else the last axis.
        device: where the model lies.
        goals: of each module.
    """
    sums: dict[str, list[Tensor]] = {name: [] for name in modules}

    def observe(name: str, y: Tensor) -> Tensor | None:
        rows = by_channel(y)
        batch = torch.stack([torch.ones_like(rows).sum(0), rows.sum(0), rows.square().sum(0)])
        sums[name].append(batch)
        if goals is None:
            return None
        scale, shift = affine(_statistics(batch), *goals[name])
        shape = (-1, 1, 1) if y.ndim == 4 else (-1,)
        return (y * scale.view(shape) + shift.view(shape)).to(y.dtype)

    with watching(named(model, modules), observe):
        for batch in images.tensor_split(-(-len(images) // BATCH)):
            show(model, batch, device)
    return {name: _statistics(torch.stack(batches).sum(0)) for name, batches in sums.items()}


def affine(now: Statistics, mean: Tensor, std: Tensor) -> tuple[Tensor, Tensor]:
    """Scale and shift [channels] that bring statistics to a goal. Channels that do not vary are shifted only."""
    scale = torch.where(now.varies, std / torch.where(now.varies, now.std, 1), 1)
    return scale, mean - scale * now.mean


@torch.no_grad()
def fold(module: nn.Module, scale: Tensor, shift: Tensor) -> None:
    """Put scale and shift [channels] of the output into a module's weights.

    Into weight [channels, ...] and bias [channels] or, of an embedding, into all rows of its weight [tokens, channels].
    """
    weight = module.get_parameter("weight")
    if isinstance(module, nn.Embedding):
        weight.copy_(weight.double() * scale + shift)
        return
    bias = module.get_parameter("bias")
    weight.copy_(weight.double() * scale.view(-1, *(1,) * (weight.ndim - 1)))
    bias.copy_(bias.double() * scale + shift)


def _statistics(sums: Tensor) -> Statistics:
    """From [3, channels]: number, sum and sum of squares."""
    count, first, second = sums
    mean, square = first / count, second / count
    variance = square - mean.square()
    return Statistics(mean, variance.clamp(min=0).sqrt(), variance > CONSTANT * square)
