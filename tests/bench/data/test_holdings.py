from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from bench.data import DATASETS, describe, verify
from bench.data import identity as module
from bench.errors import DataError


def test_what_is_here_is_described_ready_for_json(cifar: Path, home: Path):
    told = {name: describe(name) for name in DATASETS}
    json.dumps(told)
    fingerprint = told["cifar10"].pop("fingerprint")
    assert told["cifar10"] == {
        "name": "cifar10",
        "kind": "images",
        "found": True,
        "variant": f"cifar10-{fingerprint[:6]}",
        "bytes": sum(p.stat().st_size for p in cifar.iterdir() if p.name != "batches.meta"),
        "folder": str(cifar),
    }
    assert told["digits"]["variant"] == "digits"
    assert told["mnist"]["problem"].startswith(f"mnist is not, or not wholly, in {home / 'mnist'}; put its official")
    assert "made on first use" in told["shapes32"]["problem"]
    assert [p.name for p in home.iterdir()] == ["cifar-10-batches-py"]


def test_damage_is_described(cifar: Path):
    (cifar / "test_batch").write_bytes(b"")
    told = describe("cifar10")
    assert told["found"] is False
    assert "test_batch is not a whole pickle" in told["problem"]


def test_a_holding_is_a_line():
    assert re.fullmatch(r"digits: variant digits, 277b22fca7dadaa6, 0\.\d MB in .*sklearn", str(verify("digits")))


def test_verify_reads_again_whatever_is_remembered(cifar: Path, monkeypatch: pytest.MonkeyPatch):
    first = verify("cifar10")
    monkeypatch.setattr(module, "_recall", lambda _: pytest.fail("remembered"))
    assert verify("cifar10") == first
    (cifar / "data_batch_1").write_bytes((cifar / "data_batch_2").read_bytes())
    assert verify("cifar10").fingerprint != first.fingerprint


def test_verify_of_what_is_not_here_says_where_it_was_looked_for():
    with pytest.raises(DataError, match=r"mnist is not, or not wholly, in .*mnist; put its official files into"):
        verify("mnist")
    with pytest.raises(DataError, match="unknown data set 'minst'; did you mean 'mnist'"):
        verify("minst")
