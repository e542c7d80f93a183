import pytest

from bench.environment import PINNED
from bench.leaderboard.selection import select
from bench.records.vouches import Vouch, Vouches

from .conftest import AskedCell, asked_of


def kept(selection) -> list[tuple[str, int]]:
    return [(label, seed) for (_, label), seeds in selection.cells.items() for seed in seeds]


def selected(suite, records):
    return select(suite, records, asked_of(suite, records))


def test_the_last_record_of_a_cell_in_the_file_counts_whatever_its_date(suite, record):
    old, new = record("gram", 0, 50, provenance={"started": "2099-01-01T00:00:00+00:00"}), record("gram", 0, 60)
    for order in ([old, new], [new, old]):
        selection = selected(suite, order)
        assert selection.cells["skewed", "gram"][0] == order[-1]
        assert selection.set_aside == ()


def test_a_later_failure_replaces_an_earlier_success(suite, record):
    records = [record("gram", 0, 50), record("gram", 0, status="failed", reason="ran away")]
    assert selected(suite, records).cells["skewed", "gram"][0].status == "failed"


def test_another_data_set_is_never_mixed_in(suite, record):
    other = {"name": "digits", "variant": "digits-v2", "fingerprint": "beef"}
    records = [record("average", 0, 40, data=other), record("gram", 0, 50), record("gram", 1, 50)]
    selection = selected(suite, records)
    assert selection.data[None]["fingerprint"] == "f00d"
    assert kept(selection) == [("gram", 0), ("gram", 1)]
    assert selection.set_aside == ("1 record computed on digits-v2 (beef), x86-64-avx2, beside those that count",)


def test_rows_that_the_suite_does_not_name_are_counted(suite, record):
    selection = selected(suite, [record("soup", 0, 50), record("gram", 1, 50)])
    assert kept(selection) == [("gram", 1)]
    assert selection.set_aside == ("1 record of rows that the suite does not name (any more)",)


def test_a_record_of_other_parameters_takes_nothing_off_the_board_though_it_is_the_last(suite, record):
    records = [*(record("gram", seed, 50) for seed in (0, 1)), record("gram", 0, 60, params={"share": 0.5})]
    selection = selected(suite, records)
    assert kept(selection) == [("gram", 0), ("gram", 1)]
    assert selection.cells["skewed", "gram"][0].metrics["accuracy"] == 0.5


def test_a_row_of_other_parameters_alone_is_told(suite, record):
    selection = selected(suite, [record("gram", 0, 60, params={"share": 0.5})])
    assert kept(selection) == []
    assert selection.earlier == {("skewed", "gram"): 1}
    assert selection.set_aside == ("1 record of earlier settings or standard models; run the suite again",)


def test_a_row_is_found_by_what_it_asks_and_shown_under_its_present_name(suite, record):
    selection = selected(suite, [record("soup", 0, 50, method="gram", params={"share": 0.9})])
    assert selection.cells["skewed", "gram"][0].label == "gram"


def test_of_two_environments_the_pinned_one_counts(suite, record):
    records = [record("gram", 0, 50), record("gram", 0, 60, environment="arm64-native-asimd")]
    selection = selected(suite, records)
    assert selection.cells["skewed", "gram"][0].metrics["accuracy"] == 0.5
    assert selection.set_aside[-1].startswith("1 record computed on digits (f00d), arm64-native-asimd")


@pytest.mark.parametrize(("digest", "stale"), [("1" * 16, ()), ("2" * 16, (0,))])
def test_records_of_code_that_moved_count_and_are_told(suite, record, monkeypatch, digest, stale):
    monkeypatch.setattr(Vouches, "shipped", staticmethod(lambda: Vouches(())))
    monkeypatch.setattr("bench.leaderboard.selection.values", lambda _: {"method": "1" * 16})
    selection = selected(suite, [record("gram", 0, 50, digests={"method": digest})])
    assert kept(selection) == [("gram", 0)]
    assert selection.unvouched.get(("skewed", "gram"), ()) == stale
    assert selection.vouched == {}


def test_code_that_moved_and_is_vouched_for_is_told(suite, record, monkeypatch):
    old, new = ({"harness": "", "prepare": "", "score": "", "method": digit * 16} for digit in "12")
    line = Vouch(old=old, new=new, environment=PINNED, cells=(), commit="", machine="", canary="", day="")
    monkeypatch.setattr(Vouches, "shipped", staticmethod(lambda: Vouches([line])))
    monkeypatch.setattr("bench.leaderboard.selection.values", lambda _: new)
    found = {"old": record("gram", 0, 50, digests=old), "new": record("gram", 1, 50, digests=new)}
    selection = selected(suite, list(found.values()))
    assert (selection.vouched, selection.unvouched) == ({("skewed", "gram"): (0,)}, {})


def test_no_records_at_all(suite):
    selection = select(suite, [], {("skewed", "gram", 0): [AskedCell({})]})
    assert (selection.cells, selection.data, selection.set_aside) == ({}, {}, ())
