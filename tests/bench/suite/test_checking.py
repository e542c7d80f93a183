"""`check`: what it refuses beyond the schema, and the JSON Schema that it prints."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest

from bench import registry
from bench.errors import SuiteError
from bench.suite import suite as suites
from bench.suite.checking import check
from bench.suite.json_schema import json_schema
from bench.suite.layers import with_profile

RESULTS = Path(__file__).parents[3] / "results"


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft202012Validator:
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.mark.parametrize("name", list(suites.shipped()))
def test_the_schema_takes_our_suites_in_all_their_profiles(validator, name):
    path = suites.find(name)
    content = suites.read(path)
    assert not [f"{error.json_path}: {error.message[:200]}" for error in validator.iter_errors(content)]
    for profile in content["profiles"]:
        merged = with_profile(content, path, profile) | {"profiles": {profile: {}}}
        assert not [f"{error.json_path}: {error.message[:200]}" for error in validator.iter_errors(merged)]


SUITE = """
title = "t"
[data]
name = "digits"
train = 200
[models.m]
arch = "mlp"
[scenarios.f]
kind = "fuse"
model = "m"
methods = [{ method = "ot-fusion", label = "mine" }]
[claims.c]
paper = "p"
says = "s"
scenario = "f"
compare = { better = "mine", worse = "average" }
[profiles.cpu]
"""


@pytest.mark.parametrize(
    ("old", "new", "taken"),
    [
        ("", "", True),
        ('kind = "fuse"', 'kind = "fuse"\nextends = ["f"]', False),
        ('kind = "fuse"', 'kind = "fuse"\ntrials = -1', False),
        ('kind = "fuse"', 'kind = "fuse"\nmax_seconds = 0', False),
        ('label = "mine"', 'label = "a|b"', False),
        ('label = "mine"', 'label = "mine "', False),
        ('label = "mine"', 'label = "mi\\u0007ne"', False),
        ('label = "mine"', 'label = "-mine"', False),
        ('label = "mine"', 'label = "m"', True),
        ('name = "digits"', 'name = "digitz"', False),
        ('name = "digits"', 'name = "digits"\noffline = "shapes32"', True),
        ('label = "mine"', 'label = "ünï→模型"', True),
        ('label = "mine"', "search = { unit_norm = [true, false] }", True),
        ('label = "mine"', "search = { nothing = [1, 2] }", False),
        ("[scenarios.f]", '[scenarios."a/b"]', False),
        ("[scenarios.f]", "[rows.r]\not-fusion = { reg = 0.1 }\nmine = { method = 'ot-fusion' }\n[scenarios.f]", True),
        ("[scenarios.f]", "[rows.r]\not-fusion = { regg = 0.1 }\n[scenarios.f]", False),
        ("[scenarios.f]", "[rows.r]\not-fusion = { label = 'x' }\n[scenarios.f]", False),
        ("[scenarios.f]", "[rows.r]\nmine = { reg = 0.1 }\n[scenarios.f]", False),
        (
            '{ method = "ot-fusion", label = "mine" }',
            '{ rows = "r", without = ["a"], change = { b = { reg = 1.0 } } }',
            True,
        ),
        ('{ method = "ot-fusion", label = "mine" }', '{ rows = "r", witout = ["a"] }', False),
        ('{ method = "ot-fusion", label = "mine" }', '{ rows = "r", change = { b = { method = "average" } } }', False),
        ('scenario = "f"', 'scenarios = ["f"]', True),
        ('scenario = "f"', 'scenarios = { f = "x" }', True),
        ('scenario = "f"', "scenarios = []", False),
        ('scenario = "f"', 'scenario = "f"\nscenarios = ["f"]', False),
        ('scenario = "f"\n', "", False),
        ("[profiles.cpu]", "[profiles]", False),
        ('worse = "average"', 'worse = "average", margn = 0.1', False),
        ("[profiles.cpu]", '[profiles."gpu/a100"]', False),
        ("[profiles.cpu]", "[profiles.cpu]\nextends = 3", False),
        ("[profiles.cpu]", "[profiles.cpu]\nseedz = [1]", False),
    ],
)
def test_the_schema_knows_every_key(validator, write_suite, old, new, taken):
    content = suites.read(write_suite(text=SUITE.replace(old, new)))
    assert validator.is_valid(content) == taken, [error.message for error in validator.iter_errors(content)]


def test_an_editor_that_reads_patterns_as_javascript_does_takes_ours(validator):
    def patterns(schema: object) -> Iterator[str]:
        if isinstance(schema, list):
            for part in schema:
                yield from patterns(part)
        if isinstance(schema, dict):
            yield from (value for key, value in schema.items() if key == "pattern" and isinstance(value, str))
            yield from schema.get("patternProperties", {})
            for part in schema.values():
                yield from patterns(part)

    found = set(patterns(validator.schema))
    assert found
    # Under its flag `u`, JavaScript refuses a backslash before anything but these.
    assert not {pattern for pattern in found if re.sub(r"\\[\^$.*+?()[\]{}|/\\sSdDwWbBnrtx-]", "", pattern).count("\\")}


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (
            'worse = "average"',
            'worse = "average", metric = "acuracy"',
            "claim 'c': metric: unknown metric 'acuracy' of fuse scenarios; did you mean 'accuracy'",
        ),
        ('worse = "average"', 'worse = "average", metric = "samples"', "claim 'c': metric: unknown metric 'samples'"),
        ('worse = "average"', 'worse = "average", metric = "relearn_steps"', "'relearn_steps' of fuse scenarios"),
        ("[models.m]", "[recipe]\nbatch_size = 201\n[models.m]", r"\[recipe\] batch_size = 201 is more than the 200"),
        (
            'arch = "mlp"',
            'arch = "mlp"\nrecipe = { batch_size = 300 }',
            r"\[models.m.recipe\] batch_size = 300 is more",
        ),
        (
            'model = "m"',
            'model = "m"\nstart = "shared-base"\nfine_tune = { batch_size = 999 }',
            r"\[scenarios.f.fine_tune\] batch_size = 999",
        ),
        ('model = "m"', 'model = "m"\nparents = 1000000000000', "parents is beyond what a suite may ask for"),
        ('label = "mine"', 'label = "parent-0"', r"labelled 'parent-0', like the reference \(parent, index = 0\)"),
        ('"ot-fusion", label = "mine"', '"parent", index = 1, label = "parent-0"', "like the reference"),
        ('model = "m"', 'model = "m"\nlower = "ensemble"', "lower and upper are both 'ensemble'"),
    ],
)
def test_check_refuses_what_cannot_be_meant(write_suite, old, new, told):
    with pytest.raises(SuiteError, match=told):
        check(write_suite(text=SUITE.replace(old, new, 1)))


@pytest.mark.parametrize("metric", ["accuracy", "nll", "barrier", "accuracy_owner_1", "seconds", "tuning_seconds"])
def test_check_takes_what_is_measured(write_suite, metric):
    check(write_suite(text=SUITE.replace('worse = "average"', f'worse = "average", metric = "{metric}"')))


def test_every_metric_of_the_committed_records_is_declared_by_its_kind():
    registry.discover()
    found: set[tuple[str, str]] = set()
    for path in RESULTS.glob("*/*.jsonl"):
        for kind, metrics in re.findall(r'"kind":"([^"]*)".*?"metrics":(\{[^}]*\})', path.read_text(encoding="utf-8")):
            found |= {(kind, metric) for metric in json.loads(metrics)}
    assert found
    assert not {(kind, metric) for kind, metric in found if not registry.SCENARIOS.get(kind).declares(metric)}
