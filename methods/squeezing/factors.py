"""Layers as matrices, and as products of two thinner ones."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bench.models.resnet import Projection

Layer = nn.Linear | nn.Conv2d | nn.Embedding


def layers(model: nn.Module) -> dict[str, Layer]:
    """Name -> layer that may be compressed: linear layers, ungrouped convolutions, embeddings.

    What is not in here (biases, norms, positions, grouped convolutions) keeps its shape and counts as it is.
    """
    # The class itself: a subclass may be read by its owner in other ways than by a call (nn.MultiheadAttention).
    kinds = (nn.Linear, nn.Embedding, nn.Conv2d, Projection)
    return {n: m for n, m in model.named_modules() if type(m) in kinds and getattr(m, "groups", 1) == 1}


def as_matrix(layer: Layer) -> Tensor:
    """Weight as [out, in], a kernel as [out, in * k * k], an embedding as [entries, width]; a view."""
    return layer.weight.flatten(1)


def squared_norm(product: nn.Module) -> Tensor:
    """||U V||_F^2 of what `factorise` gives, by Gram matrices of the size of the rank; in full precision."""
    layers = list(product.children())
    first, second = (as_matrix(layer) for layer in layers)  # type: ignore[arg-type]
    with torch.autocast(first.device.type, enabled=False):
        if isinstance(layers[0], nn.Embedding):  # [entries, r] and [width, r]
            return ((first.T @ first) * (second.T @ second)).sum()
        return ((first @ first.T) * (second.T @ second)).sum()


@torch.no_grad()
def factorise(layer: Layer, rank: int) -> nn.Sequential:
    """The nearest layer of a rank (truncated SVD): two thinner layers, called as the one layer is.

    Its singular values' roots are in both factors (spectral start).
    Linear [out, in] becomes in -> rank -> out; a convolution becomes one of the same kernel, stride and padding to
    `rank` channels, and a 1x1 one; an embedding becomes one of width `rank`, and a linear layer. The second of the two
    has the bias.

    Args:
        layer: left as it is.
        rank: from 1 to the smaller side of `as_matrix`.
    """
    matrix = as_matrix(layer)
    u, s, v = torch.linalg.svd(matrix.double(), full_matrices=False)
    root = s[:rank].sqrt()
    left, right = u[:, :rank] * root, root[:, None] * v[:rank]
    first: Layer
    second: Layer
    bias = None if isinstance(layer, nn.Embedding) else layer.bias
    if isinstance(layer, nn.Embedding):
        first = nn.Embedding(layer.num_embeddings, rank, padding_idx=layer.padding_idx)
        second = nn.Linear(rank, layer.embedding_dim, bias=False)
        left, right = right.T, left
    elif isinstance(layer, nn.Conv2d):
        first = type(layer)(
            layer.in_channels,
            rank,
            layer.kernel_size,  # type: ignore[arg-type]
            layer.stride,  # type: ignore[arg-type]
            layer.padding,  # type: ignore[arg-type]
            layer.dilation,  # type: ignore[arg-type]
            bias=False,
            padding_mode=layer.padding_mode,
        )
        second = nn.Conv2d(rank, layer.out_channels, 1, bias=bias is not None)
    else:
        first = nn.Linear(layer.in_features, rank, bias=False)
        second = nn.Linear(rank, layer.out_features, bias=bias is not None)
    factored = nn.Sequential(first, second).to(matrix.device, matrix.dtype)
    first.weight.copy_(right.reshape(first.weight.shape))
    second.weight.copy_(left.reshape(second.weight.shape))
    if bias is not None:
        assert isinstance(second, nn.Linear | nn.Conv2d)
        second.bias.copy_(bias)  # type: ignore[union-attr]
    return factored


def replace(model: nn.Module, name: str, layer: nn.Module) -> None:
    """Put a layer where another one was, in place."""
    owner, _, entry = name.rpartition(".")
    setattr(model.get_submodule(owner), entry, layer)


def count(model: nn.Module) -> int:
    """How many parameters a network has."""
    return sum(p.numel() for p in model.parameters())
