"""Rows of a data set with their labels, of whatever kind the data set is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Split:
    """`inputs` [N, ...] as the kind stores them (see `bench.types.STORED`) and `labels` int64 [N]."""

    inputs: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)
