"""Whole cells of unlearning, from a suite's text to the record."""

import pytest

from bench import registry
from bench.device import Device
from bench.running.cell import Job, run_cell
from bench.running.plan import plan
from bench.suite import suite as suites

SUITE = """
title = "Forget"
seeds = [0]

[data]
name = "digits"
train = 300
validation = 100

[recipe]
epochs = 2
batch_size = 32
augment = "none"

[models.net]
arch = "mlp"
options = { width = 16, depth = 1 }

[scenarios.forget]
kind = "unlearn"
model = "net"
request = "random"
share = 0.1
shadows = 6
ulira = true
methods = [{ method = "finetune", epochs = 1 }]

[profiles.smoke]
"""


@pytest.fixture(scope="module")
def zoo(tmp_path_factory):
    return tmp_path_factory.mktemp("zoo")


@pytest.fixture
def run(write_suite, zoo):
    registry.discover()
    suite = suites.load(write_suite(text=SUITE), "smoke")

    def call(label):
        cell = next(c for c in plan(suite).cells if c.row.label == label)
        return run_cell(Job(cell, suite.name, suite.profile, Device(), zoo), lambda *_: None)

    return call


@pytest.mark.parametrize("label", ["finetune", "retrain", "original"])
def test_a_cell_with_u_lira_has_every_attack_and_repeats_to_the_last_digit(run, label):
    record = run(label)
    assert record.status == "ok", record.reason
    attacks = {f"{name}_auc" for name in ("loss", "lira", "rmia", "ulira", "strong")}
    assert attacks | {f"floor_{name}" for name in attacks} <= set(record.metrics)
    assert 0 <= record.metrics["forgetting_quality"] < 1.5
    assert record.costs["repeat_seconds"] > 0
    assert record.costs["retraining_seconds"] > 0
    again = run(label)
    assert again.metrics == record.metrics
    assert again.examples == record.examples


def test_what_does_not_apply_is_skipped_before_any_repeat(run):
    record = run("mask-class")
    assert (record.status, record.reason) == ("skipped", "only a whole class can be masked")
