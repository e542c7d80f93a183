"""VGG-style network (Simonyan and Zisserman 2015, arXiv:1409.1556): plain 3x3 convolutions, no shortcuts.

Three stages of two convolutions (w, 2w, 4w channels) with max pooling between them, BatchNorm, and global average
pooling in place of the three wide linear layers of the original.
"""

from __future__ import annotations

from torch import Tensor, nn

from bench.data.images.kind import ImageProblem
from bench.models.layers import NORMALIZE_AXES, Classifier, Norm, Normalize, initialise_convolutions, norm2d
from bench.models.permutation import Axes, Axis, PermutationSpec, axes_of
from bench.types import Count

LAYERS_A_STAGE = 2


class VGG(Classifier):
    """Six convolutions, global average pooling, a linear head."""

    def __init__(self, problem: ImageProblem, *, width: int, norm: Norm) -> None:
        super().__init__()
        self.normalize = Normalize(problem.mean, problem.std)
        self.convs = nn.ModuleList()
        self.norms = nn.ModuleList()
        inputs = problem.shape[0]
        for stage in range(3):
            for _ in range(LAYERS_A_STAGE):
                outputs = width * 2**stage
                self.convs.append(nn.Conv2d(inputs, outputs, 3, 1, 1, bias=False))
                self.norms.append(norm2d(norm, outputs))
                inputs = outputs
        self.relu = nn.ReLU(inplace=True)
        self.pool = nn.MaxPool2d(2, ceil_mode=True)
        self.head = nn.Linear(inputs, problem.num_classes)
        initialise_convolutions(self)

    def features(self, x: Tensor) -> Tensor:
        """Images [B, C, H, W] in [0, 1] -> pooled activations [B, 4 * width]."""
        x = self.normalize(x)
        for i, (conv, norm) in enumerate(zip(self.convs, self.norms, strict=True)):
            if i > 0 and i % LAYERS_A_STAGE == 0:
                x = self.pool(x)
            x = self.relu(norm(conv(x)))
        return x.mean((2, 3))

    def permutation_spec(self) -> PermutationSpec:
        """One group a convolution."""
        axes: Axes = dict(NORMALIZE_AXES)
        before: Axis | None = None
        for i, (conv, norm) in enumerate(zip(self.convs, self.norms, strict=True)):
            group = Axis(f"conv{i}")
            axes |= axes_of(f"convs.{i}", conv, group, before) | axes_of(f"norms.{i}", norm, group)
            before = group
        axes |= axes_of("head", self.head, None, before)
        order = tuple(f"conv{i}" for i in range(len(self.convs)))
        return PermutationSpec(axes, order, {group: (f"convs.{i}",) for i, group in enumerate(order)})


def vgg(problem: ImageProblem, *, width: Count = 32, norm: Norm = "batch") -> VGG:
    """VGG-style network of six convolutions."""
    return VGG(problem, width=width, norm=norm)
