"""A file that is written piece by piece is what the library would have written, and appears when it is whole."""

import errno

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from bench.checkpoints.dtypes import finite
from bench.checkpoints.writing import SafetensorsWriter
from bench.errors import CheckpointError

TENSORS = {
    "a": torch.arange(12.0).view(4, 3),
    "flag": torch.tensor([True, False, True]),
    "half": torch.randn(3, 2).bfloat16(),
    "none": torch.empty(0, 3),
    "scalar": torch.tensor(7),
    "ä": torch.ones(5, dtype=torch.float16),
}
LAYOUT = {
    "a": ("F32", (4, 3)),
    "flag": ("BOOL", (3,)),
    "half": ("BF16", (3, 2)),
    "none": ("F32", (0, 3)),
    "scalar": ("I64", ()),
    "ä": ("F16", (5,)),
}


def test_pieces_in_any_order_make_a_file_that_is_there_when_it_is_whole(tmp_path):
    path = tmp_path / "new" / "w.safetensors"
    writer = SafetensorsWriter(path, LAYOUT, {"format": "pt", "note": "ü"})
    writer.write("a", TENSORS["a"][2:], row=2)
    for name in ("ä", "scalar", "none", "half", "flag"):
        writer.write(name, TENSORS[name])
    assert not path.exists()
    writer.write("a", TENSORS["a"][:2])
    assert list(path.parent.iterdir()) == [path]
    assert all(torch.equal(tensor, TENSORS[name]) for name, tensor in load_file(path).items())
    with safe_open(path, "pt") as file:
        assert file.metadata() == {"format": "pt", "note": "ü"}
        assert sorted(file.keys()) == sorted(TENSORS)


def test_nothing_is_left_of_what_was_discarded(tmp_path):
    writer = SafetensorsWriter(tmp_path / "w.safetensors", LAYOUT, {})
    writer.write("scalar", TENSORS["scalar"])
    writer.discard()
    assert not list(tmp_path.iterdir())


def test_a_file_of_empty_tensors_is_whole_at_once(tmp_path):
    writer = SafetensorsWriter(tmp_path / "w.safetensors", {"none": ("F32", (0, 3))}, {})
    writer.write("none", TENSORS["none"])
    assert load_file(tmp_path / "w.safetensors")["none"].shape == (0, 3)


def test_a_full_disk_is_told_with_the_file(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("bench.checkpoints.writing.os.fsync", full)
    writer = SafetensorsWriter(tmp_path / "w.safetensors", {"scalar": ("I64", ())}, {})
    with pytest.raises(CheckpointError, match=r"cannot write .*w.safetensors: No space left on device; free some"):
        writer.write("scalar", TENSORS["scalar"])


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_nan_and_infinities_are_no_finite_numbers(dtype):
    assert finite(torch.tensor([], dtype=dtype))
    assert finite(torch.tensor([torch.finfo(dtype).max, torch.finfo(dtype).min], dtype=dtype))
    for broken in ("nan", "inf", "-inf"):
        assert not finite(torch.tensor([1.0, float(broken), 2.0], dtype=dtype))
