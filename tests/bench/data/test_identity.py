from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from bench.data import DATASETS, describe, identify, load
from bench.data import identity as module
from bench.data.catalogue import SOURCES
from bench.data.spec import DataSpec, identity_of
from bench.errors import DataError

CIFAR = DataSpec(name="cifar10")
REAL = os.environ.get("BENCH_DATA")
"""The folder of the real data, before every test is given one of its own."""


def test_the_catalogue_is_read_without_numpy_or_torch():
    code = "import sys, bench.data as d; print(*d.DATASETS); sys.exit(not {'torch', 'numpy'}.isdisjoint(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == list(DATASETS)
    images = ["cifar10", "fashion_mnist", "mnist", "digits", "shapes32", "shapes40", "pictures"]
    assert list(DATASETS)[:8] == [*images, "sst2"]


def test_an_unknown_name_suggests_the_near_miss():
    with pytest.raises(DataError, match="unknown data set 'cifar-10'; did you mean 'cifar10'"):
        identify(DataSpec(name="cifar-10"))


def test_identity_says_what_will_be_seen(cifar: Path):
    identity = identify(DataSpec(name="cifar10", size=16, offline="digits"))
    assert identity.shape == (3, 16, 16)
    assert identity.classes[6] == "frog"
    assert identity.stand_in_for is None
    assert identity.spec == DataSpec(name="cifar10", size=16)


def test_unknown_content_carries_its_fingerprint_in_its_name(cifar: Path):
    identity = identify(CIFAR)
    assert len(identity.fingerprint) == 16
    assert identity.variant == f"cifar10-{identity.fingerprint[:6]}"


def test_a_known_variant_is_named(cifar: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(module.KNOWN, identify(CIFAR).fingerprint, "cifar10-jpeg")
    assert identify(CIFAR).variant == "cifar10-jpeg"
    assert identity_of(load(CIFAR))["variant"] == "cifar10-jpeg"


@pytest.mark.parametrize("algorithm", ["md5", "sha256"])
def test_files_with_the_official_hashes_have_the_plain_name(
    algorithm: str, cifar: Path, monkeypatch: pytest.MonkeyPatch
):
    import hashlib

    source = SOURCES["cifar10"]
    hashes = tuple((n, hashlib.new(algorithm, (cifar / n).read_bytes()).hexdigest()) for n, _ in source.hashes)
    monkeypatch.setitem(SOURCES, "cifar10", replace(source, hashes=hashes))
    assert identify(CIFAR).variant == "cifar10"


def test_the_fingerprint_is_of_the_content_and_not_of_its_place(cifar: Path, tmp_path: Path, monkeypatch):
    before = identify(CIFAR).fingerprint
    shutil.copytree(cifar, tmp_path / "elsewhere" / cifar.name)
    monkeypatch.setenv("BENCH_DATA", str(tmp_path / "elsewhere"))
    assert identify(CIFAR).fingerprint == before


def test_nothing_is_read_twice(cifar: Path, monkeypatch: pytest.MonkeyPatch):
    first = identify(CIFAR)
    monkeypatch.setattr(module, "facts_of", lambda *_: pytest.fail("read again"))
    assert identify(CIFAR) == first


def test_a_change_of_the_same_size_and_time_is_seen(cifar: Path):
    before = identify(CIFAR).fingerprint
    path = cifar / "data_batch_1"
    times, content = path.stat(), bytearray(path.read_bytes())
    content[10_000] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert identify(CIFAR).fingerprint != before


@pytest.mark.parametrize("content", ["", "{", "[]", json.dumps({"fingerprint": "x"})])
def test_a_damaged_memory_is_passed_over(content: str, cifar: Path, tmp_path: Path):
    before = identify(CIFAR)
    for memory in (tmp_path / "cache" / "fingerprints").iterdir():
        memory.write_text(content)
    assert identify(CIFAR) == before


def test_a_home_that_cannot_be_written_stops_nothing(cifar: Path, tmp_path: Path):
    (tmp_path / "cache").write_text("a file where a folder should be")
    assert identify(CIFAR).fingerprint


def test_missing_without_a_stand_in_says_what_where_and_what_to_do(home: Path):
    with pytest.raises(DataError) as caught:
        identify(CIFAR)
    message = str(caught.value)
    assert f"'cifar10' is not (or not wholly) in {home / 'cifar-10-batches-py'}" in message
    assert "could not be fetched: http://127.0.0.1:9/cifar-10-python.tar.gz: [Errno" in message
    assert "set BENCH_DATA to the folder that holds cifar-10-batches-py" in message
    assert "python -m bench data fetch cifar10" in message


def test_a_stand_in_is_filed_under_its_own_name():
    asked = DataSpec(name="cifar10", train=40_000, validation=5000, test=2000, size=16, offline="digits")
    identity = identify(asked)
    own = identify(DataSpec(name="digits"))
    assert identity.stand_in_for == "cifar10"
    assert "could not be fetched" in identity.reason
    assert (identity.spec.name, identity.variant, identity.fingerprint) == ("digits", "digits", own.fingerprint)
    dataset = load(asked)
    assert dataset.name == "digits"
    assert dataset.shape == (1, 16, 16)
    assert len(dataset.train) + len(dataset.validation) + len(dataset.test) == 1797


def test_a_stand_in_keeps_the_sizes_that_it_can_give():
    spec = identify(DataSpec(name="mnist", train=300, validation=200, test=100, offline="digits")).spec
    assert (spec.train, spec.validation, spec.test, spec.offline) == (300, 200, 100, None)


def test_a_stand_in_must_not_need_a_download(cifar: Path):
    with pytest.raises(DataError, match="'mnist' would need a download itself; digits, shapes32, shapes40, grammar"):
        identify(DataSpec(name="cifar10", offline="mnist"))
    with pytest.raises(DataError, match="unknown data set 'shapes'; did you mean 'shapes40'"):
        identify(DataSpec(name="cifar10", offline="shapes"))


def test_damaged_data_are_not_stood_in_for(cifar: Path):
    (cifar / "test_batch").write_bytes(b"\x80\x02")
    with pytest.raises(DataError, match="test_batch is not a whole pickle"):
        identify(DataSpec(name="cifar10", offline="digits"))


@pytest.mark.skipif(REAL is None, reason="BENCH_DATA names no folder")
@pytest.mark.parametrize(
    ("name", "variants"),
    [("cifar10", {"cifar10", "cifar10-jpeg"}), ("mnist", {"mnist"}), ("fashion_mnist", {"fashion_mnist"})],
)
def test_real_data_are_recognised(name: str, variants: set[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("BENCH_DATA", str(REAL))
    told = describe(name)
    if not told["found"]:
        pytest.skip(told["problem"])
    assert told["variant"] in variants
