"""`bench compact`: one record a cell is left, boards stay as they are, and nothing is lost on the way."""

import os
from functools import partial
from pathlib import Path

import pytest

from bench.errors import BenchError
from bench.leaderboard import build, write
from bench.records.compacting import archive_of, compact
from bench.records.frame import load_results
from bench.records.store import Store
from bench.running.plan import keys_asked, plan
from bench.suite import suite as suites


@pytest.fixture
def planned(toy, write_suite):
    path = write_suite(methods=["toy-noisy-mean"])
    return plan(suites.load(path, "smoke"))


@pytest.fixture
def results(planned, record_of, file_of):
    """Records of a cell that was run twice, of one that was asked otherwise, and of a row that is no more."""
    new = {"kind": "today"}
    records = [record_of(cell, 20 + number) for number, cell in enumerate(planned.cells)]
    first = planned.cells[0]
    earlier = record_of(first, 10, digests={"kind": "yesterday"})
    otherwise = record_of(first, 12, asked=first.asked | {"threads": 7})
    gone = [
        record_of(first, n, asked=first.asked | {"method": "gone"}, label="gone", digests=d)
        for n, d in ((5, {}), (6, new))
    ]
    return file_of([earlier, otherwise, *records, *gone, otherwise], "toysuite/smoke.jsonl")


def board_of(suite, path, folder):
    content = Store(path).content()
    written = write(build(suite, content.records, content.faults), folder)
    return {file.name: file.read_bytes() for file in map(Path, written)}


def test_one_record_a_cell_is_left_and_the_board_stays_as_it_is(planned, results, tmp_path):
    suite, before = planned.suite, Store(results).read()
    board = board_of(suite, results, tmp_path / "before")
    left, taken = compact(results, partial(keys_asked, suite), drop=False)
    after = Store(results).read()
    assert (left, taken) == (len(after), len(before) - len(after))
    assert taken == 4
    assert len({(r.scenario, r.label, r.seed) for r in after}) == len(after)
    assert {cell.key for cell in planned.cells} <= {r.key for r in after}
    assert board_of(suite, results, tmp_path / "after") == board
    archived = Store(archive_of(results)).read()
    assert sorted(r.line() for r in (*after, *archived)) == sorted(r.line() for r in before)


def test_compacting_twice_is_compacting_once(planned, results):
    compact(results, partial(keys_asked, planned.suite), drop=False)
    once = results.read_bytes(), archive_of(results).read_bytes(), results.stat().st_mtime_ns
    assert compact(results, partial(keys_asked, planned.suite), drop=False)[1] == 0
    assert (results.read_bytes(), archive_of(results).read_bytes(), results.stat().st_mtime_ns) == once


def test_the_archive_is_added_to_and_never_read_as_results(planned, results, record_of):
    compact(results, partial(keys_asked, planned.suite), drop=False)
    before = archive_of(results).read_bytes()
    Store(results).append(record_of(planned.cells[1], 70, digests={"kind": "newer"}))
    assert compact(results, partial(keys_asked, planned.suite), drop=False)[1] == 1
    after = archive_of(results).read_bytes()
    assert after.startswith(before)
    assert after.count(b"\n") == before.count(b"\n") + 1
    frame = load_results(results.parent, history=True)
    assert len(frame) == len(Store(results).read())


def test_what_is_dropped_is_not_archived(planned, results):
    assert compact(results, partial(keys_asked, planned.suite), drop=True)[1] == 4
    assert not archive_of(results).exists()


def test_the_frame_is_that_of_the_board_after_compacting(planned, results):
    compact(results, partial(keys_asked, planned.suite), drop=True)
    frame = load_results(results)
    assert frame.groupby(["scenario", "label", "seed"]).size().max() == 1
    shown = {r.key: r.metrics["accuracy"] for r in Store(results).read()}
    own = frame[frame["label"] != "gone"].set_index("key")["accuracy"]
    assert own.to_dict() == {cell.key: shown[cell.key] for cell in planned.cells}


def test_a_damaged_line_or_a_contradiction_is_refused_and_nothing_changes(planned, results, record_of):
    whole = results.read_bytes()
    contradiction = record_of(planned.cells[1], 90).line().encode() + b"\n"
    for content, said in (
        (whole.replace(b'"nll":1.25', b'"nll":1.35', 1), r"smoke\.jsonl:1: field sum"),
        (whole + contradiction, "two records of .* one code differ in accuracy"),
        (whole.replace(b'"schema":2', b'"schema":3', 1), "later version"),
    ):
        results.write_bytes(content)
        with pytest.raises(BenchError, match=f"(?s){said}.*is left as it is"):
            compact(results, partial(keys_asked, planned.suite), drop=False)
        assert results.read_bytes() == content
        assert not archive_of(results).exists()


def test_a_torn_last_line_is_set_aside(planned, results):
    whole = results.read_bytes()
    results.write_bytes(whole + b'{"sum":"0')
    compact(results, partial(keys_asked, planned.suite), drop=False)
    assert results.with_suffix(".jsonl.torn").read_bytes() == b'{"sum":"0\n'
    assert Store(results).content().faults == ()


def test_a_full_disk_at_any_point_loses_nothing(planned, results, monkeypatch):
    whole, lines = results.read_bytes(), set(results.read_bytes().splitlines())
    real, calls, fails = Path.replace, [], [0]

    def full(self, target):
        calls.append(target)
        if len(calls) == fails[0]:
            raise OSError(28, "No space left on device")
        return real(self, target)

    monkeypatch.setattr(Path, "replace", full)
    for fails[0] in (1, 2):
        calls.clear()
        with pytest.raises(BenchError, match="No space left"):
            compact(results, partial(keys_asked, planned.suite), drop=False)
        assert results.read_bytes() == whole
    fails[0] = 0
    compact(results, partial(keys_asked, planned.suite), drop=False)
    archived = archive_of(results).read_bytes().splitlines()
    assert {*archived, *results.read_bytes().splitlines()} == lines
    assert len(archived) == 4
    assert not list(results.parent.glob("*.tmp"))


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions")
def test_who_may_read_the_file_may_read_it_still(planned, results):
    results.chmod(0o664)
    compact(results, partial(keys_asked, planned.suite), drop=False)
    assert {path.stat().st_mode & 0o777 for path in (results, archive_of(results))} == {0o664}
