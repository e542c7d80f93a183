"""A scenario is not set on data that it does not take, nor a model on data that it cannot read."""

import pytest

from bench import registry
from bench.errors import BenchError, SuiteError
from bench.running.plan import plan
from bench.suite import suite as suites
from bench.suite.checking import check

SUITE = """
title = "Kinds"
[data]
name = "digits"
[datasets.other]
name = "OTHER"
[recipe]
augment = "none"
[models.m]
arch = "ARCH"
[scenarios.s]
kind = "KIND"
data = "other"
SETTINGS
[profiles.smoke]
"""
SETTINGS = {
    "datafree": 'teacher = "m"\nstudent = "m"',
    "distill": 'teacher = "m"\nstudent = "m"',
    "unlearn": 'model = "m"\nrequest = "class"\nforget_class = 1',
}


def written(write_suite, kind, other, arch, old="", new=""):
    text = SUITE.replace("KIND", kind).replace("OTHER", other).replace("ARCH", arch)
    return write_suite(text=text.replace("SETTINGS", SETTINGS[kind]).replace(old, new))


@pytest.mark.parametrize(
    ("kind", "other", "told"),
    [
        ("datafree", "grammar6", "data set grammar6 holds texts, and scenario s of kind 'datafree' takes images"),
        (
            "unlearn",
            "breast_cancer",
            "breast_cancer holds tables, and scenario s of kind 'unlearn' takes images or texts",
        ),
    ],
)
def test_a_scenario_refuses_a_kind_that_it_does_not_take(write_suite, kind, other, told):
    path = written(write_suite, kind, other, "mlp")
    with pytest.raises(SuiteError, match=rf"\[scenarios.s\] .*{told}"):
        check(path)
    with pytest.raises(SuiteError, match=rf"\[scenarios.s\] .*{told}"):
        plan(suites.load(path, "smoke"))


def test_a_stand_in_of_another_kind_is_refused_too(write_suite):
    path = written(write_suite, "datafree", "mnist", "mlp", '"mnist"', '"mnist"\noffline = "grammar6"')
    with pytest.raises(
        SuiteError, match=r"grammar6 holds texts, .* takes images \(where grammar6 stands in for mnist\)"
    ):
        check(path)


@pytest.mark.parametrize(
    ("arch", "old", "new", "told"),
    [
        ("resnet8", "", "", "architecture 'resnet8' takes images, and the data are tables; for tables there is mlp"),
        ("mlp", '"none"', '"shift"', r"augment = 'shift', which moves pixels; .* holds tables: say augment = 'none'"),
    ],
)
def test_a_model_is_not_trained_on_what_it_cannot_read(write_suite, arch, old, new, told):
    path = written(write_suite, "distill", "breast_cancer", arch, old, new)
    with pytest.raises(SuiteError, match=told):
        check(path)
    assert check(written(write_suite, "distill", "breast_cancer", "mlp"))["profiles"]


@pytest.mark.parametrize("takes", [(), ("images", "graphs")])
def test_a_scenario_takes_kinds_that_there_are(takes):
    with pytest.raises(BenchError, match=r"one or more of images, texts, tables are needed"):
        registry.scenario(kind="x", task=object, metrics=(), lower="a", upper="b", takes=takes)
