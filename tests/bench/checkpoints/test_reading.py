"""Checkpoints of every form hold the same tensors; what is no checkpoint is told by name."""

import json

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from bench.checkpoints.reading import open_checkpoint
from bench.errors import CheckpointError


def state():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.Linear(4, 5))
    return {**net.state_dict(), "half": torch.randn(2, 2).bfloat16(), "flag": torch.tensor([True, False])}


def sharded(folder, weights, suffix=".safetensors", save=save_file):
    """Two shards and their index."""
    folder.mkdir()
    names = sorted(weights)
    parts = {f"model-0000{i + 1}-of-00002{suffix}": names[i::2] for i in range(2)}
    for file, part in parts.items():
        save({name: weights[name] for name in part}, folder / file)
    table = {name: file for file, part in parts.items() for name in part}
    index = folder / f"{'model' if suffix == '.safetensors' else 'pytorch_model'}{suffix}.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": table}))
    return index


FORMS = {
    "safetensors": lambda d, s: save_file(s, d / "w.safetensors") or d / "w.safetensors",
    "torch": lambda d, s: torch.save(s, d / "w.pt") or d / "w.pt",
    "torch of the old form": lambda d, s: torch.save(s, d / "w.pt", _use_new_zipfile_serialization=False) or d / "w.pt",
    "training checkpoint": lambda d, s: torch.save({"epoch": 3, "state_dict": s}, d / "w.ckpt") or d / "w.ckpt",
    "folder": lambda d, s: save_file(s, d / "model.safetensors") or d,
    "folder of one file": lambda d, s: save_file(s, d / "mine.safetensors") or d,
    "index": lambda d, s: sharded(d / "s", s),
    "folder of shards": lambda d, s: sharded(d / "s", s).parent,
    "torch shards": lambda d, s: sharded(d / "s", s, ".bin", torch.save).parent,
    "data-parallel": lambda d, s: FORMS["safetensors"](d, {f"module.{k}": v for k, v in s.items()}),
    "compiled and data-parallel": lambda d, s: FORMS["torch"](d, {f"_orig_mod.module.{k}": v for k, v in s.items()}),
    "compiled inside": lambda d, s: FORMS["torch"](d, {f"0._orig_mod.{k[2:]}": s[k] for k in s if k[0] == "0"} | s),
}


@pytest.mark.parametrize("form", [form for form in FORMS if form != "compiled inside"])
def test_every_form_gives_names_shapes_dtypes_and_numbers(tmp_path, form):
    weights = state()
    found = open_checkpoint(FORMS[form](tmp_path, weights))
    assert list(found.tensors) == sorted(weights)
    for name, tensor in weights.items():
        assert found.tensors[name].shape == tensor.shape
        assert torch.equal(found.read(name), tensor)
        assert found.read(name).dtype == tensor.dtype
        if tensor.ndim:
            assert torch.equal(found.read(name, slice(1, 2)), tensor[1:2])


def test_what_is_read_is_the_callers_own(tmp_path):
    found = open_checkpoint(FORMS["torch"](tmp_path, state()))
    found.read("2.weight").zero_()
    assert torch.equal(found.read("2.weight"), state()["2.weight"])


def test_a_name_with_and_without_its_wrapper_is_told(tmp_path):
    with pytest.raises(CheckpointError, match=r"holds both '0._orig_mod.weight' and '0.weight', which are one name"):
        open_checkpoint(FORMS["compiled inside"](tmp_path, state()))


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n"


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("w.safetensors", POINTER, r"w.safetensors: is a Git LFS pointer, and not the weights; run `git lfs pull` in"),
        ("w.pt", POINTER, "is a Git LFS pointer"),
        ("w.safetensors", b"\xff" * 40, "not a safetensors file, or cut short"),
        ("w.pt", b"PK\x03\x04 half", "not a torch file, or cut short"),
        ("model.safetensors.index.json", b"{}", "is no index of shards"),
        (
            "model.safetensors.index.json",
            b'{"weight_map": {"w": "model-00001-of-00002.safetensors"}}',
            "names model-00001-of-00002.safetensors, which is not beside it",
        ),
    ],
)
def test_what_is_no_checkpoint_is_told(tmp_path, name, content, told):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CheckpointError, match=told):
        open_checkpoint(tmp_path / name)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (nn.Linear(2, 2), r"refused: it holds more than tensors \(torch.nn.modules.linear.Linear\)"),
        ({"w": torch.ones(2), "epoch": 3}, "'epoch' is a int; a state dict holds tensors alone"),
        ([torch.ones(2)], "holds a list; a state dict"),
        ({"w": torch.ones(2, dtype=torch.complex64)}, "'w' is of dtype complex64"),
        ({"w": torch.ones(2, 2).to_sparse()}, "'w' is of dtype sparse_coo"),
        ({}, "holds no tensor"),
    ],
)
def test_torch_files_of_anything_else_are_told(tmp_path, content, told):
    torch.save(content, tmp_path / "w.pt")
    with pytest.raises(CheckpointError, match=told):
        open_checkpoint(tmp_path / "w.pt")


def test_a_dtype_that_cannot_be_computed_with_is_told(tmp_path):
    save_file({"w": torch.ones(2).to(torch.float8_e4m3fn)}, tmp_path / "w.safetensors")
    with pytest.raises(CheckpointError, match=r"'w' is of dtype F8_E4M3; F64, F32, F16, BF16, I64"):
        open_checkpoint(tmp_path / "w.safetensors")


def test_an_index_and_shards_that_disagree_are_told(tmp_path):
    index = sharded(tmp_path / "s", state())
    table = json.loads(index.read_text())
    table["weight_map"] = {name: file for name, file in table["weight_map"].items() if name != "2.bias"}
    index.write_text(json.dumps(table))
    with pytest.raises(CheckpointError, match=r"'2.bias': model-0000\d-of-00002.safetensors holds it, and the other"):
        open_checkpoint(index)


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ([], "holds no weights; model.safetensors or"),
        (["adapter_config.json"], "is an adapter"),
        (["a.safetensors", "b.safetensors"], "holds a.safetensors, b.safetensors; name the one that is meant"),
    ],
)
def test_folders_without_one_model_are_told(tmp_path, files, told):
    for file in files:
        (tmp_path / file).write_bytes(b"")
    with pytest.raises(CheckpointError, match=told):
        open_checkpoint(tmp_path)


def test_nothing_there_is_told(tmp_path):
    with pytest.raises(CheckpointError, match="there is no such file or folder"):
        open_checkpoint(tmp_path / "nowhere.safetensors")
