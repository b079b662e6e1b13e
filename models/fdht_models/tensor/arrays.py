"""Integer codes with their format, and the exact formats of sums and products."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from fdht_models.errors import ShapeError
from fdht_models.records import JsonRecord
from fdht_models.tensor.fixedpoint import Codes, FixedPoint, signed_bits


@dataclass(frozen=True, eq=False)
class QuantizedArray(JsonRecord):
    """Integer codes and their format.

    Raises:
        ShapeError: a code does not fit the format.
    """

    format: FixedPoint
    codes: Codes = field(metadata={"read": lambda value: read_codes(value)})

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


def read_codes(value: object) -> Codes:
    """Codes from lists of lists of integers.

    Raises:
        ShapeError: they are not integers of 64 bits (true is none), not rectangular, or there are
            none.
    """
    level, dimensions = [value], 0
    while level and all(isinstance(item, list | tuple) for item in level):
        dimensions += 1
        level = [inner for item in level for inner in item]  # type: ignore[attr-defined]
    # Of mixed levels NumPy would make objects; of true and 2 it would make 1 and 2.
    wrong = next((item for item in level if type(item) is not int), None)
    if wrong is not None or not level or not dimensions:
        raise ShapeError("must be lists of whole numbers", value=str(wrong)[:60])
    try:
        codes = np.array(value)
    except (ValueError, OverflowError) as error:
        raise ShapeError("must be lists of equal lengths", value=f"{len(level)} codes") from error
    if codes.dtype != np.int64:
        raise ShapeError("must be whole numbers of 64 bits", value=str(codes.dtype))
    return codes


def exact_product_format(first: FixedPoint, second: FixedPoint, terms: int = 1) -> FixedPoint:
    """The narrowest signed format that holds any sum of `terms` products of two formats."""
    bound = first.magnitude * second.magnitude * terms
    return FixedPoint(signed_bits(bound), first.fraction + second.fraction)


def exact_sum_format(*parts: FixedPoint) -> FixedPoint:
    """The narrowest signed format that holds any sum of one number of each format."""
    fraction = max(part.fraction for part in parts)
    bound = sum(part.magnitude << (fraction - part.fraction) for part in parts)
    return FixedPoint(signed_bits(bound), fraction)
