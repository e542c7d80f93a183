"""Lines that cannot be true are told with file, line and field, and never counted, whatever their checksum says."""

import base64
import json
import random
import zlib

import pytest

from bench.errors import BenchError
from bench.leaderboard import build
from bench.records.frame import as_frame
from bench.records.parsing import LONGEST, parse
from bench.records.record import key_of
from bench.records.store import Store
from bench.running.plan import plan
from bench.suite import suite as suites


def content_of(record):
    content = json.loads(record.line())
    content.pop("sum")
    return content


def packed(content, n):
    return {"n": n, "correct": base64.b64encode(zlib.compress(content, 9)).decode()}


def bomb():
    return packed(bytes(10**7), 100)


LIES: dict[str, tuple[dict[str, object], str]] = {  # what is set, by dotted field -> the field that the message names
    "the key of another question": ({"key": "0" * 20}, "key"),
    "another accuracy than the answers'": ({"metrics.accuracy": 0.9}, "metrics.accuracy"),
    "another accuracy of other answers": (
        {"metrics.forget_accuracy": 0.5, "examples.forget": packed(b"\xff", 8)},
        "metrics.forget",
    ),
    "an accuracy above one": ({"metrics.accuracy": 25.0}, "metrics.accuracy"),
    "a share below zero": ({"metrics.ece": -0.5}, "metrics.ece"),
    "too few examples": ({"examples.test.n": 99}, "(examples.test|metrics.accuracy)"),
    "too many examples": ({"examples.test.n": 101}, "metrics.accuracy"),
    "very many examples": ({"examples.test.n": 10**15}, "examples.test"),
    "fewer than no examples": ({"examples.test.n": -1}, "examples.test"),
    "a bomb": ({"examples.test": bomb()}, "examples.test"),
    "a bomb that says its size": ({"examples.test": packed(bytes(10**7), 10**12)}, "examples.test"),
    "answers that are no base64": ({"examples.test.correct": "Ä"}, "examples.test"),
    "answers that are no zlib": ({"examples.test.correct": "AAAA"}, "examples.test"),
    "more behind the answers": ({"examples.test.correct": packed(bytes(13), 0)["correct"][:-4] + "AAAA"}, "examples"),
    "no metrics": ({"metrics": {}, "examples": {}}, "metrics"),
    "no reason": ({"status": "failed"}, "reason"),
    "another status": ({"status": "good"}, "status"),
    "true for a metric": ({"metrics.nll": True}, "metrics.nll"),
    "true for n": ({"examples.test.n": True}, "examples.test.n"),
    "true for a seed": ({"seed": True}, "seed"),
    "true for a cost": ({"costs.seconds": True}, "costs.seconds"),
    "true for seconds": ({"provenance.seconds": True}, "provenance.seconds"),
    "a number in quotes": ({"metrics.nll": "1.25"}, "metrics.nll"),
    "a whole number for a metric": ({"metrics.nll": 1}, "nll or near it"),
    "an immense number": ({"metrics.nll": 10**400}, "metrics.nll"),
    "nothing for a metric": ({"metrics.nll": None}, "metrics.nll"),
    "negative seconds": ({"provenance.seconds": -1.0}, "provenance.seconds"),
    "negative costs": ({"costs.seconds": -1.0}, "costs.seconds"),
    "negative costs within": ({"costs.samples": {"teacher": -1}}, "costs.samples.teacher"),
    "samples that are no table": ({"costs.samples": 3}, "costs.samples"),
    "a table of costs": ({"costs.flops": {"a": 1}}, "costs.flops"),
    "a cost that is text": ({"costs.flops": "many"}, "costs.flops"),
    "no date": ({"provenance.started": "yesterday"}, "provenance.started"),
    "a number for a date": ({"provenance.started": 20250101}, "provenance.started"),
    "no start": ({"provenance": {}}, "provenance.started"),
    "a list of versions": ({"provenance.versions": ["3.11"]}, "provenance.versions"),
    "a device that is a number": ({"provenance.device": 0}, "provenance.device"),
    "a commit that is a list": ({"provenance.commit": []}, "provenance.commit"),
    "a canary that is a list": ({"provenance.canary": ["c"]}, "provenance.canary"),
    "other parameters": ({"params": {"x": 0.6}}, "params"),
    "true for a parameter": ({"params": {"x": True}}, "params"),
    "more parameters": ({"params": {"x": 0.5, "y": 1}}, "params"),
    "another scenario": ({"scenario": "b"}, "scenario"),
    "another kind": ({"kind": "b"}, "kind"),
    "another method": ({"method": "b"}, "method"),
    "another seed": ({"seed": 1}, "seed"),
    "another data set": ({"data.name": "cifar10"}, "data.name"),
    "other data": ({"data.fingerprint": "f" * 16}, "data.fingerprint"),
    "data without a name": ({"data": {}}, "data.name"),
    "another environment": ({"provenance.environment": "x86_64-native-avx512f"}, "provenance.environment"),
    "a field that no record has": ({"colour": "red"}, "colour"),
    "a surrogate": ({"params.x": "\ud800"}, "params.x"),
    "a surrogate in a name": ({"label": "\udc80"}, "label"),
    "a curve that is none": ({"curves": {"accuracy": 3}}, "curves.accuracy"),
    "a point that is none": ({"curves": {"accuracy": [[0.5]]}}, "curves.accuracy"),
    "a picture that is none": ({"pictures": {"images": "AAAA"}}, "pictures.images"),
    "a table that is a list": ({"metrics": []}, "metrics"),
}


