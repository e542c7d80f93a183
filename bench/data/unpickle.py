"""Pickles read as data: NumPy arrays and numbers in plain containers, and nothing that could run code."""

from __future__ import annotations

import io
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np

from bench.errors import DataError

_RECONSTRUCT: Any = np.empty(0).__reduce_ex__(2)[0]
_SCALAR = np.float64(0).__reduce__()[0]
_FROM_BUFFER = np.empty(1).__reduce_ex__(5)[0]


def _empty(_kind: object, shape: object, kind: object) -> Any:
    """An array without entries, which the pickle then fills from bytes that it holds."""
    if shape != (0,):
        raise DataError(f"it asks for an array of shape {shape!r} without its content")
    return _RECONSTRUCT(np.ndarray, (0,), kind)


def _as_bytes(text: object, encoding: object = "latin1") -> bytes:
    """How protocols before 3 write bytes. Raises DataError where it is anything else."""
    if not isinstance(text, str) or encoding not in ("latin1", b"latin1"):
        raise DataError(f"it asks for text in {encoding!r}")
    return text.encode("latin1")


def _no_bytes(*content: object) -> bytes:
    """How protocols before 3 write bytes without content. Raises DataError where there is some."""
    if content:
        raise DataError("it asks for bytes made of something else")
    return b""


_HOMES = ("numpy.core", "numpy._core")
"""Of NumPy 1 (also what Python 2 wrote) and of NumPy 2."""
_ALLOWED = {
    **{(f"{home}.multiarray", "_reconstruct"): _empty for home in _HOMES},
    **{(f"{home}.multiarray", "scalar"): _SCALAR for home in _HOMES},
    **{(f"{home}.numeric", "_frombuffer"): _FROM_BUFFER for home in _HOMES},
    ("numpy", "ndarray"): "numpy.ndarray",  # a word for `_empty`, not the class: calling that would make room
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): _as_bytes,
    **{(home, "bytes"): _no_bytes for home in ("__builtin__", "builtins")},
    ("collections", "OrderedDict"): OrderedDict,
}
"""All that pickles of arrays name, whatever their protocol."""


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
        content = io.BytesIO(path.read_bytes())  # of which no more can be asked for than there is
        return _ArraysOnly(content, encoding="bytes").load()
    except DataError as error:
        raise DataError(f"{path} is refused: {error}") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
    except Exception as error:  # a torn or altered pickle fails in any way it likes
        reason = f"{type(error).__name__}: {error}"
        raise DataError(f"{path} is not a whole pickle, half-downloaded or altered ({reason})") from error
