"""A model that may be queried and not opened."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from bench.task.handle import Handle, behind

if TYPE_CHECKING:
    from torch import Tensor, nn


class BlackBox:
    """A model one may query and not open: `box(x)` gives logits [B, C] without gradient.

    The weights are not in the method's process. Queries, those of copies as well, are counted by the meter like those
    of any given model.
    """

    def __init__(self, model: nn.Module) -> None:
        self._model = Handle(_Sealed(model))

    def __call__(self, x: Tensor) -> Tensor:
        logits: Tensor = self._model.ask("logits", x)
        return logits


@dataclass(frozen=True)
class _Sealed:
    """The model inside a black box."""

    ANSWERS: ClassVar = ("logits",)

    model: nn.Module

    def logits(self, x: Tensor) -> Tensor:
        """Of inputs on any device, on that device."""
        import torch

        device = next((p.device for p in self.model.parameters()), x.device)
        with torch.no_grad():
            z: Tensor = self.model(x.to(device))
        return z.to(x.device)


def sealed(box: BlackBox) -> nn.Module | None:
    """The model inside a black box, for the judge; None in a method's process, where there is none."""
    found: _Sealed | None = behind(box._model)
    return None if found is None else found.model
