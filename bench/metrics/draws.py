"""Random draws inside kernels: the same numbers whatever the versions of numpy and numba.

The generator is xoshiro256** (Blackman and Vigna, ACM TOMS 47(4), 2021), its state filled by splitmix64.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit


@njit(cache=True)
def generator(seed):  # type: ignore[no-untyped-def]
    """State uint64 [4] of a generator from a whole number."""
    state = np.empty(4, np.uint64)
    x = np.uint64(seed)
    for i in range(4):
        x += np.uint64(0x9E3779B97F4A7C15)
        z = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        state[i] = z ^ (z >> np.uint64(31))
    return state


@njit(cache=True, inline="always")
def _rotate(x, by):  # type: ignore[no-untyped-def]
    return (x << np.uint64(by)) | (x >> np.uint64(64 - by))


@njit(cache=True)
def bits(state):  # type: ignore[no-untyped-def]
    """The next 64 random bits."""
    out = _rotate(state[1] * np.uint64(5), 7) * np.uint64(9)
    t = state[1] << np.uint64(17)
    state[2] ^= state[0]
    state[3] ^= state[1]
    state[1] ^= state[2]
    state[0] ^= state[3]
    state[2] ^= t
    state[3] = _rotate(state[3], 45)
    return out


@njit(cache=True)
def uniform(state):  # type: ignore[no-untyped-def]
    """A number in [0, 1), a multiple of 2^-53."""
    return (bits(state) >> np.uint64(11)) * 2.0**-53


@njit(cache=True)
def below(state, n):  # type: ignore[no-untyped-def]
    """A whole number in [0, n) as uint64, for n < 2^32; none is likelier than another by more than n / 2^32."""
    return ((bits(state) >> np.uint64(32)) * np.uint64(n)) >> np.uint64(32)


@njit(cache=True)
def normal(state):  # type: ignore[no-untyped-def]
    """A standard normal number (polar method of Marsaglia)."""
    while True:
        u, v = 2 * uniform(state) - 1, 2 * uniform(state) - 1
        w = u * u + v * v
        if 0 < w < 1:
            return u * math.sqrt(-2 * math.log(w) / w)


@njit(cache=True)
def factorial_tables(n):  # type: ignore[no-untyped-def]
    """[2, n + 2]: log(k!) and 1 / k (0 for k = 0), what `binomial` needs for up to n trials."""
    table = np.zeros((2, n + 2))
    for k in range(1, n + 2):
        table[0, k] = table[0, k - 1] + math.log(k)
        table[1, k] = 1 / k
    return table


@njit(cache=True)
def binomial(state, n, p, tables):  # type: ignore[no-untyped-def]
    """Successes in n trials: inversion outwards from the mode, so about sqrt(n p (1 - p)) steps."""
    if n == 0 or p <= 0.0:
        return 0
    if p >= 1.0:
        return n
    log_factorial, inverse = tables[0], tables[1]
    odds, against = p / (1 - p), (1 - p) / p
    mode = min(n, int((n + 1) * p))
    log_ways = log_factorial[n] - log_factorial[mode] - log_factorial[n - mode]
    mass = math.exp(log_ways + mode * math.log(p) + (n - mode) * math.log1p(-p))
    left = uniform(state) - mass
    up = down = mode
    above = below = mass
    while left >= 0 and (up < n or down > 0):
        if up < n:
            above *= odds * (n - up) * inverse[up + 1]
            up += 1
            left -= above
            if left < 0:
                return up
        if down > 0:
            below *= against * down * inverse[n - down + 1]
            down -= 1
            left -= below
            if left < 0:
                return down
    return mode
