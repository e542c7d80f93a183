"""CIFAR-style ResNets (He et al. 2016, arXiv:1512.03385, section 4.2): three stages of width w, 2w, 4w.

Shortcuts that change shape are 1x1 convolutions with a norm ("option B"): zero-padded shortcuts would tie
channel positions of neighbouring stages, and channels could not be permuted.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bench.data.images.kind import ImageProblem
from bench.models.layers import NORMALIZE_AXES, Classifier, Norm, Normalize, initialise_convolutions, norm2d
from bench.models.permutation import Axes, Axis, PermutationSpec, axes_of
from bench.types import Count


class Projection(nn.Conv2d):
    """The convolution of a shortcut, by a way round a fault of the library that computes it on a CPU.

    oneDNN writes the gradient of a strided 1x1 convolution with respect to its weights past the end of a buffer where
    the input is channels_last and has fewer channels than a vector register holds numbers (oneDNN issue 6035, open in
    November 2026; also in PyTorch 2.13). A crash at some later moment comes of it, or a wrong gradient.
    """

    def forward(self, x: Tensor) -> Tensor:
        """[B, inputs, H, W] -> [B, outputs, H/stride, W/stride]; of few channels, on the pixels that it looks at."""
        strided_pointwise = self.kernel_size == (1, 1) and self.stride != (1, 1)
        if x.device.type != "cpu" or not strided_pointwise or self.in_channels >= _numbers_of_a_register():
            return super().forward(x)
        rows, columns = self.stride
        return nn.functional.conv2d(x[..., ::rows, ::columns], self.weight, self.bias)


def _numbers_of_a_register() -> int:
    return 16 if "AVX512" in torch.backends.cpu.get_cpu_capability() else 8


class Block(nn.Module):
    """conv3x3 - norm - ReLU - conv3x3 - norm, plus the shortcut, then ReLU.

    ReLUs work in place (5 % of a training step): a hook that keeps the output of a norm must clone it.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, norm: Norm) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.norm1 = norm2d(norm, outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.norm2 = norm2d(norm, outputs)
        self.relu = nn.ReLU(inplace=True)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(Projection(inputs, outputs, 1, stride, bias=False), norm2d(norm, outputs))

    def forward(self, x: Tensor) -> Tensor:
        """[B, inputs, H, W] -> [B, outputs, H/stride, W/stride]."""
        y = self.relu(self.norm1(self.conv1(x)))
        return self.relu(self.norm2(self.conv2(y)) + self.shortcut(x))


class ResNet(Classifier):
    """6n + 2 layers: a stem, three stages of n blocks, global average pooling, a linear head."""

    def __init__(self, problem: ImageProblem, *, blocks: int, width: int, norm: Norm) -> None:
        super().__init__()
        self.normalize = Normalize(problem.mean, problem.std)
        self.stem = nn.Conv2d(problem.shape[0], width, 3, 1, 1, bias=False)
        self.norm = norm2d(norm, width)
        self.relu = nn.ReLU(inplace=True)
        self.stages = nn.Sequential()
        inputs = width
        for stage in range(3):
            outputs = width * 2**stage
            first = Block(inputs, outputs, 1 if stage == 0 else 2, norm)
            rest = [Block(outputs, outputs, 1, norm) for _ in range(blocks - 1)]
            self.stages.append(nn.Sequential(first, *rest))
            inputs = outputs
        self.head = nn.Linear(inputs, problem.num_classes)
        initialise_convolutions(self)

    def features(self, x: Tensor) -> Tensor:
        """Images [B, C, H, W] in [0, 1] -> pooled activations [B, 4 * width]."""
        x = self.relu(self.norm(self.stem(self.normalize(x))))
        return self.stages(x).mean((2, 3))

    def permutation_spec(self) -> PermutationSpec:
        """One group a residual stream (`stage0` includes the stem) and one inside every block."""
        stream = Axis("stage0")
        axes: Axes = dict(NORMALIZE_AXES)
        axes |= axes_of("stem", self.stem, stream) | axes_of("norm", self.norm, stream)
        order, writers = ["stage0"], {"stage0": ["stem"]}
        for name, block in self.named_modules():
            if not isinstance(block, Block):
                continue
            _, stage, number = name.split(".")
            inner, before, stream = Axis(f"stage{stage}.block{number}"), stream, Axis(f"stage{stage}")
            axes |= axes_of(f"{name}.conv1", block.conv1, inner, before) | axes_of(f"{name}.norm1", block.norm1, inner)
            axes |= axes_of(f"{name}.conv2", block.conv2, stream, inner) | axes_of(f"{name}.norm2", block.norm2, stream)
            writers[inner.group] = [f"{name}.conv1"]
            writers.setdefault(stream.group, []).append(f"{name}.conv2")
            if isinstance(block.shortcut, nn.Sequential):
                axes |= axes_of(f"{name}.shortcut.0", block.shortcut[0], stream, before)
                axes |= axes_of(f"{name}.shortcut.1", block.shortcut[1], stream)
                writers[stream.group].append(f"{name}.shortcut.0")
            order += [inner.group] if stream.group in order else [inner.group, stream.group]
        axes |= axes_of("head", self.head, None, stream)
        return PermutationSpec(axes, tuple(order), {group: tuple(writers[group]) for group in order})


def resnet8(problem: ImageProblem, *, width: Count = 16, norm: Norm = "batch") -> ResNet:
    """ResNet-8."""
    return ResNet(problem, blocks=1, width=width, norm=norm)


def resnet14(problem: ImageProblem, *, width: Count = 16, norm: Norm = "batch") -> ResNet:
    """ResNet-14."""
    return ResNet(problem, blocks=2, width=width, norm=norm)


def resnet20(problem: ImageProblem, *, width: Count = 16, norm: Norm = "batch") -> ResNet:
    """ResNet-20."""
    return ResNet(problem, blocks=3, width=width, norm=norm)
