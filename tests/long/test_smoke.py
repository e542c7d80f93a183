"""Suites whole at their smallest size: on stand-ins, and against what is committed."""

from __future__ import annotations

from pathlib import Path

import pytest

import bench
from bench.data import remote
from bench.records.store import Store
from bench.vouching.vouch import differ

RESULTS = Path(__file__).parents[2] / "results"


def test_the_suite_of_cifar_runs_without_data_and_network(
    common_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise OSError("Network is unreachable")

    monkeypatch.setattr(remote, "urlopen", refused)
    monkeypatch.setenv("BENCH_DATA", str(tmp_path / "none"))
    frame = bench.run("cifar", "smoke", results=tmp_path)
    assert set(frame["status"]) <= {"ok", "skipped"}
    assert set(frame["data.name"]) == {"shapes32"}


def test_data_free_methods_give_their_committed_numbers_again(common_cache: Path, tmp_path: Path) -> None:
    committed = {record.key: record for record in Store(RESULTS / "datafree" / "smoke.jsonl").read()}
    bench.run("datafree", "smoke", only="digits/*", results=tmp_path)
    again = Store(tmp_path / "datafree" / "smoke.jsonl").read()
    assert len(again) > 20
    names = ("canary", "versions")
    for new in again:
        old = committed[new.key]
        assert new.status == old.status, new.name
        if all(old.provenance.get(name) == new.provenance.get(name) for name in names):
            assert differ(old, new) is None, new.name
