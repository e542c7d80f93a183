"""The small generator of data-free distillation, and the ways its last layer becomes pixels."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, leaky_relu

from bench import Skip


class NormalizedPixels(nn.Module):
    """tanh, then BatchNorm without affine parameters, then back to pixels (DAFL, DFAD and their descendants).

    BatchNorm emits images of zero mean and unit variance a channel: images as they look *after* the teacher's
    normaliser. The benchmark's teachers normalise by themselves, hence the step back, x * std + mean with the
    teacher's own numbers; the teacher's trunk then sees exactly what BatchNorm emitted. Pixels may leave [0, 1].

    Args:
        mean: of the teacher's normaliser, [1, C, 1, 1]; `std` likewise.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Tensor, std: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean.clone())
        self.register_buffer("std", std.clone())
        self.norm = nn.BatchNorm2d(mean.shape[1], affine=False)

    def forward(self, x: Tensor) -> Tensor:
        """Same shape."""
        return self.norm(x.tanh()) * self.std + self.mean


class AffinePixels(nn.Module):
    """BatchNorm with learnt scale and shift, then back to pixels (ZSKT's code); arguments as of `NormalizedPixels`."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Tensor, std: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean.clone())
        self.register_buffer("std", std.clone())
        self.norm = nn.BatchNorm2d(mean.shape[1])

    def forward(self, x: Tensor) -> Tensor:
        """Same shape."""
        return self.norm(x) * self.std + self.mean


class Generator(nn.Module):
    """Noise [B, nz] -> images [B, C, H, W]: linear, then two doublings of the side with 3x3 convolutions.

    The generator of DAFL (Chen et al., ICCV 2019), in the form that the family's later code bases use: PyTorch's
    default BatchNorm epsilon, where DAFL's first code has 0.8. Sides that 4 does not divide are rounded up and cut.

    Args:
        nz: length of the noise vector.
        ngf: width of the last hidden layer; the others have 2 * ngf.
        shape: (C, H, W) of an image.
        pixels: what makes pixels of the last convolution: `nn.Sigmoid()`, `NormalizedPixels(...)` or
            `AffinePixels(...)`.
    """

    def __init__(self, nz: int, ngf: int, shape: tuple[int, int, int], pixels: nn.Module) -> None:
        super().__init__()
        channels, height, width = shape
        self.nz = nz
        self.side = (height, width)
        self.seed_shape = (2 * ngf, -(-height // 4), -(-width // 4))
        self.project = nn.Linear(nz, 2 * ngf * self.seed_shape[1] * self.seed_shape[2])
        self.norm0 = nn.BatchNorm2d(2 * ngf)
        self.conv1 = nn.Conv2d(2 * ngf, 2 * ngf, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(2 * ngf)
        self.conv2 = nn.Conv2d(2 * ngf, ngf, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(ngf)
        self.conv3 = nn.Conv2d(ngf, channels, 3, padding=1)
        self.pixels = pixels

    def forward(self, z: Tensor) -> Tensor:
        """[B, nz] -> [B, C, H, W]."""
        x = self.norm0(self.project(z).unflatten(1, self.seed_shape))
        x = leaky_relu(self.norm1(self.conv1(_double(x))), 0.2)
        x = leaky_relu(self.norm2(self.conv2(_double(x))), 0.2)
        x = self.conv3(x)[..., : self.side[0], : self.side[1]]
        return self.pixels(x)

    def sample(self, count: int, rng: torch.Generator) -> Tensor:
        """Images [count, C, H, W] of fresh standard normal noise, with their graph."""
        return self(torch.randn(count, self.nz, generator=rng).to(self.project.weight.device))


def normalizer(teacher: nn.Module) -> tuple[Tensor, Tensor]:
    """(mean, std) of the teacher's first layer, each [1, C, 1, 1]: pixel = normalised * std + mean.

    Raises:
        Skip: the teacher has no layer `normalize` with both.
    """
    layer = getattr(teacher, "normalize", None)
    mean, std = getattr(layer, "mean", None), getattr(layer, "std", None)
    if not isinstance(mean, Tensor) or not isinstance(std, Tensor):
        raise Skip(f"needs the teacher's normaliser, and {type(teacher).__name__} has no layer `normalize` (mean, std)")
    return mean.view(1, -1, 1, 1), std.view(1, -1, 1, 1)


def _double(x: Tensor) -> Tensor:
    return interpolate(x, scale_factor=2.0)
