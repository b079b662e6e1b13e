"""Integer codes with their format, and the exact formats of sums and products."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from fdht_models.errors import ShapeError
from fdht_models.tensor.fixedpoint import Codes, FixedPoint, signed_bits


@dataclass(frozen=True, eq=False)
class QuantizedArray:
    """Integer codes and their format.

    Raises:
        ShapeError: a code does not fit the format.
    """

    format: FixedPoint
    codes: Codes

    def __post_init__(self) -> None:
        codes = self.codes
        if codes.size and (codes.min() < self.format.minimum or codes.max() > self.format.maximum):
            raise ShapeError(
                f"codes {codes.min()}..{codes.max()} do not fit {self.format}", field="codes"
            )
        if codes.flags.writeable:
            # A copy: freezing the caller's array would be a surprise.
            codes = codes.copy()
            codes.setflags(write=False)
            object.__setattr__(self, "codes", codes)

    def to_json(self) -> dict[str, Any]:
        """A JSON object that `from_json` reads back."""
        return {"format": self.format.to_json(), "codes": self.codes.tolist()}

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> QuantizedArray:
        """The inverse of `to_json`."""
        codes = np.array(value["codes"])
        if codes.dtype != np.int64:
            raise ShapeError("must be integers", field="codes", value=str(codes.dtype))
        return QuantizedArray(FixedPoint.from_json(value["format"]), codes)


def exact_product_format(first: FixedPoint, second: FixedPoint, terms: int = 1) -> FixedPoint:
    """The narrowest signed format that holds any sum of `terms` products of two formats."""
    bound = first.magnitude * second.magnitude * terms
    return FixedPoint(signed_bits(bound), first.fraction + second.fraction)


def exact_sum_format(*parts: FixedPoint) -> FixedPoint:
    """The narrowest signed format that holds any sum of one number of each format."""
    fraction = max(part.fraction for part in parts)
    bound = sum(part.magnitude << (fraction - part.fraction) for part in parts)
    return FixedPoint(signed_bits(bound), fraction)
