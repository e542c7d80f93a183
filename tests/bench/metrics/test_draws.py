import numpy as np
import pytest
from scipy import stats

from bench.metrics import draws

MASK = 2**64 - 1


def xoshiro(seed, count):
    """xoshiro256** after splitmix64, in whole numbers of Python."""
    state = []
    for i in range(1, 5):
        z = (seed + i * 0x9E3779B97F4A7C15) & MASK
        z = ((z ^ z >> 30) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ z >> 27) * 0x94D049BB133111EB) & MASK
        state.append(z ^ z >> 31)
    rotate = lambda x, by: (x << by | x >> 64 - by) & MASK  # noqa: E731
    for _ in range(count):
        yield rotate(state[1] * 5 & MASK, 7) * 9 & MASK
        t = state[1] << 17 & MASK
        state[2] ^= state[0]
        state[3] ^= state[1]
        state[1] ^= state[2]
        state[0] ^= state[3]
        state[2] ^= t
        state[3] = rotate(state[3], 45)


@pytest.mark.parametrize("seed", [0, 1, 2**63 - 1])
def test_bits_are_those_of_the_paper(seed):
    state = draws.generator(seed)
    assert [int(draws.bits(state)) for _ in range(50)] == list(xoshiro(seed, 50))


def test_splitmix_starts_as_published():
    # First output of splitmix64 for the state 0 (Vigna's reference file).
    assert int(draws.generator(0)[0]) == 0xE220A8397B1DCDAF


def test_uniform_below_and_normal_follow_their_laws():
    state = draws.generator(7)
    u = np.array([draws.uniform(state) for _ in range(20_000)])
    assert u.min() >= 0
    assert u.max() < 1
    assert stats.kstest(u, "uniform").pvalue > 0.001
    assert stats.kstest([draws.normal(state) for _ in range(20_000)], "norm").pvalue > 0.001
    whole = np.bincount([int(draws.below(state, 7)) for _ in range(20_000)])
    assert len(whole) == 7
    assert stats.chisquare(whole).pvalue > 0.001


@pytest.mark.parametrize(("n", "p"), [(1, 0.3), (5, 0.5), (40, 0.02), (1000, 0.37), (1000, 0.999), (20_000, 0.1)])
def test_binomial_follows_its_law(n, p):
    state, tables = draws.generator(3), draws.factorial_tables(n)
    drawn = np.array([draws.binomial(state, n, p, tables) for _ in range(20_000)])
    assert drawn.min() >= 0
    assert drawn.max() <= n
    # Against the law itself, in ten cells of about equal mass.
    edges = np.unique(stats.binom.ppf(np.linspace(0, 1, 11)[1:-1], n, p))
    expected = np.diff(np.concatenate([[0], stats.binom.cdf(edges, n, p), [1]]))
    observed = np.bincount(np.searchsorted(edges, drawn), minlength=len(expected))
    keep = expected > 1e-9
    assert observed[~keep].sum() == 0
    assert stats.chisquare(observed[keep], expected[keep] / expected[keep].sum() * 20_000).pvalue > 0.001


def test_sure_and_impossible_outcomes():
    state, tables = draws.generator(3), draws.factorial_tables(9)
    assert draws.binomial(state, 0, 0.5, tables) == 0
    assert draws.binomial(state, 9, 0.0, tables) == 0
    assert draws.binomial(state, 9, 1.0, tables) == 9
