"""The stages of the standard networks, by name: where methods that compare features look into a network.

The table stands beside the networks and not in them: the code of a network decides its place in the zoo, so a line more
there would train every network again. A network of your own declares its stages itself, as `feature_stages`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from bench.errors import Skip
from bench.models.mlp import MLP
from bench.models.resnet import ResNet
from bench.models.transformer import ViT
from bench.models.vgg import LAYERS_A_STAGE, VGG


@dataclass(frozen=True)
class Stage:
    """A part of a network that ends in one activation, and the module that shows this activation."""

    name: str
    module: str
    """Path of the module. It shows the activation before the ReLU that ends the stage, where there is one."""
    takes: bool = False
    """The module takes the activation, at its last call in a pass; otherwise it puts it out."""
    relu: bool = True
    """A ReLU ends the stage."""
    norm: str | None = None
    """Path of the norm whose output the ReLU takes, alone or with a shortcut added."""


def stages(model: nn.Module) -> tuple[Stage, ...]:
    """The stages of a network from the first to the last: `stage1` ... of ResNet and VGG, `hidden1` ... of MLP,
    `layer1` ... of ViT; of another network what its `feature_stages` holds.

    Raises:
        Skip: the network declares none.
    """
    own = getattr(model, "feature_stages", None)
    if own is not None:
        return tuple(own)
    for kind, of in STAGES.items():
        if isinstance(model, kind):
            return of(model)
    raise Skip(f"needs the stages of a network, and {type(model).__name__} declares none (feature_stages)")


def matched(student: nn.Module, teacher: nn.Module) -> tuple[tuple[Stage, Stage], ...]:
    """The stages of two networks in pairs (student's, teacher's), from the first to the last.

    Of the network with more stages as many are taken as the other has: evenly spread, the last one among them.

    Raises:
        Skip: one of them declares no stages.
    """
    two = stages(student), stages(teacher)
    count = min(map(len, two))
    mine, theirs = ([of[(i + 1) * len(of) // count - 1] for i in range(count)] for of in two)
    return tuple(zip(mine, theirs, strict=True))


def as_map(activation: Tensor) -> Tensor:
    """Any activation as maps [B, C, H, W]: a vector [B, C] is a map of one pixel, tokens [B, H * H, C] are a square.

    Raises:
        Skip: the number of tokens is no square.
    """
    if activation.ndim == 2:
        return activation[:, :, None, None]
    if activation.ndim == 3:
        side = round(activation.shape[1] ** 0.5)
        if side**2 != activation.shape[1]:
            raise Skip(f"needs maps, and {activation.shape[1]} tokens are no square of pixels")
        return activation.transpose(1, 2).unflatten(2, (side, side))
    return activation


def _resnet(model: ResNet) -> tuple[Stage, ...]:
    last = [f"stages.{i}.{len(stage) - 1}" for i, stage in enumerate(model.stages)]  # type: ignore[arg-type]
    return tuple(Stage(f"stage{i}", f"{at}.relu", takes=True, norm=f"{at}.norm2") for i, at in enumerate(last, 1))


def _vgg(model: VGG) -> tuple[Stage, ...]:
    last = [f"norms.{i}" for i in range(LAYERS_A_STAGE - 1, len(model.norms), LAYERS_A_STAGE)]
    return tuple(Stage(f"stage{i}", at, norm=at) for i, at in enumerate(last, 1))


def _mlp(model: MLP) -> tuple[Stage, ...]:
    return tuple(Stage(f"hidden{i + 1}", f"norms.{i}", norm=f"norms.{i}") for i in range(len(model.norms)))


def _vit(model: ViT) -> tuple[Stage, ...]:
    return tuple(Stage(f"layer{i + 1}", f"encoder.layers.{i}", relu=False) for i in range(len(model.encoder.layers)))


STAGES: dict[type[nn.Module], Callable[[Any], tuple[Stage, ...]]] = {
    ResNet: _resnet,
    VGG: _vgg,
    MLP: _mlp,
    ViT: _vit,
}
"""Class of networks -> its stages."""
