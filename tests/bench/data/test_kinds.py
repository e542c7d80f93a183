"""Kinds of data sets: told apart by what they store, each with its own way to a model."""

from __future__ import annotations

import importlib
from dataclasses import is_dataclass
from typing import get_args

import numpy as np
import pytest
import torch

from bench.data import load, load_like, verify
from bench.data.catalogue import SOURCES
from bench.data.parts import Parts, check
from bench.data.spec import Dataset, DataSpec, Images, Table, Texts
from bench.device import as_input, kind_of
from bench.errors import BenchError, DataError
from bench.models.augment import augment
from bench.types import KINDS, STORED

ROWS = {
    "images": torch.randint(0, 256, (3, 1, 4, 4), dtype=torch.uint8),
    "texts": torch.tensor([[2, 4095, 0], [1, 0, 0], [7, 8, 9]]),
    "tables": torch.randn(3, 5),
}


def test_each_kind_has_a_folder_a_dataclass_and_data_sets():
    classes = {}
    for kind in KINDS:
        module = importlib.import_module(f"bench.data.{kind}.kind")
        (classes[kind],) = (c for c in get_args(Dataset) if c.__module__ == module.__name__)
        assert is_dataclass(classes[kind])
        assert classes[kind].kind == kind
        assert any(source.kind == kind for source in SOURCES.values())
    assert classes == {"images": Images, "texts": Texts, "tables": Table}
    assert len(set(STORED.values())) == len(KINDS)  # by which they are told apart


@pytest.mark.parametrize("kind", KINDS)
def test_rows_say_of_what_kind_they_are(kind):
    assert kind_of(ROWS[kind]) == kind


@pytest.mark.parametrize("dtype", [torch.float64, torch.int32, torch.bool])
def test_what_no_kind_stores_is_refused(dtype):
    with pytest.raises(BenchError, match="stored inputs of no kind; the kinds store images uint8, texts int64"):
        as_input(torch.zeros(2, 3, dtype=dtype))


def test_a_model_is_given_pixels_as_floats_and_tokens_and_columns_as_they_are():
    assert torch.equal(as_input(ROWS["images"]), ROWS["images"].float() / 255)
    assert as_input(ROWS["images"], torch.float64).dtype == torch.float64
    for dtype in (None, torch.float64):
        assert torch.equal(as_input(ROWS["texts"], dtype), ROWS["texts"])
    assert torch.equal(as_input(ROWS["tables"]), ROWS["tables"])
    assert torch.equal(as_input(ROWS["tables"], torch.float64), ROWS["tables"].double())


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_model_is_given_may_be_changed(kind):
    before = ROWS[kind].clone()
    as_input(ROWS[kind]).add_(1)
    assert torch.equal(ROWS[kind], before)


@pytest.mark.parametrize("kind", ["texts", "tables"])
def test_only_images_are_moved(kind):
    rng = torch.Generator()
    assert augment(ROWS[kind], "none", rng) is ROWS[kind]
    with pytest.raises(
        BenchError, match=r"augment = 'shift' moves pixels of images, and these inputs are \[.*\]: set augment"
    ):
        augment(ROWS[kind], "shift", rng)


def test_a_proxy_is_one_of_images():
    spec = DataSpec(name="grammar6", train=60, validation=6, test=6)
    with pytest.raises(DataError, match="only a data set of images has a proxy; grammar6 holds texts"):
        load_like("digits", load(spec))
    with pytest.raises(DataError, match="a proxy is a data set of images; breast_cancer holds tables"):
        load_like("breast_cancer", load(DataSpec(name="digits")))


# --- tables ---


def test_a_table_is_standardised_by_its_training_split():
    data = load(DataSpec(name="breast_cancer", train=300, validation=50))
    assert isinstance(data, Table)
    assert (data.shape, data.classes) == ((30,), ("malignant", "benign"))
    assert (len(data.train), len(data.validation), len(data.test)) == (300, 50, 113)
    assert data.train.inputs.dtype == torch.float32
    assert data.train.inputs.mean(0).abs().max() < 1e-5
    assert (data.train.inputs.std(0, correction=0) - 1).abs().max() < 1e-5
    assert data.test.inputs.mean(0).abs().max() > 1e-3  # by the moments of the training split, not by its own
    fewer = load(DataSpec(name="breast_cancer", train=100, validation=50))
    scale = fewer.test.inputs.double().std(0) / data.test.inputs.double().std(0)
    assert (scale - 1).abs().max() > 1e-3


def test_its_fingerprint_is_of_the_numbers_as_they_were_measured():
    holding = verify("breast_cancer")
    assert (holding.variant, holding.fingerprint) == ("breast_cancer", "9fdb6d96d190cf5c")
    assert load(DataSpec(name="breast_cancer", train=40)).fingerprint == holding.fingerprint


def test_a_constant_column_is_zero():
    from bench.data.tables.kind import dataset

    columns = np.array([[1, 5], [2, 5], [3, 5], [4, 6]], dtype=np.float32)
    labels = np.array([0, 1, 0, 1])
    told = {"name": "x", "variant": "x", "fingerprint": "0", "classes": ("a", "b")}
    rows = {"train": np.arange(3), "validation": np.array([3]), "test": np.arange(4)}
    made = dataset(told, Parts(columns, labels, columns, labels), rows, (2,))
    assert made.train.inputs[:, 1].tolist() == [0, 0, 0]
    assert made.test.inputs[3, 1] == 1


def test_a_table_has_no_size_and_only_finite_numbers():
    with pytest.raises(
        DataError, match="size = 8: breast_cancer is a table of 30 columns, which have no size in pixels"
    ):
        load(DataSpec(name="breast_cancer", size=8))
    columns, labels = np.full((2, 30), np.nan, dtype=np.float32), np.array([0, 1])
    with pytest.raises(DataError, match="here: the training part of breast_cancer has numbers that are not finite"):
        check(Parts(columns, labels, columns, labels), SOURCES["breast_cancer"], "here")
