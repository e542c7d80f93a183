"""A machine without data and network runs CIFAR-10's suite on stand-ins, and files its records apart."""

from pathlib import Path

import pytest

import bench
from bench.data import remote


def test_the_suite_of_cifar_runs_without_data_and_network(
    common_cache: Path, no_workers: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One scenario of it; `tests/long` runs all."""

    def refused(*_: object, **__: object) -> None:
        raise OSError("Network is unreachable")

    monkeypatch.setattr(remote, "urlopen", refused)
    monkeypatch.setenv("BENCH_DATA", str(tmp_path / "none"))
    frame = bench.run("cifar", "smoke", only="distill/*", results=tmp_path)
    assert set(frame["status"]) <= {"ok", "skipped"}
    assert set(frame["data.name"]) == {"shapes32"}
    assert [path.name for path in tmp_path.iterdir() if path.is_dir() and "@" in path.name] == ["cifar@shapes32"]


def test_every_row_of_distillation_runs_without_data_and_network(
    common_cache: Path, no_workers: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the board that has them all."""

    def refused(*_: object, **__: object) -> None:
        raise OSError("Network is unreachable")

    monkeypatch.setattr(remote, "urlopen", refused)
    monkeypatch.setenv("BENCH_DATA", str(tmp_path / "none"))
    frame = bench.run("distillation", "smoke", only="same-family/*", results=tmp_path)
    assert set(frame["status"]) == {"ok"}
    assert len(frame) == 30
