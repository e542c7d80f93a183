"""Pickles read as data: NumPy arrays in plain containers, and nothing that could run code."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np

from bench.errors import DataError

_RECONSTRUCT = np.empty(0).__reduce__()[0]
# Under the names of NumPy 1 (also what Python 2 wrote) and of NumPy 2.
_ALLOWED = {
    ("numpy.core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy._core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}


class _ArraysOnly(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise DataError(f"it asks for {module}.{name}, which could run code; only NumPy arrays are read")
        return _ALLOWED[module, name]


def load_arrays(path: Path) -> Any:
    """The content of a pickle of NumPy arrays, numbers, strings and containers; Python 2's strings come as bytes.

    Raises:
        DataError: the pickle names anything else (a function that would be called, for instance), or is torn.
    """
    try:
        with path.open("rb") as file:
            return _ArraysOnly(file, encoding="bytes").load()
    except DataError as error:
        raise DataError(f"{path} is refused: {error}") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
    except Exception as error:  # a torn or altered pickle fails in any way it likes
        reason = f"{type(error).__name__}: {error}"
        raise DataError(f"{path} is not a whole pickle, half-downloaded or altered ({reason})") from error
