"""`join`: several folders become one, nothing twice, nothing settled in silence, the sources untouched."""

import pytest

from bench.errors import BenchError
from bench.records.store import Store
from bench.running.joining import join
from bench.running.plan import plan
from bench.running.sharding import Shard, part
from bench.suite import suite as suites


@pytest.fixture
def planned(toy, write_suite):
    return plan(suites.load(write_suite(), "smoke"), seeds=(0, 1, 2))


@pytest.fixture
def shards(planned, record_of, tmp_path):
    """Results folders of two shards, and the records of both."""
    records = []
    for index in (1, 2):
        mine = [record_of(cell, 20 + number) for number, cell in enumerate(part(planned, Shard(index, 2)).cells)]
        Store(tmp_path / f"shard{index}" / "toysuite" / "smoke.jsonl").extend(mine)
        records += mine
    return tmp_path / "shard1", tmp_path / "shard2", records


def lines(path):
    return sorted(record.line() for record in Store(path).read())


def test_what_shards_hold_is_in_the_joined_folder_and_a_second_join_adds_nothing(shards, tmp_path):
    one, two, records = shards
    path = tmp_path / "results" / "toysuite" / "smoke.jsonl"
    before = [(folder / "toysuite" / "smoke.jsonl").read_bytes() for folder in (one, two)]
    (joined,) = join([one, two], tmp_path / "results")
    assert (joined.path, joined.added, joined.known, joined.faults) == (path, len(records), 0, [])
    assert lines(path) == sorted(record.line() for record in records)
    (again,) = join([two, one], tmp_path / "results")
    assert (again.added, again.known) == (0, len(records))
    assert before == [(folder / "toysuite" / "smoke.jsonl").read_bytes() for folder in (one, two)]


def test_a_cell_that_two_machines_computed_alike_stands_once_though_their_provenance_differs(shards, tmp_path):
    one, two, records = shards
    other = records[0].model_copy(update={"provenance": {**records[0].provenance, "machine": "another"}})
    Store(two / "toysuite" / "smoke.jsonl").append(other)
    (joined,) = join([one, two], tmp_path / "results")
    assert (joined.added, joined.known, joined.faults) == (len(records), 1, [])


def test_records_that_contradict_each_other_are_both_kept_and_told(shards, tmp_path):
    one, two, records = shards
    metrics = {name: value / 2 for name, value in records[0].metrics.items()}
    Store(two / "toysuite" / "smoke.jsonl").append(records[0].model_copy(update={"metrics": metrics, "examples": {}}))
    (joined,) = join([one, two], tmp_path / "results")
    assert joined.added == len(records) + 1
    assert any(records[0].name in fault and "differ" in fault for fault in joined.faults)


def test_a_damaged_line_costs_itself_alone_and_is_told_with_file_and_line(shards, tmp_path):
    one, two, records = shards
    file = two / "toysuite" / "smoke.jsonl"
    content = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join([content[0].replace(b'"status":"ok"', b'"status":"ko"'), *content[1:]]))
    (joined,) = join([one, two], tmp_path / "results")
    assert joined.added == len(records) - 1
    assert any(f"{file}:1" in fault for fault in joined.faults)


@pytest.mark.parametrize("into", ["shard1", "shard1/../shard1"])
def test_a_folder_is_not_joined_into_itself(shards, tmp_path, into):
    with pytest.raises(BenchError, match="the folder that gets the records"):
        join(shards[:2], tmp_path / into)


def test_a_folder_without_records_is_told_before_anything_is_written(shards, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(BenchError, match=r"no records in .*empty"):
        join([shards[0], tmp_path / "empty"], tmp_path / "results")
    assert not (tmp_path / "results").exists()


def test_archives_stay_where_they_are(shards, tmp_path):
    one, two, records = shards
    Store(one / "toysuite" / "smoke.old.jsonl").append(records[0])
    join([one, two], tmp_path / "results")
    assert [path.name for path in (tmp_path / "results" / "toysuite").glob("*.jsonl")] == ["smoke.jsonl"]
