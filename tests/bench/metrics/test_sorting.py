import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.metrics.sorting import argsort_keys, order_key, sort_keys


def keys_of(values):
    return np.array([order_key(bits) for bits in np.asarray(values, dtype=np.float64).view(np.uint64)], dtype=np.uint64)


@given(st.lists(st.floats(allow_nan=False), min_size=2, max_size=30))
@settings(max_examples=60)
def test_keys_have_the_order_of_the_numbers(values):
    keys = keys_of(values)
    for x, a in zip(values, keys, strict=True):
        for y, b in zip(values, keys, strict=True):
            assert (x < y) == (a < b)
            assert (x == y) == (a == b)  # minus zero is zero


@pytest.mark.parametrize(
    "values",
    [
        np.random.default_rng(0).standard_normal(5000),
        np.random.default_rng(0).standard_normal(5000).astype(np.float32),
        1 + np.random.default_rng(0).permutation(5000) * 2.0**-50,  # equal in the upper half: all passes are needed
        np.random.default_rng(0).integers(0, 5, 5000),  # equal keys keep their order
        np.sort(np.random.default_rng(0).standard_normal(5000))[::-1],
        np.full(100, 7.0),
        np.array([3.0]),
        np.array([]),
    ],
    ids=["normal", "float32", "last digits", "ties", "backwards", "constant", "one", "none"],
)
def test_sorts_and_argsorts_like_numpy(values):
    values = values.astype(np.float64)
    keys = keys_of(values)
    assert np.array_equal(sort_keys(keys.copy()), np.sort(keys))
    sorted_, index = argsort_keys(keys.copy())
    assert np.array_equal(sorted_, np.sort(keys))
    assert np.array_equal(index, np.argsort(keys, kind="stable"))
