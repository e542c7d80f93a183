"""RegMean++: Enhancing Effectiveness and Generalization of Regression Mean for Model Merging.

The-Hai Nguyen, Dang Huu-Tien, Takeshi Suzuki and Le-Minh Nguyen, TMLR 2026, arXiv:2508.03121.

RegMean (`methods.fusion.regmean`) solves every linear layer for the inputs that it has in the parents. But what a layer
of the merged network is given comes from merged layers. RegMean++ merges block by block, from the input to the output:
the Gram matrices of a parent's block are those of its inputs behind the merged blocks before it. Everything that is no
linear layer is averaged, as in RegMean. Owners must run the merged network on their images, so the access is
unlabelled images in place of Gram matrices.

Differs from the paper: a block is what a number ends the path of (a layer of a transformer, a block of a residual
network, a layer of an MLP or a VGG), or else the linear layer itself, such as a stem or the patch embedding, which the
authors average; convolutions are linear layers on patches, and a ridge holds what no input reaches, as in this
project's RegMean.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import cast

from torch import Tensor, nn

from bench import Skip, method
from bench.models.layers import HEAD, Classifier
from bench.scenarios.merge.scenario import MergeTask
from bench.task.statistics import gram_matrices
from bench.types import Fraction, Rate
from methods.fusion.regmean import solve_layer
from methods.fusion.state import mean, parent_entries, result


@method(family="merging", scenario="merge", access={"weights", "unlabeled"}, paper="arXiv:2508.03121", year=2025)
def regmean_plus_plus(task: MergeTask, *, off_diagonal: Fraction = 0.95, ridge: Rate = 1e-6) -> nn.Module:
    """RegMean of one block after the other, each on the inputs that the merged blocks before it give.

    Args:
        off_diagonal: factor of the Gram matrices' off-diagonal entries.
        ridge: added to their diagonals, in units of their mean.
    """
    if len(task.unlabeled) != len(task.parents):
        raise Skip("RegMean++ needs images of every expert's own task; with a held-out target there are none")
    states = parent_entries(task)
    merged = mean(states)
    order = gram_matrices(task.init, task.unlabeled[0][:1], task.compute)  # in the order in which layers run
    groups = blocks(order)
    for done, (block, layers) in enumerate(groups.items(), 1):
        inside = [name for name in merged if name.startswith(f"{block}.")]
        grams = []
        for state, images in zip(states, task.unlabeled, strict=True):
            hybrid = cast(Classifier, result(task, merged | {name: state[name] for name in inside}).eval())
            grams.append(gram_matrices(Watched(hybrid, layers), images, task.compute))
        for number, layer in enumerate(layers):
            solve_layer(merged, states, [g[f"watched.{number}"] for g in grams], layer, off_diagonal, ridge)
        task.progress(done, len(groups))
    return result(task, merged)


class Watched(nn.Module):
    """A network of which only some layers are to be seen by `gram_matrices`, as `watched.0`, `watched.1` ..."""

    def __init__(self, network: Classifier, layers: Sequence[str]) -> None:
        super().__init__()
        self.watched = nn.ModuleList(network.get_submodule(layer) for layer in layers)
        self.run = network.features

    def forward(self, x: Tensor) -> Tensor:
        """Pixels [B, C, H, W] -> features [B, d]."""
        return self.run(x)


def blocks(layers: Iterable[str]) -> Mapping[str, list[str]]:
    """Path of each block -> the layers in it; both in the order in which the layers, of the backbone, come."""
    groups: dict[str, list[str]] = {}
    for layer in layers:
        if f"{layer}.".startswith(HEAD):
            continue
        numbered = re.match(r"(.*?\.)?\d+(\.\d+)*(?=\.|$)", layer)  # up to the end of the first number of numbers
        groups.setdefault(numbered.group() if numbered else layer, []).append(layer)
    return groups
