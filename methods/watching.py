"""Looking at what modules of a network take and put out while it runs; it is called as always, so that calls count."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import TypeVar

import torch
from torch import Tensor, nn

from bench import Skip
from bench.device import as_input

K = TypeVar("K")


@contextmanager
def watching(
    modules: Mapping[K, nn.Module], see: Callable[[K, Tensor], Tensor | None], *, inputs: bool = False
) -> Iterator[None]:
    """While it lasts, every pass shows what the modules put out or, with `inputs`, what they take.

    Args:
        modules: by any name.
        see: see(name, tensor) -> what is handed on in the tensor's place; None: the tensor itself.
    """
    hooks = []
    for name, module in modules.items():
        if inputs:
            hooks.append(module.register_forward_pre_hook(lambda _m, args, name=name: see(name, args[0])))
        else:
            hooks.append(module.register_forward_hook(lambda _m, _args, y, name=name: see(name, y)))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def named(model: nn.Module, names: Iterable[str]) -> dict[str, nn.Module]:
    """Name -> module of a network."""
    return {name: model.get_submodule(name) for name in names}


class Latest:
    """What some layers put out (with `inputs`: took) in the latest forward pass; a context manager."""

    def __init__(self, layers: Iterable[nn.Module], *, inputs: bool = False) -> None:
        self.latest: dict[int, Tensor] = {}
        """Position of a layer -> its output or input, with its graph."""
        self._watch = partial(watching, dict(enumerate(layers)), self.latest.__setitem__, inputs=inputs)

    def __enter__(self) -> Latest:
        self._watching = self._watch()
        self._watching.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._watching.__exit__(None, None, None)
        self.latest.clear()


def penultimate(network: nn.Module) -> Latest:
    """A context in which `.latest[0]` is the latest input [B, d] of the network's classifier.

    Raises:
        Skip: the network has no layer named `head`.
    """
    if not isinstance(head := getattr(network, "head", None), nn.Module):
        raise Skip(f"needs the features before the classifier, and {type(network).__name__} has no layer named 'head'")
    return Latest([head], inputs=True)


@torch.no_grad()
def show(model: nn.Module, images: Tensor, device: torch.device) -> Tensor:
    """Logits [B, C] of uint8 images, in the model's precision."""
    return model(as_input(images.to(device), next(model.parameters()).dtype))


def by_channel(y: Tensor) -> Tensor:
    """[B, C, H, W] or [..., C] -> float64 [positions, C], one row a position of an image. Never the same memory."""
    rows = (y if y.ndim < 4 else y.movedim(1, -1)).flatten(0, -2)
    return rows.to(torch.float64, copy=True)
