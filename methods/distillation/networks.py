"""More networks of a student's kind: untrained ones of the same or another width, for methods that return several."""

from __future__ import annotations

from torch import nn

from bench import Skip
from bench.data.images.kind import ImageProblem
from bench.models.layers import Normalize
from bench.models.mlp import MLP, NORMS
from bench.models.resnet import ResNet
from bench.models.transformer import Layer, ViT
from bench.models.vgg import VGG


def another(
    model: nn.Module, shape: tuple[int, ...], *, width: int | None = None, outputs: int | None = None
) -> nn.Module:
    """An untrained network like `model`, drawn from torch's global generator.

    Args:
        model: a ResNet, VGG, MLP or ViT of ours on images.
        shape: of an image, (channels, height, width).
        width: in place of its own (`width_of`).
        outputs: of the head, in place of its own.

    Raises:
        Skip: it is of another kind, or cannot have this width.
    """
    problem = _problem(model, shape, outputs)
    width = width_of(model) if width is None else width
    if isinstance(model, ResNet):
        norm = "batch" if isinstance(model.norm, nn.BatchNorm2d) else "layer"
        return ResNet(problem, blocks=len(model.stages[0]), width=width, norm=norm)  # type: ignore[arg-type]
    if isinstance(model, VGG):
        return VGG(problem, width=width, norm="batch" if isinstance(model.norms[0], nn.BatchNorm2d) else "layer")
    if isinstance(model, MLP):
        plain = next(name for name, kind in NORMS.items() if type(model.norms[0]) is kind)
        return MLP(problem, width=width, depth=len(model.hidden), norm=plain)
    assert isinstance(model, ViT)
    layers, first = model.encoder.layers, model.encoder.layers[0]
    assert isinstance(first, Layer)
    patch, heads = model.embed.kernel_size[0], first.attention.heads
    if width % heads:
        raise Skip(f"needs a transformer of width {width}, which its {heads} heads do not divide")
    return ViT(problem, patch=patch, width=width, depth=len(layers), heads=heads)


def width_of(model: nn.Module) -> int:
    """The option `width` that a standard network was built with. Raises Skip for a network of another kind."""
    if isinstance(model, ResNet):
        return model.stem.out_channels
    if isinstance(model, VGG):
        first = model.convs[0]
        assert isinstance(first, nn.Conv2d)
        return first.out_channels
    if isinstance(model, MLP | ViT):
        return model.head.in_features
    raise Skip(f"needs further networks like the student, and knows none like {type(model).__name__}")


def _problem(model: nn.Module, shape: tuple[int, ...], outputs: int | None) -> ImageProblem:
    normalize = getattr(model, "normalize", None)
    if not isinstance(normalize, Normalize) or len(shape) != 3:
        raise Skip(f"needs further networks like the student, and knows none like {type(model).__name__} of images")
    head = model.get_submodule("head")
    classes = int(head.out_features) if outputs is None else outputs  # type: ignore[arg-type]
    mean, std = (tuple(statistic.flatten().tolist()) for statistic in (normalize.mean, normalize.std))
    return ImageProblem(classes, (shape[0], shape[1], shape[2]), mean, std)
