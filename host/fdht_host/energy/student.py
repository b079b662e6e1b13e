"""The quantile of Student's distribution: a board carries no SciPy."""

from __future__ import annotations


def student_quantile(freedom: float) -> float:
    """The 97.5 % quantile of Student's t, for 3 degrees of freedom or more.

    The expansion of Fisher and Cornish (Abramowitz and Stegun 26.7.5), within 0.2 % of the tables.
    """
    z = 1.959963984540054
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + sum(term / freedom**power for power, term in enumerate(terms, start=1))
