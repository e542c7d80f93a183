"""Gradients of the losses of single rows, for whoever squares them or multiplies them with each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from bench.device import as_input

GRADIENT_NUMBERS = 2**24
"""Numbers that the gradients of rows taken at once may hold (64 MB in float32)."""

Loss = Callable[[Tensor, Tensor], Tensor]
"""loss(z, target) -> scalar, of the logits [1, C] of one row."""


def row_gradients(
    model: nn.Module, inputs: Tensor, labels: Tensor, device: torch.device, *, smoothing: float = 0.0
) -> Iterator[dict[str, Tensor]]:
    """The gradient of each row's cross-entropy by itself, some rows at a time, in eval mode.

    Args:
        model: logits [B, C]; left as it was, but for its mode. Where it `computes_alone` rows are taken one by one.
        inputs: [N, ...] of any kind, as stored; of none there is nothing to iterate over.
        labels: int64 [N].
        device: where the model lies.
        smoothing: of the labels.

    Yields:
        Parameter name -> [B, ...], B rows in order, of as many as 64 MB hold.
    """
    model.eval()
    weights = {name: p.detach() for name, p in model.named_parameters()}
    alone = computes_alone(model)
    rows = 1 if alone else at_once(weights)

    def loss(z: Tensor, y: Tensor) -> Tensor:
        return nn.functional.cross_entropy(z, y[None], label_smoothing=smoothing)

    for start in range(0, len(inputs), rows):
        x = as_input(inputs[start : start + rows].to(device))
        y = labels[start : start + rows].to(device)
        yield _of_one(model, weights, x, y[0], loss) if alone else of_many(model, weights, x, y, loss)


def computes_alone(model: nn.Module) -> bool:
    """Whether vmap cannot trace a model: its attribute `data_dependent_shapes` is true (texts of real tokens only)."""
    return bool(getattr(model, "data_dependent_shapes", False))


def at_once(weights: Mapping[str, Tensor]) -> int:
    """As many rows as `GRADIENT_NUMBERS` allow, at least one."""
    return max(1, GRADIENT_NUMBERS // sum(w.numel() for w in weights.values()))


def of_many(
    model: nn.Module, weights: dict[str, Tensor], x: Tensor, targets: Tensor, loss: Loss, *, shared: bool = False
) -> dict[str, Tensor]:
    """The gradient of each row's loss by vmap.

    Args:
        model: in eval mode; it does not compute alone.
        weights: its parameters, detached.
        x: inputs [B, ...].
        targets: one a row [B, ...] or, with `shared`, one for all.
        loss: of a row's logits and its target.

    Returns:
        Parameter name -> [B, ...].
    """
    buffers = dict(model.named_buffers())

    def of_row(weights: dict[str, Tensor], row: Tensor, target: Tensor) -> Tensor:
        return loss(functional_call(model, (weights, buffers), (row[None],)), target)

    # The fused attention kernels have no rule for batches of gradients; plain matrix products have.
    with sdpa_kernel(SDPBackend.MATH):
        found: dict[str, Tensor] = vmap(grad(of_row), in_dims=(None, 0, None if shared else 0))(weights, x, targets)
    return found


@torch.enable_grad()
def _of_one(model: nn.Module, weights: dict[str, Tensor], x: Tensor, target: Tensor, loss: Loss) -> dict[str, Tensor]:
    trained = {name: w.clone().requires_grad_() for name, w in weights.items()}
    value = loss(functional_call(model, trained, (x,)), target)
    found = torch.autograd.grad(value, list(trained.values()), allow_unused=True, materialize_grads=True)
    return {name: g[None] for name, g in zip(trained, found, strict=True)}
