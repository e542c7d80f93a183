"""The ridge classifier of features: leave-one-out by doing it, and what standardising is for."""

import numpy as np
import pytest

from bench.metrics.linear_probe import PENALTIES, ridge_probe


@pytest.fixture
def blobs():
    """60 training and 90 other rows of three classes in 5 dimensions, some of them overlapping."""
    draws = np.random.default_rng(0)
    centres = draws.normal(0, 1.5, (3, 5))
    labels, other = draws.integers(0, 3, 60), draws.integers(0, 3, 90)
    return centres[labels] + draws.normal(size=(60, 5)), labels, centres[other] + draws.normal(size=(90, 5)), other


def solved(z, targets, penalty):
    """Weights and intercept of ridge regression by the normal equations of centred data."""
    mean, prior = z.mean(0), targets.mean(0)
    gram = (z - mean).T @ (z - mean) + penalty * np.eye(z.shape[1])
    weights = np.linalg.solve(gram, (z - mean).T @ (targets - prior))
    return weights, prior - mean @ weights


def test_the_penalty_is_the_one_that_leaving_rows_out_chooses(blobs):
    x, labels, other, _ = blobs
    z, unseen = (x - x.mean(0)) / x.std(0), (other - x.mean(0)) / x.std(0)
    targets = np.eye(3)[labels]

    def left_out(penalty):
        error = 0.0
        for row in range(len(z)):
            rest = np.arange(len(z)) != row
            weights, intercept = solved(z[rest], targets[rest], penalty)
            error += ((z[row] @ weights + intercept - targets[row]) ** 2).sum()
        return error

    errors = [left_out(penalty) for penalty in PENALTIES]
    weights, intercept = solved(z, targets, PENALTIES[int(np.argmin(errors))])
    assert np.array_equal(ridge_probe(x, labels, other), (unseen @ weights + intercept).argmax(1))


def test_it_reads_off_what_is_there_and_nothing_else(blobs):
    x, labels, other, truth = blobs
    assert (ridge_probe(x, labels, other) == truth).mean() > 0.8
    shuffled = np.random.default_rng(1).permutation(labels)
    assert (ridge_probe(x, shuffled, other) == truth).mean() < 0.6


def test_shrunken_and_shifted_features_hide_nothing(blobs):
    x, labels, other, _ = blobs
    scale, shift = np.array([1e-6, 1e3, 1.0, 1e-2, 10.0]), np.array([5.0, -1e3, 0.0, 1.0, 2.0])
    assert np.array_equal(ridge_probe(x * scale + shift, labels, other * scale + shift), ridge_probe(x, labels, other))


def test_features_that_never_change_are_no_division_by_zero(blobs):
    x, labels, other, _ = blobs
    dead, unseen = np.column_stack([x, np.full(60, 3.0)]), np.column_stack([other, np.full(90, 3.0)])
    assert np.array_equal(ridge_probe(dead, labels, unseen), ridge_probe(x, labels, other))
    assert len(set(ridge_probe(np.zeros((60, 5)), labels, other * 0).tolist())) == 1


def test_more_features_than_rows_are_no_trouble():
    draws = np.random.default_rng(2)
    labels, other = np.arange(20) % 2, np.arange(100) % 2
    x, unseen = (draws.normal(size=(len(y), 50)) + 2 * y[:, None] for y in (labels, other))
    assert (ridge_probe(x, labels, unseen) == other).mean() > 0.9


@pytest.mark.parametrize(
    ("train", "labels", "test"),
    [
        (np.zeros((4, 2)), np.zeros(3, int), np.zeros((4, 2))),
        (np.zeros((4, 2)), np.zeros(4, int), np.zeros((4, 3))),
        (np.zeros((1, 2)), np.zeros(1, int), np.zeros((4, 2))),
        (np.zeros(4), np.zeros(4, int), np.zeros((4, 2))),
        (np.full((4, 2), np.nan), np.zeros(4, int), np.zeros((4, 2))),
    ],
)
def test_what_does_not_fit_is_refused(train, labels, test):
    with pytest.raises(ValueError, match=r"are needed, got shapes|not finite"):
        ridge_probe(train, labels, test)
