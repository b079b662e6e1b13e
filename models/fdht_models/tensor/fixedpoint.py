"""Fixed-point formats and the one rounding rule: half to even, then saturate.

This is `AP_RND_CONV` with `AP_SAT` of Vitis HLS (UG1399, "Arbitrary Precision Fixed-Point
Types") and what QKeras' `quantized_bits(alpha=1)` does to a float.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fdht_models.errors import ArtifactError, NumericError
from fdht_models.records import JsonRecord, read_record

Codes = npt.NDArray[np.int64]
#: Bits right (or, negative, left) of the binary point at most: 2**1022 is the largest power of two
#: whose inverse is a normal float64, and the values of a 48-bit code must be finite, too.
MOST_FRACTION = 900


@dataclass(frozen=True)
class FixedPoint(JsonRecord):
    """Numbers `code * 2**-fraction` with codes of `width` bits (two's complement if signed).

    Raises:
        NumericError: the width is not between 1 and 48 (the width of a DSP48's accumulator), or
            the fraction beyond what float64 can scale by.
    """

    width: int
    fraction: int
    signed: bool = True

    def __post_init__(self) -> None:
        if not 1 <= self.width <= 48:
            raise NumericError(
                "must lie between 1 and 48 bits",
                field="width",
                value=self.width,
                remedy="choose a narrower format or lower ranks",
            )
        if abs(self.fraction) > MOST_FRACTION:
            raise NumericError(
                f"must lie between {-MOST_FRACTION} and {MOST_FRACTION} bits",
                field="fraction",
                value=self.fraction,
                remedy="scale the values",
            )

    @property
    def minimum(self) -> int:
        """The smallest code."""
        return -(1 << (self.width - 1)) if self.signed else 0

    @property
    def maximum(self) -> int:
        """The largest code."""
        return (1 << (self.width - int(self.signed))) - 1

    @property
    def magnitude(self) -> int:
        """The largest absolute value of a code."""
        return max(-self.minimum, self.maximum)

    @property
    def signed_width(self) -> int:
        """Bits of a code as a signed number."""
        return self.width + int(not self.signed)

    @property
    def integer(self) -> int:
        """Bits left of the binary point, sign included: the `I` of `ap_fixed<W, I>`."""
        return self.width - self.fraction

    @property
    def hls_type(self) -> str:
        """The type in HLS C++."""
        return f"ap_{'' if self.signed else 'u'}fixed<{self.width},{self.integer}>"

    @property
    def scale(self) -> float:
        """The value of code 1; a power of two, hence exact in floating point."""
        return math.ldexp(1.0, -self.fraction)

    def quantize(self, values: npt.ArrayLike) -> Codes:
        """Codes of real values: rounded half to even, saturated. NaN is refused."""
        array = np.asarray(values, np.float64)
        if np.isnan(array).any():
            raise NumericError("holds NaN", field="values", remedy="train with a lower rate")
        rounded = np.rint(array * math.ldexp(1.0, self.fraction))
        return np.clip(rounded, self.minimum, self.maximum).astype(np.int64)

    def exact(self, values: npt.ArrayLike, field: str = "values") -> Codes:
        """Codes of values that must lie on this format's grid.

        Raises:
            NumericError: one does not.
        """
        array = np.asarray(values, np.float64)
        codes = self.quantize(array)
        wrong = codes * self.scale != array
        if wrong.any():
            raise NumericError(
                f"is not a value of {self}",
                field=field,
                value=float(array[wrong].flat[0]),
                remedy="use a quantizer whose output this format can hold",
            )
        return codes

    def requantize(self, codes: Codes, fraction: int) -> Codes:
        """Codes in this format of integers that have `fraction` fractional bits."""
        shift = fraction - self.fraction
        if shift < 0:
            # A left shift may leave int64. What would saturate anyway is cut to the nearest code
            # that still does; `>>` of the limits rounds down, hence the + 1.
            left = min(-shift, self.width)
            codes = np.clip(codes, self.minimum >> left, (self.maximum >> left) + 1)
            shift = -left
        return np.clip(shift_half_even(codes, shift), self.minimum, self.maximum)

    def dequantize(self, codes: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Real values of codes."""
        return np.asarray(codes, np.float64) * self.scale

    def all_codes(self) -> Codes:
        """Every code in the order of its raw bits: 0 .. maximum, then the negative ones."""
        raw = np.arange(1 << self.width, dtype=np.int64)
        return np.where(raw > self.maximum, raw - (1 << self.width), raw)

    def raw(self, codes: Codes) -> Codes:
        """The bits of codes, read as an unsigned number: the index into a truth table."""
        return codes & ((1 << self.width) - 1)

    @staticmethod
    def from_json(value: object) -> FixedPoint:
        """The inverse of `to_json`.

        Raises:
            ArtifactError: a key is unknown or missing, or a value of another kind.
        """
        return read_record(FixedPoint, value, error=ArtifactError)

    def __str__(self) -> str:
        return f"{'' if self.signed else 'u'}fixed<{self.width},{self.integer}>"


def shift_half_even(codes: Codes, shift: int) -> Codes:
    """`codes * 2**-shift`, rounded half to even; a negative shift is an exact shift to the left."""
    codes = np.asarray(codes, np.int64)
    if shift <= 0:
        return codes << -shift
    # Codes have at most 48 bits, so that all of them round to zero from here on.
    shift = min(shift, 62)
    # Adding half minus one, plus the bit that will become the lowest, carries exactly when the
    # fraction is above a half, or a half and the result would be odd.
    odd = (codes >> shift) & 1
    return (codes + ((1 << (shift - 1)) - 1) + odd) >> shift


def signed_bits(magnitude: int) -> int:
    """Width of the narrowest signed integer that holds -magnitude .. magnitude."""
    return int(magnitude).bit_length() + 1


def integer_bits_for(largest: float) -> int:
    """Integer bits, sign included, of the narrowest format that holds +-largest (may be < 1)."""
    if not math.isfinite(largest) or largest < 0:
        raise NumericError("must be finite and not negative", field="largest", value=largest)
    if largest == 0.0:
        return 1
    # frexp: largest = mantissa * 2**exponent with mantissa in [0.5, 1), so largest < 2**exponent.
    return math.frexp(largest)[1] + 1
