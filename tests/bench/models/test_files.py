from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest
import torch
from torch import nn

from bench.errors import ZooError
from bench.models.files import read_user_weights, serialise


class Trap:
    """Unpickling this makes a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def state() -> dict[str, torch.Tensor]:
    return {"w": torch.arange(6.0).view(2, 3), "n": torch.tensor(4)}


@pytest.mark.parametrize("kind", ["safetensors", "torch", "torch legacy", "checkpoint"])
def test_state_dicts_are_read(tmp_path, kind):
    path = tmp_path / ("w.safetensors" if kind == "safetensors" else "w.pt")
    if kind == "safetensors":
        path.write_bytes(serialise(state()))
    else:
        content = {"state_dict": state(), "epoch": 3} if kind == "checkpoint" else state()
        torch.save(content, path, _use_new_zipfile_serialization=kind != "torch legacy")
    read = read_user_weights(path)
    assert read.keys() == state().keys()
    assert all(torch.equal(read[name], tensor) for name, tensor in state().items())


@pytest.mark.parametrize("how", ["torch", "torch legacy", "pickle", "old pickle"])
def test_a_pickle_that_would_execute_code_is_refused_and_not_executed(tmp_path, how):
    trap, path = tmp_path / "sprung", tmp_path / "w.pt"
    content = state() | {"x": Trap(trap)}
    if how.startswith("torch"):
        torch.save(content, path, _use_new_zipfile_serialization=how == "torch")
    else:
        path.write_bytes(pickle.dumps(content, protocol=4 if how == "pickle" else 2))
    with pytest.raises(ZooError, match=r"w\.pt: refused: it holds more than tensors.*could execute code"):
        read_user_weights(path)
    assert not trap.exists()


def test_a_whole_pickled_model_is_refused_by_name(tmp_path):
    torch.save(nn.Linear(2, 2), tmp_path / "w.pt")
    with pytest.raises(ZooError, match=r"more than tensors \(torch.nn.modules.linear.Linear\).*save the state dict"):
        read_user_weights(tmp_path / "w.pt")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("w.pt", b"hello world this is", "not a torch file, or cut short"),
        ("w.pt", b"", "not a torch file, or cut short"),
        ("w.safetensors", b"\xff" * 40, "not a safetensors file, or cut short"),
        ("w.safetensors", serialise(state())[:-5], "not a safetensors file, or cut short"),
        ("w.pt", None, "no such file"),
    ],
)
def test_what_is_no_weight_file_is_refused(tmp_path, name, content, message):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ZooError, match=message):
        read_user_weights(tmp_path / name)


def test_a_cut_torch_file_and_one_without_a_state_dict(tmp_path):
    path = tmp_path / "w.pt"
    torch.save({"w": torch.zeros(1000)}, path)
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(ZooError, match="not a torch file, or cut short"):
        read_user_weights(path)
    torch.save([torch.zeros(2)], path)
    with pytest.raises(ZooError, match=r"a state dict .* was expected"):
        read_user_weights(path)


def test_shared_and_strided_tensors_are_written(tmp_path):
    weight = torch.rand(3, 4)
    path = tmp_path / "w.safetensors"
    path.write_bytes(serialise({"a": weight, "tied": weight, "t": weight.t()}))
    read = read_user_weights(path)
    assert torch.equal(read["tied"], weight)
    assert torch.equal(read["t"], weight.t())
