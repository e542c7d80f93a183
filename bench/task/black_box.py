"""A model that may be queried and not opened."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.task.handle import Handle, behind

if TYPE_CHECKING:
    from torch import Tensor, nn


class BlackBox:
    """A model one may query and not open: `box(x)` gives logits [B, C] without gradient.

    Walking the object's graph does not reach the weights. Queries, those of copies as well, are counted by the meter
    like those of any given model.
    """

    def __init__(self, model: nn.Module) -> None:
        self._model = Handle(model)

    def __call__(self, x: Tensor) -> Tensor:
        import torch

        with torch.no_grad():
            return sealed(self)(x)


def sealed(box: BlackBox) -> nn.Module:
    """The model inside a black box, for the meter; a method that calls this fails its conformance test."""
    model: nn.Module = behind(box._model)
    return model
