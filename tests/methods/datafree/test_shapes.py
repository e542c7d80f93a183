"""Every method on other channels, sides, class counts and widths than the usual."""

from __future__ import annotations

import pytest
import torch

from methods.datafree.adi import adi
from methods.datafree.adv_bn import adv_bn
from methods.datafree.dafl import dafl
from methods.datafree.deepinversion import deepinversion
from methods.datafree.dfad import dfad
from methods.datafree.dfq import dfq
from methods.datafree.lra_dfkd import lra_dfkd
from methods.datafree.mad import mad
from methods.datafree.references import kd_noise
from methods.datafree.zskt import zskt

SMALL = {"nz": 3, "ngf": 2}
RUNS = [
    pytest.param(kd_noise, {}, id="kd-noise"),
    pytest.param(dafl, SMALL, id="dafl"),
    pytest.param(deepinversion, {"batches": 2, "size": 7, "iterations": 2}, id="deepinversion"),
    pytest.param(adv_bn, SMALL, id="adv-bn"),
    pytest.param(lra_dfkd, {"ngf": 2, "period": 1}, id="lra-dfkd"),
    pytest.param(mad, SMALL | {"student_steps": 1}, id="mad"),
    pytest.param(dfad, SMALL | {"student_steps": 1}, id="dfad"),
    pytest.param(dfq, SMALL | {"student_steps": 1}, id="dfq"),
    pytest.param(zskt, SMALL | {"student_steps": 1}, id="zskt"),
    pytest.param(adi, {"batches": 2, "size": 7, "iterations": 2}, id="adi"),
]


@pytest.mark.parametrize(("run", "parameters"), RUNS)
def test_unusual_shapes(run, parameters, untrained, make_task):
    shape, classes = (3, 10, 13), 4
    teacher = untrained(3, classes=classes, shape=shape)
    student = run(make_task(teacher, shape=shape, classes=classes, batch_size=5), **parameters)
    z = student.eval()(torch.rand(2, *shape))
    assert z.shape == (2, classes)
    assert z.isfinite().all()
