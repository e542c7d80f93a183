"""Weight files: made of tensors alone, read without executing anything."""

from __future__ import annotations

import hashlib
import pickle
import re
import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load as parse_safetensors
from safetensors.torch import save as to_safetensors
from torch import Tensor

from bench.errors import ZooError


def serialise(state: Mapping[str, Tensor]) -> bytes:
    """A state dict as safetensors, on the CPU; tensors that share memory are written once each."""
    return to_safetensors({name: tensor.detach().cpu().contiguous().clone() for name, tensor in state.items()})


def sha256(content: bytes) -> str:
    """64 hex digits."""
    return hashlib.sha256(content).hexdigest()


def read_user_weights(path: Path) -> dict[str, Tensor]:
    """The state dict in a safetensors file, or in a torch file that holds nothing but tensors.

    Raises:
        ZooError: there is no such file, it is neither of the two, or it holds more than tensors.
    """
    if not path.is_file():
        raise ZooError(f"weights {path}: no such file")
    if path.suffix == ".safetensors":
        try:
            return parse_safetensors(path.read_bytes())
        except SafetensorError as error:
            raise ZooError(f"weights {path}: not a safetensors file, or cut short: {error}") from error
    try:
        with warnings.catch_warnings(action="ignore"):  # torch's remarks on pickle protocols
            state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        found = re.search(r"GLOBAL (\S+)", str(error))
        named = f" ({found[1]})" if found else ""
        raise ZooError(
            f"weights {path}: refused: it holds more than tensors{named}, and unpickling that "
            "could execute code; save the state dict alone, best as safetensors"
        ) from error
    except Exception as error:  # what torch raises on other bytes follows no rule: KeyError, OSError, EOFError ...
        raise ZooError(f"weights {path}: not a torch file, or cut short ({type(error).__name__}: {error})") from error
    if isinstance(state, dict) and isinstance(state.get("state_dict"), dict):
        state = state["state_dict"]
    if not isinstance(state, dict) or not all(isinstance(tensor, Tensor) for tensor in state.values()):
        raise ZooError(f"weights {path}: a state dict (name -> tensor) was expected")
    return dict(state)
