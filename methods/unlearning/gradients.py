"""Gradients of the losses of single rows, for methods that square them or multiply them with each other."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from bench.device import as_input
from bench.task.statistics import GRADIENT_NUMBERS


def row_gradients(
    model: nn.Module, images: Tensor, labels: Tensor, device: torch.device, *, smoothing: float = 0.0
) -> Iterator[dict[str, Tensor]]:
    """The gradient of each row's cross-entropy by itself, some rows at a time, in eval mode.

    Args:
        model: logits [B, C]; left as it was, but for its mode. Where its attribute `data_dependent_shapes` is true
            (texts of real tokens only), which vmap cannot trace, rows are taken one by one.
        images: uint8 [N, C, H, W]; of none there is nothing to iterate over.
        labels: int64 [N].
        device: where the model lies.
        smoothing: of the labels.

    Yields:
        Parameter name -> [B, ...], B rows in order, of as many as 64 MB hold.
    """
    model.eval()
    weights = {name: p.detach() for name, p in model.named_parameters()}
    alone = getattr(model, "data_dependent_shapes", False)
    rows = 1 if alone else max(1, GRADIENT_NUMBERS // sum(w.numel() for w in weights.values()))
    for start in range(0, len(images), rows):
        x = as_input(images[start : start + rows].to(device))
        y = labels[start : start + rows].to(device)
        yield (_of_one if alone else _of_many)(model, weights, x, y, smoothing)


def _of_many(model: nn.Module, weights: dict[str, Tensor], x: Tensor, y: Tensor, smoothing: float) -> dict[str, Tensor]:
    buffers = dict(model.named_buffers())

    def loss(weights: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        z = functional_call(model, (weights, buffers), (x[None],))
        return nn.functional.cross_entropy(z, y[None], label_smoothing=smoothing)

    # The fused attention kernels have no rule for batches of gradients; plain matrix products have.
    with sdpa_kernel(SDPBackend.MATH):
        found: dict[str, Tensor] = vmap(grad(loss), in_dims=(None, 0, 0))(weights, x, y)
    return found


@torch.enable_grad()
def _of_one(model: nn.Module, weights: dict[str, Tensor], x: Tensor, y: Tensor, smoothing: float) -> dict[str, Tensor]:
    trained = {name: w.clone().requires_grad_() for name, w in weights.items()}
    value = nn.functional.cross_entropy(functional_call(model, trained, (x,)), y, label_smoothing=smoothing)
    found = torch.autograd.grad(value, list(trained.values()), allow_unused=True, materialize_grads=True)
    return {name: g[None] for name, g in zip(trained, found, strict=True)}
