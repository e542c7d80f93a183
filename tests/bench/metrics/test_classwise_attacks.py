"""Thresholds for every class and the entropy attack, beside plain searches."""

import numpy as np
import pytest
from scipy.optimize import minimize

from bench.metrics.classwise_attacks import (
    classwise_threshold_accuracy,
    entropy,
    entropy_attack,
    features,
    logistic_regression,
)


def predictions(n=60, classes=4, seed=0):
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(n, classes)) * 2
    p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    return p, rng.integers(classes, size=n)


def test_features_are_the_formulas_one_example_at_a_time():
    p, y = predictions()
    found = features(p, y)
    for i, (row, label) in enumerate(zip(p, y, strict=True)):
        rest = [x for c, x in enumerate(row) if c != label]
        mentr = -(1 - row[label]) * np.log(row[label]) - sum(x * np.log(1 - x) for x in rest)
        assert found["modified_entropy"][i] == pytest.approx(-mentr)
        assert found["entropy"][i] == pytest.approx(sum(x * np.log(x) for x in row))
        assert found["confidence"][i] == row[label]
        assert found["correctness"][i] == (row.argmax() == label)


def test_certainty_has_no_entropy_and_the_modified_one_knows_who_is_right():
    sure = np.eye(3)
    assert (entropy(sure) == 0).all()
    right, wrong = (features(sure, y)["modified_entropy"] for y in (np.arange(3), (np.arange(3) + 1) % 3))
    assert (right == 0).all()
    assert (wrong < -50).all()


def test_every_class_has_a_threshold_of_its_own():
    """Members of class 1 look like non-members of class 0: one threshold for both finds half."""
    rng = np.random.default_rng(2)
    classes, member = np.repeat([0, 1], 200), np.tile([True, False], 200)
    scores = 10.0 * (classes == 0) + 4.0 * member + 0.5 * rng.normal(size=400)
    assert classwise_threshold_accuracy(scores, classes, member, scores, classes, member) > 0.99
    one = np.zeros_like(classes)
    assert classwise_threshold_accuracy(scores, one, member, scores, one, member) < 0.8


def test_what_tells_nothing_scores_a_half():
    rng = np.random.default_rng(3)
    known, scores = rng.normal(size=(2, 4000))
    classes, member = np.tile([0, 1], 2000), np.repeat([True, False], 2000)
    assert classwise_threshold_accuracy(known, classes, member, scores, classes, member) == pytest.approx(0.5, abs=0.03)


def test_logistic_regression_is_at_the_minimum():
    rng = np.random.default_rng(4)
    y = rng.random(300) < 0.3
    x = rng.normal(size=300) + y
    weight = np.where(y, 150 / y.sum(), 150 / (~y).sum())

    def loss(w):
        return w[0] ** 2 / 2 + (weight * np.logaddexp(0, -np.where(y, 1, -1) * (w[0] * x + w[1]))).sum()

    np.testing.assert_allclose(logistic_regression(x, y), minimize(loss, [0.0, 0.0], tol=1e-12).x, atol=1e-4)


def test_the_entropy_attack_calls_members_what_looks_like_them():
    rng = np.random.default_rng(5)
    members, others = 0.1 + 0.05 * rng.random(500), 1.0 + 0.2 * rng.random(300)
    assert entropy_attack(np.full(10, 0.12), members, others) == 1
    assert entropy_attack(np.full(10, 1.1), members, others) == 0


def test_bad_input_is_told():
    p, y = predictions()
    with pytest.raises(ValueError, match="whole numbers from 0 to 3"):
        features(p, y + 4)
    with pytest.raises(ValueError, match="both classes"):
        logistic_regression(np.arange(5.0), np.ones(5, dtype=bool))
    member, classes = np.tile([True, False], 30), np.zeros(60, dtype=int)
    with pytest.raises(ValueError, match="class 1: a threshold needs known members and non-members, got 0"):
        classwise_threshold_accuracy(p[:, 0], classes, member, p[:, 0], classes + 1, member)
    with pytest.raises(ValueError, match="finite"):
        entropy_attack(np.array([np.inf]), p[:, 0], p[:, 1])
