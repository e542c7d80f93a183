"""Scenarios on a table, from the suite file to the record."""

import pytest

from bench.device import Device
from bench.running.cell import Job, run_cell
from bench.running.plan import plan
from bench.suite import suite as suites

SUITE = """
title = "Tables"
seeds = [0]
[data]
name = "breast_cancer"
train = 300
validation = 50
[recipe]
epochs = 6
batch_size = 32
optimizer = "adamw"
peak_lr = 5e-3
augment = "none"
[models.wide]
arch = "mlp"
options = { width = 24, depth = 2, norm = "batch" }
[models.net]
arch = "mlp"
options = { width = 8, depth = 2 }
[scenarios.distil]
kind = "distill"
teacher = "wide"
student = "net"
methods = ["kd"]
[scenarios.fuse]
kind = "fuse"
model = "net"
methods = ["ot-fusion", "ot-fusion-acts", "regmean", "fisher-merge", "git-rebasin", "repair", "merge-then-finetune"]
[scenarios.squeeze]
kind = "squeeze"
teacher = "wide"
student = "net"
methods = ["weight-squeezing"]
[profiles.smoke]
"""


@pytest.mark.parametrize("scenario", ["distil", "fuse", "squeeze"])
def test_rows_of_a_scenario_run_on_a_table(write_suite, tmp_path, scenario):
    suite = suites.load(write_suite(text=SUITE), "smoke")
    for cell in plan(suite, only=f"{scenario}/*").cells:
        record = run_cell(Job(cell, suite.name, suite.profile, Device(), tmp_path / "zoo"), lambda *_: None)
        assert record.status == "ok", (record.label, record.reason)
        assert record.data["name"] == record.data["variant"] == "breast_cancer"
        if record.label in ("scratch", "kd", "teacher", "parent-0", "merge-then-finetune", "regmean"):
            assert record.metrics["accuracy"] > 0.8, record.label
        counted = record.costs["samples"]
        assert record.label != "kd" or max(counted.values()) > 0  # the meter saw rows go through the teacher
