"""Official layouts, and every way in which a file can be damaged."""

from __future__ import annotations

import gzip
import os
import pickle
import re
import struct
import tracemalloc
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from bench.data import identify, load, verify
from bench.data.catalogue import SOURCES
from bench.data.spec import DataSpec
from bench.data.unpickle import load_arrays
from bench.errors import DataError

CIFAR, MNIST = DataSpec(name="cifar10"), DataSpec(name="mnist")


class Bomb:
    """Unpickling it would make a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self):
        return os.mkdir, (str(self.target),)


def test_cifar_is_read_in_order(cifar: Path):
    dataset = load(DataSpec(name="cifar10", validation=10))
    assert dataset.test.inputs.shape == (40, 3, 32, 32)
    assert len(dataset.train) == 190
    first = pickle.loads((cifar / "test_batch").read_bytes())
    assert np.array_equal(dataset.test.inputs.flatten(1).numpy(), first[b"data"])
    assert dataset.test.labels.tolist() == first[b"labels"]


def test_a_pickle_as_python_2_wrote_it_is_read(tmp_path: Path):
    header = b"\x80\x02}(U\x04dataq\x01cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tU\x01btR"
    state = b"(K\x01(K\x02K\x02tcnumpy\ndtype\n(U\x02u1K\x00K\x01tR(K\x03U\x01|NNN"
    tail = b"J\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tbI00\nU\x04\x01\x02\x03\x04tbu."
    (tmp_path / "old").write_bytes(header + state + tail)
    assert load_arrays(tmp_path / "old")[b"data"].tolist() == [[1, 2], [3, 4]]


def test_a_pickle_that_would_run_code_is_refused_and_runs_nothing(cifar: Path, tmp_path: Path):
    content = {b"data": Bomb(tmp_path / "harm"), b"labels": []}
    (cifar / "data_batch_3").write_bytes(pickle.dumps(content, protocol=4))
    with pytest.raises(
        DataError, match=r"data_batch_3 is refused: it asks for (posix|nt)\.mkdir, which could run code"
    ):
        identify(CIFAR)
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize("name", ["builtins\neval", "numpy\nload", "numpy.core.multiarray\nfromfile", "os\nsystem"])
def test_nothing_but_arrays_can_be_named(name: str, tmp_path: Path):
    (tmp_path / "p").write_bytes(b"\x80\x02c" + name.encode() + b"\n.")
    with pytest.raises(DataError, match="only NumPy arrays are read"):
        load_arrays(tmp_path / "p")


@pytest.mark.parametrize("protocol", range(6))
def test_arrays_of_any_protocol_and_version_of_numpy_are_read(tmp_path: Path, protocol: int):
    content = {
        "fortran": np.asfortranarray(np.arange(6).reshape(2, 3)),
        "bytes": np.arange(4, dtype=np.uint8),
        "none": np.zeros((0, 3)),
        "number": np.int64(7),
        "plain": [b"", b"text", 1.5, None, True],
        "ordered": OrderedDict(a=1),
    }
    written = pickle.dumps(content, protocol=protocol)
    texts = {written, written.replace(b"numpy._core", b"numpy.core")} if protocol < 4 else {written}
    for number, text in enumerate(texts):
        (tmp_path / str(number)).write_bytes(text)
        read = {(k.decode() if isinstance(k, bytes) else k): v for k, v in load_arrays(tmp_path / str(number)).items()}
        for name in ("fortran", "bytes", "none", "number"):
            assert read[name].dtype == content[name].dtype
            assert np.array_equal(read[name], content[name])
        assert read["plain"] == content["plain"]
        assert list(read["ordered"].values()) == [1]


@pytest.mark.parametrize(
    "text",
    [
        b"cnumpy\nndarray\n((I1000000000000\ntR.",  # would make room for a terabyte
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I1000000000000\ntS'b'\ntR.",
        b"c__builtin__\nbytes\n(I1000000000000\ntR.",
        b"c_codecs\nencode\n(V/etc/passwd\nVrot13\ntR.",
        b"\x80\x04\x8e\xff\xff\xff\xff\xff\x00\x00\x00.",  # promises 2^40 bytes
    ],
)
def test_a_pickle_gets_no_room_for_what_it_does_not_hold(tmp_path: Path, text: bytes):
    (tmp_path / "p").write_bytes(text)
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match=r"is refused|is not a whole pickle"):
            load_arrays(tmp_path / "p")
        assert tracemalloc.get_traced_memory()[1] < 1 << 22
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("labels", [np.arange(40) % 10, tuple(range(10)) * 4, [np.uint8(i % 10) for i in range(40)]])
def test_cifar_labels_may_be_numpys(cifar: Path, labels):
    batch = {"data": np.zeros((40, 3072), np.uint8), "labels": labels}
    (cifar / "data_batch_1").write_bytes(pickle.dumps(batch, protocol=5))
    assert load(CIFAR.model_copy(update={"validation": 10})).train.labels.dtype == torch.int64


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_an_idx_header_that_promises_too_much_gets_no_room(mnist: Path, suffix: str):
    for old in mnist.glob("train-images*"):
        old.unlink()
    content = bytes((0, 0, 8, 3)) + struct.pack(">3I", 1 << 20, 1 << 12, 1 << 12) + bytes(100)
    path = mnist / f"train-images-idx3-ubyte{suffix}"
    path.write_bytes(gzip.compress(content) if suffix else content)
    with pytest.raises(DataError, match=r"is altered: its header promises 17592186044416 bytes"):
        identify(MNIST)


def test_the_first_place_that_is_whole_is_used(home: Path, mnist: Path, monkeypatch):
    source = replace(SOURCES["mnist"], folders=("first", "second", "mnist"))
    monkeypatch.setitem(SOURCES, "mnist", source)
    (home / "first").mkdir()
    (home / "second").mkdir()
    (home / "second" / "train-labels-idx1-ubyte").write_bytes(b"")
    assert verify("mnist").folder == mnist
    (mnist / "t10k-labels-idx1-ubyte").unlink()
    told = f"{mnist} lacks t10k-labels-idx1-ubyte; put its"
    with pytest.raises(DataError, match=re.escape(told)):
        identify(MNIST)
    with pytest.raises(DataError, match=re.escape(told)):
        verify("mnist")


def test_a_torn_pickle_is_recognised(cifar: Path):
    path = cifar / "data_batch_2"
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(DataError, match="data_batch_2 is not a whole pickle, half-downloaded or altered"):
        identify(CIFAR)


def test_a_missing_batch_is_named(cifar: Path):
    (cifar / "data_batch_5").unlink()
    with pytest.raises(DataError, match=r"cifar-10-batches-py lacks data_batch_5: cifar10 is not whole; put its"):
        identify(CIFAR)


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        ([1, 2], "holds a list and should hold a dict"),
        ({b"labels": [1]}, r"'data' should be uint8 \[N, 3072\]"),
        ({b"data": np.zeros((2, 3072)), b"labels": [1, 2]}, r"'data' should be uint8"),
        ({b"data": np.zeros((2, 3072), np.uint8), b"labels": [1]}, "2 images and 1 labels"),
        ({b"data": np.zeros((2, 3072), np.uint8), b"labels": "ab"}, "'labels' should be a list"),
        ({b"data": np.zeros((2, 3072), np.uint8), b"labels": [1, 99]}, "labels from 1 to 99 and should have 0 to 9"),
    ],
)
def test_an_altered_batch_is_recognised(batch: object, message: str, cifar: Path):
    (cifar / "test_batch").write_bytes(pickle.dumps(batch, protocol=4))
    with pytest.raises(DataError, match=message):
        identify(CIFAR)


@pytest.mark.parametrize("folder", ["fashion-mnist", "fashion_mnist"])
def test_idx_files_are_read_gzipped_or_not_under_either_folder_s_name(folder: str, mnist: Path):
    mnist.rename(mnist.with_name(folder))
    dataset = load(DataSpec(name="fashion_mnist", validation=20))
    assert dataset.shape == (1, 28, 28)
    assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (180, 20, 40)
    assert dataset.test.labels.tolist() == [i % 10 for i in range(40)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            b"\x00\x00\x08\x01" + struct.pack(">I", 40) + bytes(40),
            "begins with 00 00 08 01, and should with 00 00 08 03",
        ),
        (b"<html>not here</html>", "is not an IDX file"),
        (b"\x00\x00\x08\x03\x00", "ends inside its header"),
        (b"\x00\x00\x08\x03" + struct.pack(">3I", 40, 28, 28) + bytes(99), "promises 31360 bytes and it holds 99"),
        (b"\x00\x00\x08\x03" + struct.pack(">3I", 1, 2, 2) + bytes(5), "promises 4 bytes and it holds more"),
    ],
)
def test_a_damaged_idx_file_is_recognised(content: bytes, message: str, mnist: Path):
    (mnist / "t10k-images-idx3-ubyte").write_bytes(content)
    with pytest.raises(DataError, match=message):
        identify(MNIST)


@pytest.mark.parametrize("damage", [lambda b: b[: len(b) // 2], lambda b: b[:-4] + b"\0\0\0\1", lambda b: b[:3]])
def test_a_damaged_gzip_file_is_recognised(damage, mnist: Path):
    path = mnist / "train-images-idx3-ubyte.gz"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(
        DataError, match=r"train-images-idx3-ubyte\.gz is half-downloaded or altered .*; put its official"
    ):
        identify(MNIST)


def test_images_of_another_size_are_not_taken_for_mnist(mnist: Path):
    content = b"\x00\x00\x08\x03" + struct.pack(">3I", 40, 16, 16) + bytes(40 * 256)
    (mnist / "t10k-images-idx3-ubyte").write_bytes(content)
    with pytest.raises(DataError, match=r"images uint8 \(1, 16, 16\) and should have uint8 \(1, 28, 28\)"):
        identify(MNIST)


def test_digits_are_stratified_bytes_and_always_the_same():
    dataset = load(DataSpec(name="digits"))
    assert dataset.shape == (1, 8, 8)
    assert dataset.variant == "digits"
    assert len(dataset.train) + len(dataset.validation) + len(dataset.test) == 1797
    assert dataset.train.inputs.max() == 255
    assert dataset.test.labels.bincount().min() >= 34


def test_gzip_packing_does_not_change_the_fingerprint(mnist: Path):
    before = identify(MNIST).fingerprint
    path = mnist / "train-images-idx3-ubyte.gz"
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()), compresslevel=1))
    assert identify(MNIST).fingerprint == before
