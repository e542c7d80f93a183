"""Every method on other channels, sides, class counts and widths than the usual."""

from __future__ import annotations

import pytest
import torch

from methods.datafree.adv_bn import adv_bn
from methods.datafree.dafl import dafl
from methods.datafree.deepinversion import deepinversion
from methods.datafree.lra_dfkd import lra_dfkd
from methods.datafree.references import kd_noise

SMALL = {"nz": 3, "ngf": 2}
RUNS = [
    pytest.param(kd_noise, {}, id="kd-noise"),
    pytest.param(dafl, SMALL, id="dafl"),
    pytest.param(deepinversion, {"batches": 2, "size": 7, "iterations": 2}, id="deepinversion"),
    pytest.param(adv_bn, SMALL, id="adv-bn"),
    pytest.param(lra_dfkd, SMALL | {"student_steps": 1, "period": 1}, id="lra-dfkd"),
]


@pytest.mark.parametrize(("run", "parameters"), RUNS)
def test_unusual_shapes(run, parameters, untrained, make_task):
    shape, classes = (3, 10, 13), 4
    teacher = untrained(3, classes=classes, shape=shape)
    student = run(make_task(teacher, shape=shape, classes=classes, batch_size=5), **parameters)
    z = student.eval()(torch.rand(2, *shape))
    assert z.shape == (2, classes)
    assert z.isfinite().all()
