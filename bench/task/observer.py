"""What the harness asks of whatever watched a method (a monitor's observations, the walk along a path)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from torch import Tensor


class Observer(Protocol):
    """Tells, after scoring, what a cell's record keeps of what it saw; {} for what it saw nothing of.

    A scenario hands its observers to the cell (`Situation.observers`). No two of a cell tell a thing of one name. One
    that scoring asks has two more methods, so that results can be scored again: `to_keep()` gives what it was told, in
    lists, tensors and networks, or None; `restore(kept)` tells it so again.
    """

    def curves(self) -> dict[str, list[tuple[float, float]]]:
        """Name -> (place, value) in order; the place is a share of the budget or of a way, in [0, 1]."""

    def pictures(self) -> dict[str, Tensor]:
        """Name -> images, uint8 [N, C, H, W]."""

    def costs(self, spent: Mapping[str, Any]) -> dict[str, float]:
        """Name -> a cost that the scenario declares; `spent` are the metered costs of the method."""
