"""Multilayer perceptron on flattened images, or on the columns of a table."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

from torch import Tensor, nn

from bench.data.images.kind import ImageProblem
from bench.data.tables.kind import TableProblem
from bench.models.layers import NORMALIZE_AXES, Classifier, Normalize
from bench.models.permutation import Axes, Axis, PermutationSpec, axes_of
from bench.types import Count

Norm = Literal["none", "batch", "layer"]
NORMS: dict[Norm, Callable[[int], nn.Module]] = {"none": nn.Identity, "batch": nn.BatchNorm1d, "layer": nn.LayerNorm}


class MLP(Classifier):
    """`depth` hidden layers of `width` units: linear - norm - ReLU."""

    def __init__(self, problem: ImageProblem | TableProblem, *, width: int, depth: int, norm: Norm) -> None:
        super().__init__()
        if isinstance(problem, TableProblem):
            inputs = problem.columns
            self.normalize: nn.Module = nn.Identity()  # columns come standardised
        else:
            inputs = math.prod(problem.shape)
            self.normalize = Normalize(problem.mean, problem.std)
        self.hidden = nn.ModuleList(nn.Linear(inputs if i == 0 else width, width) for i in range(depth))
        for linear in self.hidden.children():
            assert isinstance(linear, nn.Linear)
            nn.init.kaiming_normal_(linear.weight, nonlinearity="relu")
            nn.init.zeros_(linear.bias)
        self.norms = nn.ModuleList(NORMS[norm](width) for _ in range(depth))
        self.head = nn.Linear(width, problem.num_classes)

    def features(self, x: Tensor) -> Tensor:
        """Images [B, C, H, W] in [0, 1], or columns [B, D] -> last hidden activations [B, width]."""
        x = self.normalize(x).flatten(1)
        for linear, norm in zip(self.hidden, self.norms, strict=True):
            x = norm(linear(x)).relu()
        return x

    def permutation_spec(self) -> PermutationSpec:
        """One group a hidden layer."""
        axes: Axes = dict(NORMALIZE_AXES) if isinstance(self.normalize, Normalize) else {}
        before: Axis | None = None
        for i, (linear, norm) in enumerate(zip(self.hidden, self.norms, strict=True)):
            group = Axis(f"hidden{i}")
            axes |= axes_of(f"hidden.{i}", linear, group, before) | axes_of(f"norms.{i}", norm, group)
            before = group
        axes |= axes_of("head", self.head, None, before)
        order = tuple(f"hidden{i}" for i in range(len(self.hidden)))
        return PermutationSpec(axes, order, {group: (f"hidden.{i}",) for i, group in enumerate(order)})


def mlp(problem: ImageProblem | TableProblem, *, width: Count = 256, depth: Count = 3, norm: Norm = "none") -> MLP:
    """MLP of `depth` equal hidden layers."""
    return MLP(problem, width=width, depth=depth, norm=norm)
