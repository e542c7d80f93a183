import random

import pytest

from bench.leaderboard.selection import select


def started(minute: int) -> dict[str, str]:
    return {"started": f"2025-01-01T00:{minute:02}:00+00:00"}


def kept(selection) -> list[tuple[str, int]]:
    return [(label, seed) for (_, label), seeds in selection.cells.items() for seed in seeds]


def test_the_newest_record_of_a_cell_counts_wherever_it_stands(suite, record):
    old, new = record("gram", 0, 50, provenance=started(1)), record("gram", 0, 60, provenance=started(2))
    for order in ([old, new], [new, old]):
        selection = select(suite, order)
        assert selection.cells["skewed", "gram"][0] is new
        assert selection.set_aside == ("1 record replaced by a newer record of the same cell",)


def test_a_newer_failure_replaces_an_older_success(suite, record):
    old = record("gram", 0, 50, provenance=started(1))
    new = record("gram", 0, status="failed", reason="ran away", provenance=started(2))
    assert select(suite, [new, old]).cells["skewed", "gram"][0].status == "failed"


def test_another_data_set_is_never_mixed_in(suite, record):
    other = {"name": "digits", "variant": "digits-v2", "fingerprint": "beef"}
    records = [
        record("gram", 0, 50),
        record("average", 0, 40, data=other),
        record("gram", 1, 50, provenance=started(9)),
    ]
    selection = select(suite, records)
    assert selection.data[None]["fingerprint"] == "f00d"
    assert kept(selection) == [("gram", 0), ("gram", 1)]
    assert selection.set_aside == ("1 record computed on digits-v2 (beef)",)


def test_rows_and_profiles_that_the_suite_does_not_name_are_counted(suite, record):
    selection = select(suite, [record("soup", 0, 50), record("gram", 0, 50, profile="smoke"), record("gram", 1, 50)])
    assert kept(selection) == [("gram", 1)]
    assert selection.set_aside == ("2 records of rows that the suite does not name (any more)",)


@pytest.mark.parametrize(
    "change",
    [
        {"recipe": {"method_source": "m0"}},  # the method was changed since
        {"recipe": {"scenario_source": "s0"}},  # the judge was
        {"recipe": {"settings": {"parents": 3}}},
        {"params": {"share": 0.5}},  # the suite asks for other parameters now
    ],
)
def test_earlier_code_settings_and_parameters_are_set_aside(suite, record, change):
    records = [record("gram", seed, 50, provenance=started(seed)) for seed in (1, 2)]
    records.append(record("gram", 0, 50, **change))
    random.Random(0).shuffle(records)
    selection = select(suite, records)
    assert kept(selection) == [("gram", 1), ("gram", 2)]
    assert selection.stale == {("skewed", "gram"): 1}
    assert selection.set_aside[-1].startswith("1 record of an earlier state of code")


def test_one_row_on_other_standard_models_of_the_seed_is_set_aside(suite, record):
    records = [
        record("gram", 0, 50, recipe={"zoo": {"parent": "old"}}),
        record("gram", 1, 50),
        record("average", 0, 40, provenance=started(5)),
    ]
    assert kept(select(suite, records)) == [("average", 0), ("gram", 1)]


def test_rows_differ_in_their_methods_and_seeds_in_their_models(suite, record):
    records = [
        record(label, seed, 50, recipe={"method_source": label, "params": {"of": label}, "access": [label]})
        for label in ("gram", "average")
        for seed in (0, 1)
    ]
    assert len(select(suite, records).records) == 4


def test_no_records_at_all(suite):
    selection = select(suite, [])
    assert (selection.cells, selection.data, selection.set_aside) == ({}, {}, ())
