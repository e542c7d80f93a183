"""Checks of what metrics are given: the message names the argument, what it is, and what would be right."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def numbers(values: ArrayLike, name: str) -> NDArray[np.float64]:
    """float64 [N], contiguous, N >= 1, without NaN (infinities have an order and are kept).

    Raises:
        ValueError: anything else.
    """
    array = np.ascontiguousarray(values, dtype=np.float64)
    if array.ndim != 1 or array.size == 0:
        raise ValueError(f"{name} must be one axis of at least one number, got shape {np.shape(values)}")
    nan = int(np.count_nonzero(np.isnan(array)))
    if nan:
        raise ValueError(f"{name} holds {nan} NaN of {array.size}; a metric of NaN means nothing")
    return array


def binary(values: ArrayLike, name: str, ndim: int = 1) -> NDArray[np.uint8]:
    """0/1 as uint8, contiguous, no empty axis, from booleans or numbers that are all 0 or 1.

    Raises:
        ValueError: another number of axes, an empty axis, or another number than 0 and 1.
    """
    array = np.asarray(values)
    if array.ndim != ndim or array.size == 0:
        raise ValueError(f"{name} must have {ndim} axes, none of them empty, got shape {array.shape}")
    if array.dtype != np.bool_:
        outside = (array != 0) & (array != 1)
        if outside.any():
            raise ValueError(f"{name} must hold 0 and 1 only, got {array[outside].ravel()[0]!r}")
    return np.ascontiguousarray(array, dtype=np.bool_).view(np.uint8)


def same_shape(first: np.ndarray, second: np.ndarray, names: str) -> None:
    """Raises ValueError, with `names` ("a and b"), where two arrays differ in shape."""
    if first.shape != second.shape:
        raise ValueError(f"{names} must have one shape, got {first.shape} and {second.shape}")


def check_resampling(level: float, draws: int) -> None:
    """Raises ValueError where the level of an interval lies outside of (0, 1) or nothing is to be drawn."""
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1, got {level}")
    if draws < 1:
        raise ValueError(f"draws must be at least 1, got {draws}")
