"""What `estimate.json` and the manifest of a conversion hold of an estimate, read back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from fdht_hls.estimate.clip_clocks import ClipClocks
from fdht_models.artifacts import AGAIN
from fdht_models.documents import read_json_file
from fdht_models.errors import ArtifactError
from fdht_models.records import read_record


@dataclass(frozen=True)
class ResourceFigures:
    """As `Resources.to_json`: block RAM in RAMB36."""

    lut: int
    ff: int
    dsp: int
    bram36: float

    def __post_init__(self) -> None:
        _refuse_negative(self)


@dataclass(frozen=True)
class StageFigures:
    """As `StageEstimate.to_json`."""

    name: str
    cycles: int | None
    macs: int
    multipliers: int
    lut: int
    ff: int
    dsp: int
    bram36: float
    parts: Mapping[str, ResourceFigures]

    def __post_init__(self) -> None:
        _refuse_negative(self)
        _refuse_other_sums(self, tuple(self.parts.values()))


@dataclass(frozen=True)
class EstimateSummary:
    """An estimate without its stages, as in the manifest of a conversion."""

    kind: Literal["estimated"]
    cycles_per_frame: int
    limited_by: str
    fill_latency_cycles: int
    recurrent_latency_cycles: int
    latency: Mapping[str, int]
    resources: ResourceFigures
    clips: ClipClocks | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        _refuse_negative(self)
        if self.cycles_per_frame < 1:
            raise ArtifactError(
                "must be positive", field="cycles_per_frame", value=self.cycles_per_frame
            )
        if (
            sum(self.latency.values()) != self.fill_latency_cycles
            or min(self.latency.values(), default=0) < 0
        ):
            raise ArtifactError(
                "is not the sum of latency", field="fill_latency_cycles",
                value=self.fill_latency_cycles,
            )  # fmt: skip


@dataclass(frozen=True)
class EstimateFigures(EstimateSummary):
    """As `Estimate.to_json`."""

    stages: tuple[StageFigures, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        _refuse_other_sums(self.resources, self.stages, "resources.")
        names = [stage.name for stage in self.stages]
        if self.limited_by not in names or len(set(names)) < len(names):
            raise ArtifactError(
                "names no stage, or two have one name", field="limited_by", value=self.limited_by
            )


def load_estimate(path: Path) -> dict[str, Any]:
    """Reads an `estimate.json`.

    Raises:
        ArtifactError: it is missing, is not an estimate, or its sums are not those of its parts.
    """
    return check_estimate(read_json_file(path, remedy=AGAIN), path)


def check_estimate(value: Any, path: Path | str) -> dict[str, Any]:
    """What was read from an `estimate.json`, checked; see `load_estimate`."""
    read_record(EstimateFigures, value, source=str(path), error=ArtifactError, remedy=AGAIN)
    kept: dict[str, Any] = value
    return kept


def estimate_of_manifest(manifest: Mapping[str, Any], source: Path) -> EstimateSummary:
    """The estimate in a conversion's manifest.

    Raises:
        ArtifactError: there is none, or it is damaged.
    """
    return read_record(
        EstimateSummary,
        manifest.get("estimate"),
        source=str(source),
        error=ArtifactError,
        path="estimate",
        remedy="run fdht convert again",
    )


def _refuse_negative(figures: Any) -> None:
    for entry in fields(figures):
        value = getattr(figures, entry.name)
        if isinstance(value, int | float) and value < 0:
            raise ArtifactError("must not be negative", field=entry.name, value=value)


def _refuse_other_sums(
    whole: ResourceFigures | StageFigures,
    parts: tuple[ResourceFigures | StageFigures, ...],
    path: str = "",
) -> None:
    for name in asdict(ResourceFigures(0, 0, 0, 0.0)):
        total = sum(getattr(part, name) for part in parts)
        if getattr(whole, name) != total:
            raise ArtifactError(
                f"is not the sum of its parts, {total}",
                field=f"{path}{name}",
                value=getattr(whole, name),
            )
