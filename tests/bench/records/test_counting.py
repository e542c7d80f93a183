"""Which record counts: by key and place in the file, never by date."""

from bench.environment import PINNED
from bench.records.counting import asked_again, counting, latest, one_a_cell

OTHER = {"environment": "x86_64-native-avx512f"}


def test_the_last_record_of_a_key_counts_whatever_its_date(sound):
    late = {"started": "2099-01-01T00:00:00+00:00"}
    old, new = sound(0, 25, provenance=late), sound(0, 30)
    for order in ([old, new], [new, old]):
        assert latest(order) == {old.key: order[1]}
        assert counting(order) == one_a_cell(order) == [order[1]]


def test_records_that_count_keep_the_order_of_the_file(sound):
    records = [sound(0), sound(1), sound(0, 30), sound(2)]
    assert [r.seed for r in counting(records)] == [1, 0, 2]
    assert list(latest(records)) == [sound(1).key, sound(0).key, sound(2).key]


def test_of_two_questions_at_one_place_the_last_counts_where_no_suite_is_known(sound):
    first, second = sound(0, 25), sound(0, 30, asked={"threads": 2})
    assert counting([first, second]) == [second]
    assert counting([second, first]) == [first]
    assert counting([first, second, first]) == [first]


def test_of_two_questions_at_one_place_the_one_counts_that_the_suite_asks(sound):
    first, second = sound(0, 25), sound(0, 30, asked={"threads": 2})
    for order in ([first, second], [second, first], [first, second, second]):
        assert counting(order, {first.key}) == [first]
        assert counting(order, {second.key}) == [second]
        assert {r.key for r in counting(order, {first.key, second.key})} == {first.key, second.key}


def test_rows_seeds_and_environments_are_places_of_their_own(sound):
    records = [sound(0), sound(1), sound(0, label="n"), sound(0, asked={"scenario": "b"}), sound(0, asked=OTHER)]
    assert counting(records) == records


def test_counting_what_counts_changes_nothing(sound):
    records = [sound(s % 3, 20 + n, asked={"threads": n % 2}) for n, s in enumerate((0, 1, 2, 0, 1, 1, 2, 0))]
    for keys in (set(), {records[0].key}, {r.key for r in records}):
        kept = counting(records, keys)
        assert counting(kept, keys) == kept


def test_one_row_a_cell_is_that_of_the_pinned_environment(sound):
    pinned, native = sound(0, 25), sound(0, 30, asked=OTHER)
    assert pinned.environment == PINNED
    for order in ([pinned, native], [native, pinned]):
        assert one_a_cell(order) == [pinned]
    assert one_a_cell([native]) == [native]


def test_one_row_a_cell_is_on_the_data_of_the_scenarios_last_record(sound):
    other = {"fingerprint": "f" * 16}
    records = [sound(0), sound(1), sound(0, asked=other), sound(2, asked={"scenario": "b"})]
    assert one_a_cell(records) == records[2:]
    assert one_a_cell([*records, sound(1)]) == [sound(0), records[3], sound(1)]


def test_what_is_asked_again_becomes_the_last_once_more(sound):
    first, second = sound(0, 25), sound(0, 30, asked={"threads": 2})
    assert asked_again([first, second, sound(1)], [first, sound(1)]) == [first]
    assert asked_again([first, second, first], [first]) == []
    assert one_a_cell([first, second, *asked_again([first, second], [first])]) == [first]
