"""A small real data set at the size of one second of training, and specs on it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from sklearn.datasets import load_digits

from bench.data.spec import Dataset, DataSpec, Images, Split
from bench.models.spec import ModelSpec
from bench.schema.recipe import Recipe


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def digits() -> Dataset:
    raw = load_digits()
    images = torch.tensor(raw.images * 255 / 16).to(torch.uint8)[:, None]
    labels = torch.tensor(raw.target)
    parts = [Split(images[rows], labels[rows]) for rows in (slice(600), slice(600, 900), slice(900, None))]
    names = tuple("0123456789")
    return Images("digits", "digits", "0123456789abcdef", names, *parts, mean=(0.3,), std=(0.37,))


@pytest.fixture
def make_spec(digits: Dataset) -> Callable[..., ModelSpec]:
    def spec(**changes: Any) -> ModelSpec:
        base = {
            "arch": "mlp",
            "options": {"width": 16, "depth": 1},
            "num_classes": 10,
            "data": DataSpec(name="digits"),
            "fingerprint": digits.fingerprint,
            "recipe": Recipe(epochs=1, batch_size=64, peak_lr=0.05, augment="none"),
            "seed": 0,
        }
        return ModelSpec.model_validate(base | changes)

    return spec
