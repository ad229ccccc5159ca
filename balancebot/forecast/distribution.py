"""The probability distribution of usage: usual usage, a number of bursts, and dated sends (planned or recurring)."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

P90 = 1.2815515655446004
"""Standard deviations from the median to P90 of a normal distribution."""
_SOME_BURSTS = 4
"""This many bursts or more are treated as one case."""
_LN2 = 0.6931471805599453
_TINY = 1e-9


class UsageDistribution(NamedTuple):
    """The distribution of usage up to some moments; the fields can be broadcast against each other."""

    usual: Floats
    """The median of usual usage ..."""
    up: Floats
    """... how far its P90 is above the median, in log2 ..."""
    down: Floats
    """... and how far its P10 is below, in log2."""
    dated: Floats
    """The mean usage of dated sends; the next field is its variance."""
    dated_variance: Floats
    bursts: Floats
    """The expected number of bursts; the next two fields are the mean and the variance of a burst's size."""
    burst_mean: Floats
    burst_variance: Floats
    burst_evidence: Floats
    """How many bursts the rate was estimated from: the rate has a gamma distribution with that shape."""

    def exceeds(self, used: Floats) -> Floats:
        """Return the probability that at least `used` is used.

        For each number of bursts, the sum is approximated as log-normal: L. F. Fenton, The sum of log-normal probability
        distributions in scatter transmission systems, IRE Transactions (1960).
        """
        if not np.any(self.bursts):
            return self._exceeds_with(used, self.dated, self.dated_variance)
        # a Poisson process with an uncertain rate: the number of bursts has a negative binomial distribution
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
        """Return the probability if `more` is used in addition to usual usage, with mean `more` and this variance."""
        middle = self.usual + more + _TINY
        band = np.where(used > middle, self.up, self.down) * (_LN2 / P90)
        relative = (self.usual / middle) ** 2 * np.expm1(np.minimum(band**2, 20.0)) + variance / middle**2
        relative += 1.0 / np.maximum(used, middle)  # the Poisson variance, which matters for few messages
        scale = np.sqrt(np.log1p(np.maximum(relative, 1e-8)))
        z = np.clip(np.log(np.maximum(used, _TINY) / middle) / scale, -8.0, 8.0)
        # the normal distribution, accurate to three digits; numpy has no error function
        return np.asarray(0.5 * (1.0 - np.tanh(0.7978845608028654 * (z + 0.044715 * z**3))))
