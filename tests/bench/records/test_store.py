"""Results files survive: flipped bits, torn lines, full disks, many writers."""

import errno
import os
import random
import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from bench.errors import BenchError
from bench.records.store import Store


@pytest.fixture
def thirty(sound):
    """Records of several rows, with and without curves, failures and tables."""
    rows = [("kd", {}), ("größer (T=4)", {"asked": {"params": {"temperature": 4.0, "name": "ü\u2028"}}})]
    rows += [("dafl", {"curves": {"accuracy": [(0.5, 0.25), (1.0, 0.75)]}, "weights": {"teacher": "ab" * 32}})]
    records = [sound(seed, 20 + seed, label, **more) for label, more in rows for seed in range(8)]
    records += [sound(s, 0, "sad", status="failed", reason="it\nran away", metrics={}, examples={}) for s in range(6)]
    return records


def read_all(path, content):
    path.write_bytes(content)
    return Store(path).content()


@pytest.mark.parametrize("seed", range(4))
def test_no_flipped_bit_is_read_in_silence(tmp_path, thirty, seed):
    path = tmp_path / "smoke.jsonl"
    sound = b"".join(record.line().encode() + b"\n" for record in thirty)
    ends = [place for place, byte in enumerate(sound) if byte == ord("\n")]
    draw = random.Random(seed)
    places = [(draw.randrange(len(sound)), draw.randrange(8)) for _ in range(50)]
    places += [(place, bit) for place in draw.sample(ends[:-1], 1) + ends[-1:] for bit in range(8)]
    for place, bit in places:
        content = read_all(path, sound[:place] + bytes([sound[place] ^ 1 << bit]) + sound[place + 1 :])
        line = sound[:place].count(b"\n")
        if sound[place] == ord("\n"):
            assert content.records == thirty, (place, bit)
            continue
        assert content.records == thirty[:line] + thirty[line + 1 :], (place, bit)
        assert 1 <= len(content.faults) <= 2  # a bit may make a line end
        for fault in content.faults:
            assert re.match(rf"{re.escape(str(path))}:({line + 1}|{line + 2}): .*field \S+", fault), fault


def test_a_line_end_that_is_lost_costs_nothing(tmp_path, thirty):
    lines = [record.line().encode() for record in thirty]
    for joint in (b"", b"\x0b", b"J", b"\x8a"):
        content = read_all(tmp_path / "smoke.jsonl", joint.join(lines[:2]) + b"\n" + lines[2] + b"\n")
        assert content.records == thirty[:3]
        assert content.faults == ()


def test_what_stands_between_two_records_is_told(tmp_path, thirty):
    lines = [record.line().encode() for record in thirty]
    content = read_all(tmp_path / "smoke.jsonl", lines[0] + b"half a line" + lines[1] + b"\n")
    assert content.records == [thirty[1]]
    assert len(content.faults) == 1


def test_half_a_line_before_a_record_costs_no_record(tmp_path, thirty):
    lines = [record.line().encode() for record in thirty]
    content = read_all(tmp_path / "smoke.jsonl", lines[0] + b"\n" + lines[1][:70] + lines[2] + b"\n")
    assert content.records == [thirty[0], thirty[2]]
    assert len(content.faults) == 1


def test_line_ends_of_windows_are_line_ends(tmp_path, thirty):
    content = read_all(tmp_path / "smoke.jsonl", b"".join(r.line().encode() + b"\r\n" for r in thirty))
    assert content.records == thirty
    assert content.faults == ()


def test_a_table_that_begins_as_a_line_does_is_no_line(sound, file_of):
    record = sound(0, asked={"params": {"sum": "abc", "x": {"sum": "0123456789ab"}}})
    content = Store(file_of([record, sound(1)])).content()
    assert content.records == [record, sound(1)]
    assert content.faults == ()


def test_a_torn_last_line_is_told_then_set_aside(sound, file_of):
    store = Store(file_of([sound(0)]))
    half = sound(1).line()[:200]
    with store.path.open("a") as file:
        file.write(half)
    content = store.content()
    assert content.records == [sound(0)]
    assert len(content.faults) == 1
    assert f"{store.path}:2: the last line is torn" in content.faults[0]
    store.append(sound(2))
    assert [r.seed for r in store.read()] == [0, 2]
    assert store.content().faults == ()
    assert store.path.with_suffix(".jsonl.torn").read_text() == half + "\n"


@pytest.mark.parametrize("end", ["", "\x0b", "J"])
def test_a_whole_last_record_without_its_line_end_is_kept(sound, file_of, end):
    store = Store(file_of([sound(0)]))
    with store.path.open("a") as file:
        file.write(sound(1).line() + end)
    assert store.content().faults == ()
    store.append(sound(2))
    assert store.read() == [sound(0), sound(1), sound(2)]
    assert not store.path.with_suffix(".jsonl.torn").exists()


def test_a_file_that_is_not_there_holds_nothing(tmp_path):
    content = Store(tmp_path / "none" / "smoke.jsonl").content()
    assert content.records == []
    assert content.faults == ()
    assert not (tmp_path / "none").exists()


def test_a_full_disk_loses_nothing(sound, file_of, monkeypatch):
    store = Store(file_of([sound(0)]))
    before = store.path.read_bytes()

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(BenchError, match=r"smoke\.jsonl.*No space left.*make room"):
            store.append(sound(1))
    assert store.path.read_bytes() == before
    store.append(sound(1))
    assert [r.seed for r in store.read()] == [0, 1]


def test_many_writers_do_not_mix_lines(tmp_path, sound):
    path = tmp_path / "smoke.jsonl"
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda seed: Store(path).append(sound(seed)), range(40)))
    assert sorted(r.seed for r in Store(path).read()) == list(range(40))
