"""Numbers that the authors' code of membership attacks gives on tiny inputs made of sines, beside ours."""

import numpy as np
import pytest

from bench.metrics import lira, rmia


def wave(*shape: int, step: float) -> np.ndarray:
    """sin(step), sin(2 step), ... of a shape."""
    return np.sin(step * np.arange(1, np.prod(shape) + 1)).reshape(shape)


def who_saw(models: int, examples: int) -> np.ndarray:
    """bool [m, n]: every other model saw an example."""
    return (np.arange(models)[:, None] + np.arange(examples)) % 2 == 0


def log_odds(models: int, examples: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of the target [n], of its shadows [m, n], and who saw what."""
    seen, own = who_saw(models, examples), 0.5 * np.arange(examples)
    return 2 * wave(examples, step=2.9) + own, 2 * wave(models, examples, step=1.7) + own + seen, seen


def test_lira_with_a_width_for_every_example():
    """tensorflow/privacy 03035d5, `generate_ours` on 64 shadows: to 1e-9, with NumPy's ddof of 0. Theirs is negated."""
    theirs = np.array(
        [
            0.02062567857506803,
            0.7611151425098659,
            -0.44489466949287326,
            1.0695433607401625,
            -0.6385845421121052,
            1.2090178812830414,
        ]
    )
    np.testing.assert_allclose(lira.score(*log_odds(64, 6)), -theirs, atol=1e-9)


def test_lira_with_one_width():
    """On purpose: `generate_ours` with `fix_variance` takes the deviation of all IN numbers of all examples at once.

    Here it is that within examples, of IN and of OUT apart, by degrees of freedom; on eight shadows of twelve examples
    the scores are 1.84 times theirs, in the same order.
    """
    theirs = -np.array(
        [
            -0.00021879651857958926,
            0.2953882719766081,
            -0.15524711488225096,
            0.4053034946800693,
            -0.2819488775052834,
            0.5238961651843894,
            -0.2906872225440018,
            0.4437437197996399,
            -0.23032108433838383,
            0.3860602684877128,
            -0.08309095764142782,
            0.1829841213368486,
        ]
    )
    found = lira.score(*log_odds(8, 12))
    assert np.array_equal(found.argsort(), theirs.argsort())
    slope, offset = np.polyfit(theirs, found, 1)
    assert (slope, offset) == pytest.approx((1.84, 0.0), abs=0.01)
    np.testing.assert_allclose(found, slope * theirs + offset, atol=0.05)


def probabilities(models: int, examples: int, population: int) -> tuple[np.ndarray, ...]:
    """Arguments of `rmia.score`."""
    seen = who_saw(models, examples)
    x, others = 2 * wave(examples, step=2.9), 2 * wave(models, examples, step=1.7) + seen
    z, z_others = 2 * wave(population, step=2.3), 2 * wave(models, population, step=1.9)
    p, references, unseen, unseen_references = (1 / (1 + np.exp(-logits)) for logits in (x, others, z, z_others))
    return p, references, seen, unseen, unseen_references


@pytest.mark.parametrize(
    ("offset", "theirs"),
    [
        (0.0, [0.55, 0.4, 0.9, 0.2, 0.9, 0.1, 1.0, 0.1, 0.9, 0.25]),
        (0.3, [0.6, 0.4, 0.9, 0.15, 0.9, 0.1, 0.95, 0.1, 0.9, 0.25]),
        (1.0, [0.8, 0.4, 0.85, 0.15, 0.85, 0.15, 0.95, 0.1, 0.85, 0.25]),
    ],
)
def test_rmia(offset, theirs):
    """privacytrustlab/ml_privacy_meter e384af8, `run_rmia` on eight references, half of which saw each row: equal."""
    assert rmia.score(*probabilities(8, 10, 20), offset=offset) == pytest.approx(theirs, abs=1e-12)


def test_rmia_with_two_references():
    """On purpose: of one pair, `run_rmia` makes up what the one that saw an example would have given without it.

    Here that one is left out, and a score moves by up to 0.8.
    """
    theirs = np.array([0.5, 0.4, 1.0, 0.8, 0.75, 0.0, 1.0, 0.4, 0.75, 0.25])
    found = rmia.score(*probabilities(2, 10, 20), offset=0.3)
    assert np.abs(found - theirs).max() == pytest.approx(0.8)
