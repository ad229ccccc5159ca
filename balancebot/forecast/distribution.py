"""How likely it is that so much is used: usual usage, a number of bursts, and what is announced or recurs, together."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

P90 = 1.2815515655446004
"""Standard deviations from the median to P90 of a normal distribution."""
_SOME_BURSTS = 4
"""So many bursts or more are one case."""
_LN2 = 0.6931471805599453
_TINY = 1e-9


class UsageDistribution(NamedTuple):
    """The distribution of what is used up to some moments; the fields broadcast against each other."""

    usual: Floats
    """The median of usual usage ..."""
    up: Floats
    """... how far its P90 is above it, in log2 ..."""
    down: Floats
    """... and its P10 below."""
    dated: Floats
    """The mean of what dated sends use, and its variance."""
    dated_variance: Floats
    bursts: Floats
    """The expected number of bursts, and the mean and variance of one's size."""
    burst_mean: Floats
    burst_variance: Floats
    burst_evidence: Floats
    """How many bursts their rate was learned from: it is a gamma distribution of that shape."""

    def exceeds(self, used: Floats) -> Floats:
        """Return the probability that at least `used` is used.

        Per number of bursts the sum is taken as log-normal: L. F. Fenton, The sum of log-normal probability distributions
        in scatter transmission systems, IRE Transactions (1960).
        """
        if not np.any(self.bursts):
            return self._exceeds_with(used, self.dated, self.dated_variance)
        # a Poisson process whose rate isn't known well: the number of bursts is negative binomial
        shape = self.burst_evidence
        odds = self.bursts / (shape + self.bursts)
        chance = (1.0 - odds) ** shape
        total, left = np.zeros(self.bursts.shape), np.ones(self.bursts.shape)
        mean, square = self.bursts, self.bursts + self.bursts**2 * (1.0 + 1.0 / shape)
        for count in range(_SOME_BURSTS):
            if count:
                chance = chance * odds * (shape + count - 1.0) / count
            left, mean, square = left - chance, mean - count * chance, square - count**2 * chance
            total = total + chance * self._exceeds_with(
                used,
                self.dated + count * self.burst_mean,
                self.dated_variance + count * self.burst_variance,
            )
        left = np.maximum(left, 1e-9)
        number = mean / left
        spread = np.maximum(square / left - number**2, 0.0)
        return np.asarray(
            total
            + left
            * self._exceeds_with(
                used,
                self.dated + number * self.burst_mean,
                self.dated_variance + number * self.burst_variance + spread * self.burst_mean**2,
            )
        )

    def _exceeds_with(self, used: Floats, more: Floats, variance: Floats) -> Floats:
        """Return the probability if `more` is used besides the usual, on average and with that variance."""
        middle = self.usual + more + _TINY
        band = np.where(used > middle, self.up, self.down) * (_LN2 / P90)
        relative = (self.usual / middle) ** 2 * np.expm1(np.minimum(band**2, 20.0)) + variance / middle**2
        relative += 1.0 / np.maximum(used, middle)  # of few messages the number itself is uncertain: Poisson
        scale = np.sqrt(np.log1p(np.maximum(relative, 1e-8)))
        z = np.clip(np.log(np.maximum(used, _TINY) / middle) / scale, -8.0, 8.0)
        # the normal distribution to three digits; numpy has no error function
        return np.asarray(0.5 * (1.0 - np.tanh(0.7978845608028654 * (z + 0.044715 * z**3))))
