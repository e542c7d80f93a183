"""Layers that the standard models share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from bench.models.permutation import Axes, PermutationSpec

Norm = Literal["batch", "layer"]


class Normalize(nn.Module):
    """Pixels in [0, 1] [B, C, H, W] -> zero mean, unit variance a channel. The first layer of every model of images."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Same shape."""
        return (x - self.mean) / self.std


HEAD = "head."
"""The entries of a standard model's state that belong to its head begin so."""


class Classifier(nn.Module):
    """What every standard model is: one of images normalises inside, and its head reads pooled features."""

    head: nn.Linear

    def features(self, x: Tensor) -> Tensor:
        """Inputs as `bench.device.as_input` gives them -> what the head reads, [B, d]."""
        raise NotImplementedError

    def permutation_spec(self) -> PermutationSpec:
        """Which units may be reordered."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """Inputs as `bench.device.as_input` gives them -> logits [B, num_classes]."""
        return self.head(self.features(x))


NORMALIZE_AXES: Axes = {"normalize.mean": (None,) * 4, "normalize.std": (None,) * 4}
"""Entries of `Normalize` in a permutation spec: input channels stay where they are."""


class ChannelNorm(nn.LayerNorm):
    """LayerNorm over the channels of each pixel [B, C, H, W]: no batch statistics, and channels may be permuted."""

    def forward(self, x: Tensor) -> Tensor:
        """Same shape. A view in channels_last, where channels are the innermost axis."""
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def norm2d(kind: Norm, channels: int) -> nn.Module:
    """The norm that follows a convolution."""
    return nn.BatchNorm2d(channels) if kind == "batch" else ChannelNorm(channels)


def initialise_convolutions(model: nn.Module) -> None:
    """He initialisation for ReLU networks (He et al. 2015, arXiv:1502.01852), by fan-out."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
