"""How the units of several networks vary together on the same inputs: their features' correlations.

A unit's *feature* is what later layers read of it (after the nonlinearity, once a residual stream: where its last
reader takes it), or what the layers that write it put out (before norm and nonlinearity). Layers that read after the
pooling, as heads do, show pooled features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from bench.models.permutation import PermutationSpec
from methods.fusion.alignment import read_by
from methods.watching import by_channel, named, show, watching

Features = Literal["post-activation", "pre-activation"]

CONSTANT = 1e-10
"""A feature whose variance is a smaller share of its mean square than this does not vary: what is left is rounding."""


@dataclass
class Moments:
    """Sums over observations of features of several networks, side by side: [units of all networks * block]."""

    count: int
    first: Tensor
    """float64 [f]."""
    second: Tensor
    """float64 [f, f]: outer products."""

    @property
    def mean(self) -> Tensor:
        """float64 [f]."""
        return self.first / self.count

    @property
    def products(self) -> Tensor:
        """Mean of outer products, not centred, float64 [f, f]."""
        return self.second / self.count

    @property
    def correlation(self) -> Tensor:
        """Pearson correlation, float64 [f, f]: zero where one does not vary, one where both do not."""
        covariance = self.products - torch.outer(self.mean, self.mean)
        varies = covariance.diagonal() > CONSTANT * self.products.diagonal()
        std = torch.where(varies, covariance.diagonal(), 1).sqrt()
        both, neither = torch.outer(varies, varies), torch.outer(~varies, ~varies)
        return torch.where(both, covariance / torch.outer(std, std), neither.double()).clamp(-1, 1)


def joint_moments(
    models: Sequence[nn.Module],
    images: Tensor,
    spec: PermutationSpec,
    features: Features,
    device: torch.device,
) -> dict[str, list[Moments]]:
    """Moments of every group's features in all networks together.

    Args:
        models: in eval mode, of one architecture.
        images: uint8 [N, C, H, W].
        spec: their groups.
        features: where the units are looked at.
        device: where the models lie.

    Returns:
        Group -> moments over images and positions: one entry for each of the layers that write it before the
        activation, a single one after it.
    """
    places = _places(spec, features)
    total: dict[str, Moments] = {}
    for batch in images.split(100):
        seen = [_observe(model, batch, set().union(*places.values()), features, device) for model in models]
        for layer in seen[0]:
            joint = torch.cat([s[layer] for s in seen])
            old = total.get(layer, Moments(0, joint.new_zeros(len(joint)), joint.new_zeros(len(joint), len(joint))))
            total[layer] = Moments(old.count + joint.shape[1], old.first + joint.sum(1), old.second + joint @ joint.T)
    return {group: [total[layer] for layer in layers] for group, layers in places.items()}


def by_unit(similarity: Tensor, block: int) -> Tensor:
    """Entries [n * block, m * block] -> units [n, m]: the mean over a block's entries, each with its counterpart."""
    n, m = (size // block for size in similarity.shape)
    return similarity.reshape(n, block, m, block).diagonal(dim1=1, dim2=3).mean(-1)


def block_of(spec: PermutationSpec, group: str) -> int:
    """Entries a unit of the group has."""
    return next(axis.block for axes in spec.axes.values() for axis in axes if axis is not None and axis.group == group)


def _places(spec: PermutationSpec, features: Features) -> Mapping[str, tuple[str, ...]]:
    """Group -> the layers at which its features are seen; `spec.axes` is in forward order."""
    if features == "pre-activation":
        return {group: spec.writers[group] for group in spec.order}
    last = {}
    for name in spec.axes:
        if (read := read_by(spec, name)) is not None:
            last[read.group] = name.removesuffix(".weight")
    return {group: (last[group],) for group in spec.order}


def _observe(
    model: nn.Module, batch: Tensor, layers: set[str], features: Features, device: torch.device
) -> dict[str, Tensor]:
    """Layer -> what it reads or puts out, float64 [entries, images * positions]."""
    found: dict[str, Tensor] = {}

    def keep(name: str, y: Tensor) -> None:
        found[name] = by_channel(y).T

    with watching(named(model, sorted(layers)), keep, inputs=features == "post-activation"):
        show(model, batch, device)
    return found
