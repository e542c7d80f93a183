"""Where a row looks for its hyperparameters, as a suite says it: `search = { lr = { low = 0.01, high = 1.0 } }`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import model_validator

from bench.schema.settings import Settings


class Range(Settings):
    """`{ low = 0.1, high = 2.0 }`: a number between two, ends included; whole if both ends are."""

    low: int | float
    high: int | float
    log: bool = False
    """Drawn by its logarithm: for what spans orders of magnitude."""

    @model_validator(mode="after")
    def _ordered(self) -> Range:
        if not self.low < self.high:
            raise ValueError(f"low must be below high, got {self.low} and {self.high}")
        if self.log and self.low <= 0:
            raise ValueError(f"log needs a low above zero, got {self.low}")
        return self

    @property
    def ends(self) -> tuple[Any, ...]:
        """Both, for checking."""
        return (self.low, self.high)

    def __contains__(self, value: object) -> bool:
        return isinstance(value, int | float) and not isinstance(value, bool) and self.low <= value <= self.high


Choices = tuple[Any, ...]
"""`[10, 20, 50]`: one of these."""
Search = Mapping[str, Range | Choices]
"""Hyperparameter -> where it is looked for."""
