"""Records written by hand: sound ones, and damaged lines whose checksum is right."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.environment import PINNED
from bench.records.record import START, Record, key_of, pack, sum_of
from bench.running.plan import Cell

FINGERPRINT = "0123456789abcdef"


def make_sound(seed: int = 0, right: int = 25, label: str = "m", **changes: Any) -> Record:
    """A sound record of `right` right answers of 100; `asked` adds to what was asked."""
    correct = np.random.default_rng(seed).permutation(100) < right
    asked = {"scenario": "a", "kind": "toy", "method": label, "params": {"x": 0.5}, "seed": seed, "settings": {}}
    asked |= {"data": {"name": "digits"}, "fingerprint": FINGERPRINT, "zoo": {}, "environment": PINNED}
    asked |= changes.pop("asked", {})
    provenance = {"commit": "abc", "dirty": False, "versions": {"python": "3.11"}, "device": "cpu", "seconds": 1.5}
    content = {
        "suite": "s",
        "profile": "smoke",
        "label": label,
        "status": "ok",
        "metrics": {"accuracy": right / 100, "nll": 1.25},
        "examples": {"test": pack(correct)},
        "costs": {"seconds": 1.0, "samples": {"teacher": 3}},
        "data": {"name": asked["data"]["name"], "variant": "digits", "fingerprint": asked["fingerprint"]},
        "provenance": provenance | {"started": "2025-01-01T00:00:00+00:00"},
        "digests": {"kind": "d1", "method": "d2"},
    }
    content |= {name: asked[name] for name in ("scenario", "kind", "method", "params", "seed")}
    return Record(**(content | {"asked": asked, "key": key_of(asked)} | changes))


def make_record_of(cell: Cell, right: int = 25, **changes: Any) -> Record:
    """A record of a cell of a plan, as a run would leave it."""
    content = {"label": cell.row.label, "data": cell.data_identity, "suite": "toysuite"}
    content |= {"digests": {part: found.value for part, found in cell.digests.items()}}
    return make_sound(cell.seed, right, **(content | {"asked": cell.asked} | changes))


def make_line(content: dict[str, Any] | str) -> str:
    """A line with a right checksum, whatever its content (without the checksum) is."""
    body = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    return f'{START}{sum_of(body[1:].encode("utf-8", "surrogatepass"))}",{body[1:]}'


def write_lines(path: Path, lines: Iterable[str]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(line.encode() + b"\n" for line in lines))
    return path


@pytest.fixture
def sound() -> Callable[..., Record]:
    """`sound(seed, right, label, ...)`."""
    return make_sound


@pytest.fixture
def record_of() -> Callable[..., Record]:
    """`record_of(cell, right, ...)`."""
    return make_record_of


@pytest.fixture
def line_of() -> Callable[..., str]:
    """`line_of(content)`."""
    return make_line


@pytest.fixture
def file_of(tmp_path: Path) -> Callable[..., Path]:
    """`file_of(records, "s/smoke.jsonl")`: a results file."""
    return lambda records, name="s/smoke.jsonl": write_lines(tmp_path / name, [r.line() for r in records])


@pytest.fixture
def lines_in(tmp_path: Path) -> Callable[..., Path]:
    """`lines_in(lines, "s/smoke.jsonl")`: a file of these lines."""
    return lambda lines, name="s/smoke.jsonl": write_lines(tmp_path / name, lines)
