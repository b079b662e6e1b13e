"""Which table of weights that are loaded lies where in their buffer; see `fdht_hls.weights`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from fdht_models.artifacts import digest_of
from fdht_models.errors import ArtifactError
from fdht_models.records import read_record
from fdht_models.tensor.quantized import WORD_BYTES

_WORD_BITS = 8 * WORD_BYTES
#: Words before the first table: whose weights these are.
HEADER_WORDS = 1


@dataclass(frozen=True)
class WeightTable:
    """One table of the buffer.

    Args:
        name: "input.<stage>", "hidden.<stage>", "bias", "head.weights" or "head.bias".
        rows: of a stage one a beat; of bias and head one a hidden unit, in their natural order.
        columns: codes of a row; of a stage those of all multipliers, of the bias one a gate, of
            the head one a class.
        width: bits of a code.
        signed: are codes signed?
        first: word of the buffer at which it starts.
    """

    name: str
    rows: int
    columns: int
    width: int
    signed: bool
    first: int

    def __post_init__(self) -> None:
        for name, most in (("rows", 2**40), ("columns", 2**40), ("width", 48), ("first", 2**40)):
            value = getattr(self, name)
            if not 1 <= value <= most:
                raise ArtifactError("is no size of a table", field=name, value=value)

    @property
    def codes_a_word(self) -> int:
        """Codes that one word holds."""
        return _WORD_BITS // self.width

    @property
    def row_words(self) -> int:
        """Words of a row."""
        return -(-self.columns // self.codes_a_word)

    @property
    def words(self) -> int:
        """Words of the table."""
        return self.rows * self.row_words


@dataclass(frozen=True)
class WeightLayout:
    """The tables of the buffer, in its order."""

    tables: tuple[WeightTable, ...]

    def __post_init__(self) -> None:
        first, names = HEADER_WORDS, set()
        for place, table in enumerate(self.tables):
            if table.first != first or table.name in names:
                raise ArtifactError(
                    f"must have a name of its own and begin at word {first}",
                    field=f"[{place}]",
                    value=f"{table.name} at {table.first}",
                )
            first += table.words
            names.add(table.name)

    @property
    def words(self) -> int:
        """Words of the whole buffer."""
        return HEADER_WORDS + sum(table.words for table in self.tables)

    @cached_property
    def digest(self) -> int:
        """32 bits, never 0, that the register `weights_layout` shows."""
        return int(digest_of(self.to_json())[:8], 16) or 1

    def table(self, name: str) -> WeightTable | None:
        """A table by its name; None if it cannot be loaded."""
        return next((table for table in self.tables if table.name == name), None)

    def to_json(self) -> list[dict[str, Any]]:
        """A JSON array."""
        return [asdict(table) for table in self.tables]

    @staticmethod
    def from_json(value: object) -> WeightLayout:
        """The inverse of `to_json`.

        Raises:
            ArtifactError: it is not that, or a table does not begin where the one before it ends.
        """
        return WeightLayout(read_record(tuple[WeightTable, ...], value, error=ArtifactError))
