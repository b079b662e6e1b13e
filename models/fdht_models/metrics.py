"""What `metrics.json` of a trained model holds, read back strictly; needs no TensorFlow.

`fdht_models.training.evaluate` makes it; a key that is added there is added here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from fdht_models.artifacts import AGAIN
from fdht_models.documents import read_json_file
from fdht_models.errors import ArtifactError
from fdht_models.records import read_record

#: A part of 1. A field below is called `float`, which no other annotation can then say.
Share = float


@dataclass(frozen=True)
class BaselineRow:
    """A classifier without a memory.

    Attributes:
        name: what is looked at.
        classifier: by what, and at which frame.
        accuracy: share of the test clips that are classified rightly.
        kind: "counted" where nothing was fitted.
        clips: training clips that it was fitted to.
        chosen: how this classifier was chosen.
        tried: accuracy of each that was tried, by name.
    """

    name: str
    classifier: str
    accuracy: Share
    kind: Literal["measured", "counted"]
    clips: int
    chosen: str
    tried: Mapping[str, float]

    def __post_init__(self) -> None:
        _shares(self, "accuracy")
        if self.tried.get(self.classifier) != self.accuracy:
            raise ArtifactError(
                "is not that of its classifier", field="accuracy", value=self.accuracy
            )


@dataclass(frozen=True)
class BaselineComparison:
    """The quantised network held against the best baseline.

    See `fdht_models.data.significance.PairedTest`; `better` is False where chance explains it.
    """

    baseline: str
    better: bool
    difference: float
    interval: tuple[float, ...]
    confidence: Share
    p_value: Share
    network_only: int
    baseline_only: int
    clips: int

    def __post_init__(self) -> None:
        _shares(self, "confidence", "p_value")
        found = self.network_only, self.baseline_only
        if min(found) < 0 or not 0 < self.clips >= sum(found):
            raise ArtifactError(f"cannot be of {self.clips} clips", field="network_only")
        if self.difference != (self.network_only - self.baseline_only) / self.clips:
            raise ArtifactError(
                "is not that of the clips that differ", field="difference", value=self.difference
            )
        if len(self.interval) != 2 or not self.interval[0] <= self.difference <= self.interval[1]:
            raise ArtifactError("must be bounds of the difference", field="interval")
        if self.better != (self.interval[0] > 0 and self.p_value < 1 - self.confidence):
            raise ArtifactError(
                "does not follow from interval and p_value", field="better", value=self.better
            )


@dataclass(frozen=True)
class Accuracies:
    """Shares of test clips that are classified rightly; of classifiers only if measured.

    `baselines`, `left_out` and `comparison` are not there in results of earlier versions.
    """

    kind: Literal["measured"]
    quantized: Share
    float: Share
    single_frame: Share | None = None
    single_frame_name: str | None = None
    single_frame_failure: str | None = None
    mean_frame: Share | None = None
    mean_frame_name: str | None = None
    best_baseline: str | None = None
    chance: Share | None = None
    baselines: tuple[BaselineRow, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)
    comparison: BaselineComparison | None = None

    def __post_init__(self) -> None:
        _shares(self, "quantized", "float", "single_frame", "mean_frame", "chance")


@dataclass(frozen=True)
class ClipCounts:
    """Clips scored on, their seed, and clips that the single-frame classifiers were fitted to."""

    test: int
    test_seed: int
    single_frame_train: int | None = None
    logistic_train: int | None = None


@dataclass(frozen=True)
class Confusion:
    """matrix[i][j] clips of class i were taken for class j."""

    classes: tuple[str, ...]
    matrix: tuple[tuple[int, ...], ...]

    def __post_init__(self) -> None:
        count = len(self.classes)
        rows = {len(row) for row in self.matrix}
        if len(self.matrix) != count or rows != {count} or min(map(min, self.matrix)) < 0:
            raise ArtifactError(f"must be {count} x {count} counts", field="matrix")


@dataclass(frozen=True)
class Compared:
    """Integers compared, and how many differ."""

    compared: int
    mismatches: int

    def __post_init__(self) -> None:
        if self.compared < 0 or not 0 <= self.mismatches <= self.compared:
            raise ArtifactError(
                f"cannot be of {self.compared} integers", field="mismatches", value=self.mismatches
            )


@dataclass(frozen=True)
class KerasEquality:
    """Of Keras with the reference."""

    keras_reference: Compared


@dataclass(frozen=True)
class ParameterCounts:
    """See `parameter_counts`."""

    lstm: int
    dense_lstm: int
    ratio_lstm: float
    on_chip: int
    head: int

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value < 0:
                raise ArtifactError("must not be negative", field=name, value=value)


@dataclass(frozen=True)
class Start:
    """From what training began, and steps from a checkpoint."""

    from_: str
    steps: int | None


@dataclass(frozen=True)
class Streams:
    """Whether the network suits live streams; see `fdht_models.training.comparison`."""

    suits: bool
    protocol: str
    time_step: float | None
    suitable: tuple[str, ...]
    statement: str


@dataclass(frozen=True)
class Metrics:
    """All of it; `start` is checked apart, since "from" is no name in Python."""

    experiment: str
    accuracy: Accuracies
    clips: ClipCounts
    confusion: Confusion
    equality: KerasEquality
    parameters: ParameterCounts
    start: Any = None
    streams: Streams | None = None

    def __post_init__(self) -> None:
        scored = sum(map(sum, self.confusion.matrix))
        if scored != self.clips.test:
            raise ArtifactError(
                f"is not the confusion matrix's sum, {scored}",
                field="clips.test",
                value=self.clips.test,
            )
        right = sum(row[place] for place, row in enumerate(self.confusion.matrix))
        # Both are one division of the same two integers.
        if scored and self.accuracy.quantized != right / scored:
            raise ArtifactError(
                f"is not that of the confusion matrix, {right / scored}",
                field="accuracy.quantized",
                value=self.accuracy.quantized,
            )


def _shares(record: Any, *names: str) -> None:
    for name in names:
        value = getattr(record, name)
        if value is not None and not 0 <= value <= 1:
            raise ArtifactError("must lie between 0 and 1", field=name, value=value)


def load_metrics(path: Path) -> dict[str, Any]:
    """Reads a `metrics.json`.

    Raises:
        ArtifactError: it is missing, or a key is unknown, missing or has an impossible value.
    """
    return check_metrics(read_json_file(path, remedy=AGAIN), path)


def check_metrics(value: Any, path: Path | str) -> dict[str, Any]:
    """What was read from a `metrics.json`, checked; see `load_metrics`."""
    how: dict[str, Any] = {"source": str(path), "error": ArtifactError, "remedy": AGAIN}
    read_record(Metrics, value, **how)
    if (start := value.get("start")) is not None:
        table = {"from_" if key == "from" else key: entry for key, entry in start.items()} if (
            isinstance(start, dict)
        ) else start  # fmt: skip
        read_record(Start, table, path="start", **how)
    kept: dict[str, Any] = value
    return kept
