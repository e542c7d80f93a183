"""A model that may be queried and not opened."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn

_SEALED: dict[int, Any] = {}
_NUMBERS = itertools.count()


class BlackBox:
    """A model one may query and not open: `box(x)` gives logits [B, C] without gradient.

    The model lives in a table of this module, not in the object, so that walking the object's graph
    does not reach the weights. Queries are counted by the meter like those of any given model.
    """

    def __init__(self, model: nn.Module) -> None:
        self._number = next(_NUMBERS)
        _SEALED[self._number] = model

    def __call__(self, x: Tensor) -> Tensor:
        import torch

        with torch.no_grad():
            return _SEALED[self._number](x)

    def __deepcopy__(self, memo: dict[int, Any]) -> BlackBox:
        """A box cannot be copied: copies would be queries that nobody counts."""
        return self

    def __del__(self) -> None:
        _SEALED.pop(self._number, None)


def sealed(box: BlackBox) -> nn.Module:
    """The model inside a black box, for the meter; a method that calls this fails its conformance test."""
    return _SEALED[box._number]
