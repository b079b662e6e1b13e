"""What `equality.json` holds: a proof of equality as a conversion wrote it. Needs no hls4ml."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fdht_models.artifacts import AGAIN
from fdht_models.documents import read_json_file
from fdht_models.errors import ArtifactError
from fdht_models.records import JsonRecord, read_record


@dataclass(frozen=True)
class Comparison(JsonRecord):
    """Integers compared, how many differ, and where the first does.

    `quantities` says how many of them were of which kind, by the names of `observation`.
    """

    compared: int
    mismatches: int
    first: str | None = None
    quantities: Mapping[str, int] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        if self.quantities and sum(self.quantities.values()) != self.compared:
            raise ArtifactError(
                f"do not add up to {self.compared}",
                field="quantities",
                value=dict(self.quantities),
            )
        if self.compared < 0 or not 0 <= self.mismatches <= self.compared:
            raise ArtifactError(
                f"cannot be of {self.compared} integers", field="mismatches", value=self.mismatches
            )
        if (self.first is None) != (self.mismatches == 0):
            raise ArtifactError(
                f"does not belong to {self.mismatches} mismatches", field="first", value=self.first
            )


@dataclass(frozen=True)
class Proof:
    """Pairs compared: streams of so many frames, and one comparison a pair."""

    streams: int
    frames_per_stream: int
    keras_reference: Comparison
    reference_csim_exact: Comparison
    reference_csim: Comparison

    def __post_init__(self) -> None:
        for name in ("streams", "frames_per_stream"):
            if getattr(self, name) < 1:
                raise ArtifactError("must be positive", field=name, value=getattr(self, name))


def load_proof(path: Path) -> dict[str, Any]:
    """Reads an `equality.json`.

    Raises:
        ArtifactError: it is missing, or is not a whole proof.
    """
    return check_proof(read_json_file(path, remedy=AGAIN), path)


def check_proof(value: Any, path: Path | str) -> dict[str, Any]:
    """What was read from an `equality.json`, checked; see `load_proof`."""
    read_record(Proof, value, source=str(path), error=ArtifactError, remedy=AGAIN)
    for pair in ("keras_reference", "reference_csim_exact", "reference_csim"):
        if "first" not in value[pair]:
            raise ArtifactError("is missing", field=f"{path}: {pair}.first", remedy=AGAIN)
    kept: dict[str, Any] = value
    return kept
