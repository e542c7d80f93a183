"""Records survive: round trips, torn lines, full disks, two writers."""

import base64
import errno
import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import png
from bench.errors import BenchError
from bench.records import Record, as_frame, load_results, pack, parse
from bench.store import Store


def record(seed=0, **more):
    content = {
        "key": f"k{seed}",
        "suite": "s",
        "profile": "smoke",
        "scenario": "a",
        "kind": "toy",
        "method": "m",
        "label": "m",
        "params": {"x": 0.5},
        "seed": seed,
        "status": "ok",
        "metrics": {"accuracy": 0.25},
        "examples": {"test": pack(np.array([True, False, False, False]))},
        "costs": {"seconds": 1.0},
        "data": {"name": "digits"},
    }
    return Record(**(content | more))


@given(st.lists(st.booleans(), min_size=1, max_size=40))
def test_correctness_survives_packing(bits):
    kept = record(examples={"test": pack(np.array(bits))})
    assert kept.correct("test").tolist() == bits


def test_a_record_reads_back_as_it_was(tmp_path):
    store = Store(tmp_path / "a" / "smoke.jsonl")
    store.append(record(0))
    store.append(record(1, status="failed", reason="why", metrics={}, examples={}))
    assert store.read() == [record(0), record(1, status="failed", reason="why", metrics={}, examples={})]
    assert store.torn() is None


def test_a_torn_last_line_is_told_then_set_aside(tmp_path):
    store = Store(tmp_path / "smoke.jsonl")
    store.append(record(0))
    with store.path.open("a") as file:
        file.write('{"schema":1,"key":"half')
    assert store.read() == [record(0)]
    assert "torn" in store.torn()
    store.append(record(1))
    assert [r.seed for r in store.read()] == [0, 1]
    assert store.torn() is None
    assert store.path.with_suffix(".jsonl.torn").read_text() == '{"schema":1,"key":"half\n'


PIXEL = base64.b64encode(png.encode(np.zeros((1, 1, 1), dtype=np.uint8))).decode()


def test_curves_and_pictures_read_back_as_they_were(tmp_path):
    seen = record(curves={"accuracy": [(0.5, 0.25), (1.0, 0.75)]}, pictures={"images": PIXEL})
    store = Store(tmp_path / "smoke.jsonl")
    store.append(seen)
    assert store.read() == [seen]
    assert store.read()[0].line() == seen.line()
    assert not {"curves", "pictures"} & set(as_frame([seen]))


def test_records_without_curves_and_pictures_have_the_lines_that_they_had():
    content = json.loads(record().line())
    assert list(content)[-1] == "recipe"
    assert not {"curves", "pictures"} & set(content)
    committed = Path(__file__).parents[2] / "results" / "digits" / "smoke.jsonl"
    lines = [line for line in committed.read_text(encoding="utf-8").splitlines() if '"curves"' not in line]
    assert [parse(line, "here").line() for line in lines] == lines


@pytest.mark.parametrize("picture", ["no base64!", "R0lGODlh"])
def test_a_picture_that_is_no_png_is_refused(picture):
    with pytest.raises(ValueError, match=r"pictures\.images"):
        record(pictures={"images": picture})


@pytest.mark.parametrize("line", ["not json", "[]", '{"schema":1}', '{"key":"k"}', '{"schema":2,"key":"k"}'])
def test_a_line_that_is_no_record_is_named(tmp_path, line):
    store = Store(tmp_path / "smoke.jsonl")
    store.append(record(0))
    with store.path.open("a") as file:
        file.write(line + "\n")
    with pytest.raises(BenchError, match=r"smoke\.jsonl:2: not a record"):
        store.read()


def test_a_full_disk_loses_nothing(tmp_path, monkeypatch):
    store = Store(tmp_path / "smoke.jsonl")
    store.append(record(0))
    before = store.path.read_bytes()

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(BenchError, match=r"smoke\.jsonl.*No space left.*make room"):
            store.append(record(1))
    assert store.path.read_bytes() == before
    store.append(record(1))
    assert [r.seed for r in store.read()] == [0, 1]


def test_many_writers_do_not_mix_lines(tmp_path):
    path = tmp_path / "smoke.jsonl"
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda seed: Store(path).append(record(seed)), range(40)))
    assert sorted(r.seed for r in Store(path).read()) == list(range(40))


def test_numbers_that_json_lacks_are_refused():
    with pytest.raises(ValueError, match="JSON"):
        record(metrics={"accuracy": float("nan")}).line()


def test_newest_is_the_last_written():
    old, new = record(0, key="old"), record(0, key="new")
    assert newest([old, new]) == {("a", "m", 0): new}


def test_load_results_reads_a_folder_into_a_frame(tmp_path):
    Store(tmp_path / "x" / "smoke.jsonl").append(record(0))
    Store(tmp_path / "y" / "cpu.jsonl").append(record(1, profile="cpu"))
    frame = load_results(tmp_path)
    assert frame["accuracy"].tolist() == [0.25, 0.25]
    assert set(frame["profile"]) == {"smoke", "cpu"}
    assert frame["costs.seconds"].tolist() == [1.0, 1.0]
    assert as_frame([record(0)]).loc[0, "params"] == {"x": 0.5}


def test_load_results_says_where_nothing_is(tmp_path):
    with pytest.raises(BenchError, match="no records under"):
        load_results(tmp_path)


def test_a_byte_order_mark_and_other_line_ends_are_passed_over(tmp_path):
    path = tmp_path / "cpu.jsonl"
    lines = [record(seed=seed).line() for seed in (0, 1)]
    path.write_bytes(b"\xef\xbb\xbf" + "".join(f"{line}\r\n" for line in lines).encode())
    assert [r.seed for r in Store(path).read()] == [0, 1]


@pytest.mark.parametrize("encoding", ["utf-16", "latin-1"])
def test_records_that_are_no_utf_8_are_told(tmp_path, encoding):
    path = tmp_path / "cpu.jsonl"
    path.write_bytes((record(label="ü").line() + "\n").encode(encoding))
    with pytest.raises(
        BenchError, match=r"cpu\.jsonl:1: not a record \(UnicodeDecodeError: 'utf-8' codec can't decode"
    ):
        Store(path).read()
