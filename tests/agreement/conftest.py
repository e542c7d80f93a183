"""Tiny inputs that the authors' code was run on, and the numbers that it gave for them."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor


@pytest.fixture
def wave() -> Callable[..., Tensor]:
    """`wave(seed, *shape)`: values in [-1, 1] without a pattern, by a formula that needs no random generator."""

    def make(seed: int, *shape: int) -> Tensor:
        i = torch.arange(1, math.prod(shape) + 1, dtype=torch.float64)
        return torch.sin(i * i * 0.73 * (seed + 1) + 1.7 * i).reshape(shape)

    return make


@pytest.fixture
def given() -> Callable[[str], Tensor]:
    """`given("fusion/repair")`: float64, of one dimension, to nine digits."""

    def read(name: str) -> Tensor:
        file, _, entry = name.partition("/")
        table = json.loads((Path(__file__).parent / f"{file}.json").read_text())
        return torch.tensor(table[entry], dtype=torch.float64)

    return read
