"""A small pre-LayerNorm transformer encoder, and a vision transformer on top of it.

Encoder: Vaswani et al. 2017 (arXiv:1706.03762) with the norm before each branch (Xiong et al. 2020,
arXiv:2002.04745). Vision transformer: Dosovitskiy et al. 2021 (arXiv:2010.11929), with mean pooling in place of a
class token. Queries, keys and values have a linear layer each, so that a head is a block of rows of three
matrices and of columns of a fourth, and heads permute as blocks.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bench.data.images.kind import ImageProblem
from bench.errors import BenchError
from bench.models.layers import NORMALIZE_AXES, Classifier, Normalize
from bench.models.permutation import Axes, Axis, PermutationSpec, axes_of
from bench.types import Count

MLP_RATIO = 2
"""Hidden units of a feed-forward branch for each unit of the residual stream: small data want no more."""

POSITION_SCALE = 0.5
"""Standard deviation of the position embedding at the start. The customary 0.02 drowns in the patch embedding, so that
a short training of a small model sees little more than a bag of patches."""


class Attention(nn.Module):
    """Multi-head self-attention over tokens [B, N, width]."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q = nn.Linear(width, width)
        self.k = nn.Linear(width, width)
        self.v = nn.Linear(width, width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """[B, N, width] -> [B, N, width]."""
        q, k, v = (layer(x).unflatten(2, (self.heads, -1)).transpose(1, 2) for layer in (self.q, self.k, self.v))
        y = nn.functional.scaled_dot_product_attention(q, k, v)
        return self.out(y.transpose(1, 2).flatten(2))


class Layer(nn.Module):
    """x + attention(norm(x)), then x + feed-forward(norm(x))."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width)
        self.up = nn.Linear(width, MLP_RATIO * width)
        self.down = nn.Linear(MLP_RATIO * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """[B, N, width] -> [B, N, width]."""
        x = x + self.attention(self.norm1(x))
        return x + self.down(nn.functional.gelu(self.up(self.norm2(x))))


class Encoder(nn.Module):
    """`depth` layers and a last norm, over tokens [B, N, width]."""

    def __init__(self, *, width: int, depth: int, heads: int) -> None:
        super().__init__()
        if width % heads:
            raise BenchError(f"a transformer of width {width} cannot have {heads} heads; heads must divide the width")
        self.layers = nn.Sequential(*(Layer(width, heads) for _ in range(depth)))
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        """[B, N, width] -> [B, N, width]."""
        return self.norm(self.layers(x))

    def permutation_spec(self, stream: Axis, prefix: str = "") -> PermutationSpec:
        """Groups `heads{l}` and `ff{l}` of each layer; `stream` is the residual stream, which all layers share."""
        axes: Axes = {}
        order: list[str] = []
        writers: dict[str, tuple[str, ...]] = {}
        back: list[str] = []
        for path, layer in self.named_modules():
            if not isinstance(layer, Layer):
                continue
            name, number, attention = prefix + path, path.rpartition(".")[2], layer.attention
            heads = Axis(f"heads{number}", block=attention.q.out_features // attention.heads)
            hidden = Axis(f"ff{number}")
            axes |= axes_of(f"{name}.norm1", layer.norm1, stream) | axes_of(f"{name}.norm2", layer.norm2, stream)
            for projection in ("q", "k", "v"):
                axes |= axes_of(f"{name}.attention.{projection}", getattr(attention, projection), heads, stream)
            axes |= axes_of(f"{name}.attention.out", attention.out, stream, heads)
            axes |= axes_of(f"{name}.up", layer.up, hidden, stream)
            axes |= axes_of(f"{name}.down", layer.down, stream, hidden)
            order += [heads.group, hidden.group]
            writers[heads.group] = tuple(f"{name}.attention.{projection}" for projection in ("q", "k", "v"))
            writers[hidden.group] = (f"{name}.up",)
            back += [f"{name}.attention.out", f"{name}.down"]
        axes |= axes_of(f"{prefix}norm", self.norm, stream)
        return PermutationSpec(axes, tuple(order), writers | {stream.group: tuple(back)})


class ViT(Classifier):
    """Patches -> linear embedding plus learned positions -> encoder -> mean over patches -> linear head."""

    def __init__(self, problem: ImageProblem, *, patch: int, width: int, depth: int, heads: int) -> None:
        super().__init__()
        channels, height, side = problem.shape
        if height % patch or side % patch:
            raise BenchError(f"images of {height}x{side} pixels cannot be cut into patches of {patch}x{patch}")
        self.normalize = Normalize(problem.mean, problem.std)
        self.embed = nn.Conv2d(channels, width, patch, patch)
        self.position = nn.Parameter(POSITION_SCALE * torch.randn(1, (height // patch) * (side // patch), width))
        self.encoder = Encoder(width=width, depth=depth, heads=heads)
        self.head = nn.Linear(width, problem.num_classes)

    def features(self, x: Tensor) -> Tensor:
        """Images [B, C, H, W] in [0, 1] -> mean token [B, width]."""
        tokens = self.embed(self.normalize(x)).flatten(2).transpose(1, 2)
        return self.encoder(tokens + self.position).mean(1)

    def permutation_spec(self) -> PermutationSpec:
        """One group for the residual stream, and `heads{l}` and `ff{l}` of each layer."""
        stream = Axis("stream")
        inner = self.encoder.permutation_spec(stream, "encoder.")
        axes: Axes = dict(NORMALIZE_AXES)
        axes |= axes_of("embed", self.embed, stream) | {"position": (None, None, stream)}
        axes |= inner.axes | axes_of("head", self.head, None, stream)
        writers = inner.writers | {"stream": ("embed", *inner.writers["stream"])}
        return PermutationSpec(axes, ("stream", *inner.order), writers)


def vit(problem: ImageProblem, *, patch: Count = 4, width: Count = 64, depth: Count = 4, heads: Count = 4) -> ViT:
    """Vision transformer."""
    return ViT(problem, patch=patch, width=width, depth=depth, heads=heads)