def put(content, changes):
    for place, value in changes.items():
        *path, last = place.split(".")
        inner = content
        for name in path:
            inner = inner[name]
        inner[last] = value
    return content


@pytest.mark.parametrize("lie", LIES)
def test_a_record_cannot_lie(sound, line_of, lie):
    changes, field = LIES[lie]
    content = put(content_of(sound()), changes)
    written = json.dumps(content, separators=(",", ":"), ensure_ascii="surrogate" in lie)
    line = line_of(written)
    with pytest.raises(BenchError, match=rf"^here:7: .*field {field}") as told:
        parse(line, "here:7")
    str(told.value).encode()
    assert str(told.value).isprintable()
    assert len(str(told.value)) < LONGEST + 100


ASKED = {  # with a key that fits
    "no settings": ({"settings": None}, "asked.settings"),
    "settings that are a list": ({"settings": []}, "asked.settings"),
    "parameters that are none": ({"params": None}, "asked.params"),
    "no data": ({"data": None}, "asked.data"),
    "data of a strange shape": ({"data": {"name": "digits", "train": -3}}, "asked.data"),
    "no fingerprint": ({"fingerprint": None}, "asked.fingerprint"),
    "a zoo that is a list": ({"zoo": []}, "asked.zoo"),
    "a model that is a table": ({"zoo": {"teacher": {}}}, "asked.zoo.teacher"),
    "no environment": ({"environment": None}, "asked.environment"),
    "a search that is none": ({"search": None}, "asked.search"),
    "true for a seed": ({"seed": False}, "seed"),
    "another seed": ({"seed": 3}, "seed"),
}


@pytest.mark.parametrize("lie", ASKED)
def test_a_question_that_nobody_asks_is_told(sound, line_of, lie):
    changes, field = ASKED[lie]
    content = content_of(sound())
    content["asked"] |= changes
    content["key"] = key_of(content["asked"])
    with pytest.raises(BenchError, match=rf"^here:7: .*field {field}"):
        parse(line_of(content), "here:7")


@pytest.mark.parametrize(
    ("number", "field"),
    [("NaN", "no number"), ("Infinity", "no number"), ("-Infinity", "no number"), ("1e999", "no number"),
     ("1.250", "near it"), ("125e-2", "near it"), ("1" * 5000, "")],
)  # fmt: skip
def test_numbers_that_no_record_has_are_told(sound, line_of, number, field):
    body = json.dumps(content_of(sound()), separators=(",", ":")).replace('"nll":1.25', f'"nll":{number}')
    with pytest.raises(BenchError, match=rf"^here:7: .*{field}") as told:
        parse(line_of(body), "here:7")
    assert len(str(told.value)) < LONGEST + 100


