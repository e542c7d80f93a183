"""Looking at what modules of a network take and put out in a forward pass."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from bench.device import as_input

See = Callable[[str, Tensor], Tensor | None]
"""see(module's name, tensor) -> what is handed on in the tensor's place; None: the tensor itself."""


@contextmanager
def watching(model: nn.Module, names: Collection[str], see: See, *, inputs: bool = False) -> Iterator[None]:
    """While it lasts, every pass shows what the named modules put out or, with `inputs`, what they take."""
    hooks = []
    for name in names:
        module = model.get_submodule(name)
        if inputs:
            hooks.append(module.register_forward_pre_hook(lambda _m, args, name=name: see(name, args[0])))
        else:
            hooks.append(module.register_forward_hook(lambda _m, _args, y, name=name: see(name, y)))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


@torch.no_grad()
def show(model: nn.Module, images: Tensor, device: torch.device) -> Tensor:
    """Logits [B, C] of uint8 images, in the model's precision."""
    return model(as_input(images.to(device), next(model.parameters()).dtype))


def by_channel(y: Tensor) -> Tensor:
    """[B, C, H, W] or [..., C] -> float64 [positions, C], one row a position of an image. Never the same memory."""
    rows = (y if y.ndim < 4 else y.movedim(1, -1)).flatten(0, -2)
    return rows.to(torch.float64, copy=True)
