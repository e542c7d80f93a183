"""Records: round trips, packed answers, contradictions, frames."""

import base64
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import bench
from bench.errors import BenchError
from bench.records import png
from bench.records.frame import as_frame, load_results
from bench.records.parsing import parse
from bench.records.record import Examples, conflicts, pack
from bench.records.store import Store

PIXEL = base64.b64encode(png.encode(np.zeros((1, 1, 1), dtype=np.uint8))).decode()


@given(st.lists(st.booleans(), max_size=40))
def test_correctness_survives_packing(bits):
    assert pack(np.array(bits, dtype=bool)).bits().tolist() == bits


def test_a_record_reads_back_as_it_was(sound):
    for record in (
        sound(0),
        sound(1, status="failed", reason="why: Ü\n\u2028", metrics={}, examples={}),
        sound(2, curves={"accuracy": [(0.5, 0.25), (1.0, 0.75)]}, pictures={"images": PIXEL}, weights={"net": "ab"}),
        sound(3, asked={"search": {"x": [0.1, 0.5]}, "trials": 4}, params={"x": 0.1}),
    ):
        line = record.line()
        assert "\n" not in line
        assert parse(line, "here") == record
        assert parse(line, "here").line() == line


def test_optional_fields_that_are_empty_are_not_written(sound):
    assert not {"curves", "pictures", "weights"} & set(sound().line().split('"'))
    seen = sound(curves={"accuracy": [(0.5, 0.25)]}, pictures={"images": PIXEL})
    assert not {"curves", "pictures"} & set(as_frame([seen]))


@pytest.mark.parametrize("picture", ["no base64!", "R0lGODlh"])
def test_a_picture_that_is_no_png_is_refused(sound, picture):
    with pytest.raises(ValueError, match=r"pictures\.images"):
        sound(pictures={"images": picture})


def test_numbers_that_json_lacks_are_refused(sound):
    with pytest.raises(ValueError, match="JSON"):
        sound(metrics={"accuracy": float("nan")}).line()


@pytest.mark.parametrize("n", [-1, 92, 96, 99, 105, 112, 10**8, 10**15])
def test_bits_that_are_not_n_are_refused(n):
    packed = pack(np.ones(100, dtype=bool))
    with pytest.raises(ValueError, match=r"number of examples|bits"):
        Examples(n=n, correct=packed.correct).bits()


def test_two_records_of_one_key_and_code_with_other_numbers_are_told(sound):
    (told,) = conflicts([sound(0, 25), sound(1, 25), sound(0, 30)])
    assert "a/m/0" in told
    assert sound(0).key in told
    assert "accuracy" in told
    assert "the later one counts" in told
    (told,) = conflicts([sound(0), sound(0, metrics={"accuracy": 0.25, "nll": 1.25, "ece": 0.5})])
    assert "differ in ece;" in told
    (told,) = conflicts([sound(0), sound(0, examples={"test": pack(np.arange(100) < 25)})])
    assert "differ in examples.test;" in told


def test_records_that_may_differ_are_no_contradiction(sound):
    clocked = {"settings": {"seconds": 2.0}}
    assert conflicts([sound(0), sound(0)]) == []
    assert conflicts([sound(0, 25), sound(0, 30, digests={"kind": "other"})]) == []
    assert conflicts([sound(0, 25, asked=clocked), sound(0, 30, asked=clocked)]) == []
    failed = sound(0, status="failed", reason="why", metrics={}, examples={})
    assert conflicts([failed, sound(0)]) == []
    elsewhere = {"canary": "c2", "started": "2025-01-01"}
    assert conflicts([sound(0, 25), sound(0, 30, provenance=elsewhere)]) == []


def test_equal_answers_that_were_compressed_otherwise_are_no_contradiction(sound):
    import zlib

    bits = sound(0).correct()
    loose = base64.b64encode(zlib.compress(np.packbits(bits).tobytes(), 0)).decode()
    assert loose != pack(bits).correct
    assert conflicts([sound(0), sound(0, examples={"test": Examples(n=100, correct=loose)})]) == []


def test_load_results_reads_a_folder_into_a_frame(tmp_path, sound, file_of):
    file_of([sound(0)], "x/smoke.jsonl")
    file_of([sound(1, profile="cpu")], "y/cpu.jsonl")
    (tmp_path / "y" / "cpu.looks.jsonl").write_text("{}\n")
    frame = load_results(tmp_path)
    assert frame["accuracy"].tolist() == [0.25, 0.25]
    assert set(frame["profile"]) == {"smoke", "cpu"}
    assert frame["costs.seconds"].tolist() == [1.0, 1.0]
    assert frame["params"].tolist() == [{"x": 0.5}] * 2
    assert as_frame([sound(0)]).loc[0, "params"] == {"x": 0.5}


def test_load_results_gives_one_row_a_cell_and_history_all(sound, file_of):
    records = [sound(0, 25), sound(0, 30, digests={"kind": "new"}), sound(1, 40), sound(1, 50, asked={"trials": 3})]
    path = file_of([*records, sound(2, 60)])
    assert load_results(path)["accuracy"].tolist() == [0.3, 0.5, 0.6]
    assert load_results(path, history=True)["accuracy"].tolist() == [0.25, 0.3, 0.4, 0.5, 0.6]


def test_load_results_warns_of_every_damaged_line_where_it_was_called(sound, lines_in):
    lines = [sound(seed).line() for seed in range(5)]
    lines[1], lines[3] = lines[1].replace('"a"', '"b"'), "no record"
    path = lines_in(lines)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        frame = bench.load_results(path)
    assert frame["seed"].tolist() == [0, 2, 4]
    assert [str(warning.message).split(": ")[0] for warning in told] == [f"{path}:2", f"{path}:4"]
    assert {warning.filename for warning in told} == {__file__}
    assert {warning.category for warning in told} == {UserWarning}


def test_load_results_warns_of_a_contradiction(sound, file_of):
    with pytest.warns(UserWarning, match=r"smoke\.jsonl: two records of a/m/0 .* accuracy"):
        load_results(file_of([sound(0, 25), sound(0, 30)]))


def test_load_results_never_reads_an_archive_of_a_folder(tmp_path, sound, file_of):
    file_of([sound(0)])
    file_of([sound(1)], "s/smoke.old.jsonl")
    assert load_results(tmp_path)["seed"].tolist() == [0]
    assert load_results(tmp_path, history=True)["seed"].tolist() == [0]


def test_load_results_says_where_nothing_is(tmp_path):
    with pytest.raises(BenchError, match="no records under"):
        load_results(tmp_path)


def test_an_empty_file_is_an_empty_frame(file_of):
    assert len(load_results(file_of([]))) == 0
    assert Store(file_of([])).content().faults == ()


def test_a_byte_order_mark_and_other_line_ends_are_passed_over(sound, tmp_path):
    path = tmp_path / "cpu.jsonl"
    lines = [sound(seed).line() for seed in (0, 1)]
    path.write_bytes(b"\xef\xbb\xbf" + "".join(f"{line}\r\n" for line in lines).encode())
    assert [r.seed for r in Store(path).read()] == [0, 1]