@pytest.mark.parametrize("place", ["params", "asked", "costs", "provenance"])
@pytest.mark.parametrize("depth", [60, 300, 100_000])
def test_huge_nesting_is_told(sound, line_of, place, depth):
    body = json.dumps(content_of(sound()), separators=(",", ":"))
    deep = '{"a":' * depth + "1" + "}" * depth
    with pytest.raises(BenchError, match=r"^here:7: field a: nested too deeply"):
        parse(line_of(body.replace(f'"{place}":{{', f'"{place}":{{"deep":{deep},', 1)), "here:7")


def test_a_key_that_stands_twice_is_told(sound, line_of):
    body = json.dumps(content_of(sound()), separators=(",", ":"))
    twice = body.replace('"nll":1.25', '"nll":9.5,"nll":1.25')
    with pytest.raises(BenchError, match=r"^here:7: field (accuracy|nll) or near it: .*twice"):
        parse(line_of(twice), "here:7")
    with pytest.raises(BenchError, match=r"^here:7: field .*twice"):
        parse(line_of(body[:-1] + ',"seed":0}'), "here:7")


@pytest.mark.parametrize(
    ("schema", "said"),
    [(1, "version 0.1.*run it again"), (3, "written by a later version.*upgrade"), (99, "upgrade"), (0, "schema: 0"),
     (True, "schema: True"), (2.0, "schema: 2.0"), ("2", "schema: '2'"), (None, "schema: None"), (-1, "schema: -1")],
)  # fmt: skip
def test_records_of_other_versions_say_what_to_do(sound, line_of, schema, said):
    content = {**content_of(sound()), "schema": schema}
    with pytest.raises(BenchError, match=f"^here:7: field schema: .*{said}|^here:7: field {said}"):
        parse(line_of(content), "here:7")
    if schema == 1:  # they had no checksum
        with pytest.raises(BenchError, match=said):
            parse(json.dumps(content), "here:7")


@pytest.mark.parametrize("line", ["not json", "[]", "3", "null", "{}", '{"key":"k"}', '{"schema":2}', " ", "\ud800"])
def test_a_line_that_is_no_record_is_named(tmp_path, line):
    with pytest.raises(BenchError, match=r"^here:2: (field|not a record)"):
        parse(line, "here:2")


def test_what_was_changed_without_its_checksum_is_told(sound):
    line = sound().line().replace('"nll":1.25', '"nll":1.35')
    with pytest.raises(BenchError, match=r"^here:7: field sum: the line was changed since it was written \(a/m/0\)"):
        parse(line, "here:7")


def test_a_message_holds_no_control_characters(sound, line_of):
    content = put(content_of(sound()), {"label": "a\x1b[31mred\nb", "metrics.accuracy": 0.9})
    with pytest.raises(BenchError, match=r"\\x1b\[31mred\\nb"):
        parse(line_of(content), "here:7")


def test_a_lie_costs_its_own_line_only(sound, line_of, lines_in):
    lines = [sound(seed).line() for seed in range(3)]
    lines[1] = line_of(put(content_of(sound(1)), {"metrics.accuracy": 0.9}))
    content = Store(lines_in(lines)).content()
    assert [record.seed for record in content.records] == [0, 2]
    assert len(content.faults) == 1
    assert "smoke.jsonl:2: field metrics.accuracy: 0.9" in content.faults[0]


ODD = [None, True, -1, 0, 1.5, 10**30, "", "x", "\ud800", [], {}, [1], {"a": 1}, [[]], {"a": {"b": []}}, "2025", 1e300]


def places(value, at=()):
    for name, inner in value.items() if isinstance(value, dict) else ():
        yield (*at, name)
        yield from places(inner, (*at, name))


def test_no_odd_value_ends_in_a_traceback(toy, write_suite, record_of, line_of):
    planned = plan(suites.load(write_suite(), "smoke"))
    first, *others = [record_of(cell) for cell in planned.cells]
    draw, read = random.Random(0), 0
    for _ in range(400):
        content = content_of(first)
        place = draw.choice(list(places(content)))
        put(content, {".".join(place): draw.choice(ODD)})
        if place[0] == "asked" and isinstance(content["asked"], dict):
            content["key"] = key_of(content["asked"])
        try:
            record = parse(line_of(json.dumps(content, separators=(",", ":"))), "here:1")
        except BenchError:
            continue
        read += 1
        as_frame([record, *others])
        if read % 4 == 0:
            build(planned.suite, [record, *others])
    assert 20 < read < 200  # what boards do not look at may hold anything
