"""What the layers of a network put out, before any norm or nonlinearity."""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor, nn

from bench.device import as_input


@torch.no_grad()
def preactivations(
    model: nn.Module, images: Tensor, layers: Collection[str], device: torch.device
) -> dict[str, Tensor]:
    """Outputs of convolutions and linear layers, one row an output channel.

    Args:
        model: in eval mode.
        images: uint8 [N, C, H, W].
        layers: names of the modules.
        device: where the model lies.

    Returns:
        Name -> float64 [channels, N * positions], columns in the order of the images.
    """
    found: dict[str, list[Tensor]] = {name: [] for name in layers}

    def keep(name: str, y: Tensor) -> None:
        channels_last = y if y.ndim < 4 else y.movedim(1, -1)
        found[name].append(channels_last.flatten(0, -2).T.double())

    hooks = [
        model.get_submodule(name).register_forward_hook(lambda _module, _args, y, name=name: keep(name, y))
        for name in layers
    ]
    try:
        for batch in images.split(100):
            model(as_input(batch.to(device)).to(next(model.parameters()).dtype))
    finally:
        for hook in hooks:
            hook.remove()
    return {name: torch.cat(parts, 1) for name, parts in found.items()}
