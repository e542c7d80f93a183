"""A torch file that holds tensors and nothing else, mapped into memory where its form allows that."""

from __future__ import annotations

import pickle
import re
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bench.checkpoints.dtypes import CODES, KNOWN
from bench.checkpoints.safetensors_file import refuse_pointer
from bench.errors import CheckpointError

INSIDE = ("state_dict", "model_state_dict", "model")
"""Where training scripts put the state dict, in a file that holds other things beside it."""


def load(path: Path) -> dict[str, Tensor]:
    """The state dict of a torch file, read with `weights_only`.

    Raises:
        CheckpointError: it is no torch file, or holds more than tensors.
    """
    refuse_pointer(path)
    try:
        state = _read(path)
    except pickle.UnpicklingError as error:
        found = re.search(r"GLOBAL (\S+)", str(error))
        named = f" ({found[1]})" if found else ""
        raise CheckpointError(
            f"{path}: refused: it holds more than tensors{named}, and unpickling that could execute code; save the "
            "state dict alone, best as safetensors"
        ) from error
    except Exception as error:  # what torch raises on other bytes follows no rule
        raise CheckpointError(f"{path}: not a torch file, or cut short ({type(error).__name__}: {error})") from error
    for key in INSIDE:
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
    if not isinstance(state, dict):
        raise CheckpointError(f"{path}: holds a {type(state).__name__}; a state dict (name -> tensor) was expected")
    for name, tensor in state.items():
        if not isinstance(tensor, Tensor):
            raise CheckpointError(f"{path}: {name!r} is a {type(tensor).__name__}; a state dict holds tensors alone")
    return dict(state)


def about(path: Path, name: str, tensor: Tensor) -> tuple[str, tuple[int, ...]]:
    """Its dtype as safetensors calls it, and its shape. Raises CheckpointError where the dtype is not known here."""
    if tensor.dtype not in CODES or tensor.layout != torch.strided:
        kind = str(tensor.dtype if tensor.layout == torch.strided else tensor.layout).removeprefix("torch.")
        raise CheckpointError(f"{path}: {name!r} is of dtype {kind}; {', '.join(map(str, KNOWN.values()))} are known")
    return CODES[tensor.dtype], tuple(tensor.shape)


def _read(path: Path) -> Any:
    with warnings.catch_warnings(action="ignore"):  # torch's remarks on pickle protocols
        try:
            return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        except RuntimeError:  # the form of torch before 1.6 cannot be mapped
            return torch.load(path, map_location="cpu", weights_only=True)
