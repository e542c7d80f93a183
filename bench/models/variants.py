"""The standard networks as papers start them: with another initialisation, and without normalised inputs.

How a network is initialised decides what averaging two of them can show, so a paper's claim is first looked for under
the paper's own. These are architectures of their own, beside the standard ones and made of them: what those are called
in the zoo depends on their code, which stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

from torch import nn

from bench.data.images.kind import ImageProblem
from bench.models import mlp as mlps
from bench.models import resnet, vgg
from bench.models.layers import Classifier, Norm
from bench.types import Count

Init = Literal["kaiming", "lecun", "torch"]
"""`kaiming`: as the standard network, normal by He et al. 2015 (arXiv:1502.01852). `lecun`: variance 1 / fan-in of a
normal cut at two deviations, and no biases, the default of Flax and so that of JAX papers, Git Re-Basin among them.
`torch`: PyTorch's default, uniform with variance 1 / (3 fan-in), biases too."""

TRUNCATED = 0.87962566103423978
"""Standard deviation of a standard normal that is cut at -2 and 2."""


def mlp_variant(
    problem: ImageProblem,
    *,
    width: Count = 256,
    depth: Count = 3,
    norm: mlps.Norm = "none",
    init: Init = "kaiming",
    normalize: bool = True,
) -> Classifier:
    """`mlp` by another initialisation, or on pixels in [0, 1] as they are (`normalize = false`)."""
    return initialised(mlps.mlp(inputs(problem, normalize), width=width, depth=depth, norm=norm), init)


def resnet8_variant(
    problem: ImageProblem, *, width: Count = 16, norm: Norm = "batch", init: Init = "kaiming", normalize: bool = True
) -> Classifier:
    """`resnet8` by another initialisation, or on pixels in [0, 1] as they are (`normalize = false`)."""
    return _varied(resnet.resnet8, problem, width, norm, init, normalize)


def resnet14_variant(
    problem: ImageProblem, *, width: Count = 16, norm: Norm = "batch", init: Init = "kaiming", normalize: bool = True
) -> Classifier:
    """`resnet14` by another initialisation, or on pixels in [0, 1] as they are (`normalize = false`)."""
    return _varied(resnet.resnet14, problem, width, norm, init, normalize)


def resnet20_variant(
    problem: ImageProblem, *, width: Count = 16, norm: Norm = "batch", init: Init = "kaiming", normalize: bool = True
) -> Classifier:
    """`resnet20` by another initialisation, or on pixels in [0, 1] as they are (`normalize = false`)."""
    return _varied(resnet.resnet20, problem, width, norm, init, normalize)


def vgg_variant(
    problem: ImageProblem, *, width: Count = 32, norm: Norm = "batch", init: Init = "kaiming", normalize: bool = True
) -> Classifier:
    """`vgg` by another initialisation, or on pixels in [0, 1] as they are (`normalize = false`)."""
    return _varied(vgg.vgg, problem, width, norm, init, normalize)


def inputs(problem: ImageProblem, normalize: bool) -> ImageProblem:
    """The problem as it is, or with a normaliser of mean 0 and deviation 1, which leaves pixels in [0, 1]."""
    if normalize:
        return problem
    channels = problem.shape[0]
    return replace(problem, mean=(0.0,) * channels, std=(1.0,) * channels)


def initialised(model: Classifier, init: Init) -> Classifier:
    """The model with its linear layers and convolutions, the head among them, drawn anew; norms stay as they are."""
    if init == "kaiming":
        return model
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            module.reset_parameters()
            if init == "lecun":
                deviation = module.weight[0].numel() ** -0.5 / TRUNCATED
                nn.init.trunc_normal_(module.weight, std=deviation, a=-2 * deviation, b=2 * deviation)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
    return model


def _varied(
    make: Callable[..., Classifier], problem: ImageProblem, width: int, norm: Norm, init: Init, normalize: bool
) -> Classifier:
    return initialised(make(inputs(problem, normalize), width=width, norm=norm), init)
