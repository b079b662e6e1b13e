"""What training and conversion found out about a design: read where it is built, and carried."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from fdht_hls.estimate import load_estimate
from fdht_hls.proof import load_proof
from fdht_hls.schedule import Schedule
from fdht_models.directories import EQUALITY, ESTIMATE, METRICS, SCHEDULE, StageDirectory
from fdht_models.errors import ArtifactError
from fdht_models.metrics import load_metrics
from fdht_models.stages import Stage
from fdht_models.tensor.quantized import QuantizedNetwork


@dataclass(frozen=True)
class ClipFacts:
    """Clips as the network was trained on.

    Args:
        frames: of a clip, as the accelerator takes them; its state is reset after as many.
        preprocessing: what is made of a file, as in `network.json`.
    """

    frames: int
    preprocessing: Mapping[str, Any]


@dataclass(frozen=True)
class Figure:
    """What an earlier stage found out about the design.

    Args:
        kind: how it is known.
        source: whose file it stood in.
        value: what stood there.
    """

    kind: Literal["measured", "counted", "estimated"]
    source: str
    value: Mapping[str, Any]


@dataclass(frozen=True)
class Figures:
    """What is known of the design before it runs; see `fdht_overlays.figures`.

    Args:
        training: `metrics.json`: accuracy of the network and of baselines, parameters.
        equality: `equality.json`: integers that the conversion compared.
        estimate: `estimate.json`: pace and size of the core.
        left_out: why one of them is not there, by name.
    """

    training: Figure | None = None
    equality: Figure | None = None
    estimate: Figure | None = None
    left_out: Mapping[str, str] = field(default_factory=dict)

    def left_out_line(self) -> str | None:
        """Which are not there, and why, for people; None: all are there."""
        if not self.left_out:
            return None
        reasons = "; ".join(f"{name} ({why})" for name, why in self.left_out.items())
        return f"figures left out of the overlay: {reasons}"


#: Of overlays before version 2, which carry none.
_FORMER = "the overlay was built by a former fdht, which put no such figures into it"
NO_FIGURES = Figures(
    left_out=dict.fromkeys(("training", "equality", "estimate"), f"{_FORMER}; run fdht build again")
)

#: Of a design that was neither trained nor converted where it was built.
_NOWHERE = "was not there when the overlay was built"


def figures_of(origin: Stage | None, schedule: Schedule | None = None) -> Figures:
    """The figures that belong to a design; what cannot be used is left out, with the reason.

    Args:
        origin: the conversion that made the design, or else its training; None: neither is there.
        schedule: of the core; None: that of the conversion.
    """
    left_out: dict[str, str] = {}

    def taken(
        name: str, file: str, kind: Literal["measured", "counted", "estimated"],
        load: Callable[[Path], Mapping[str, Any]],
    ) -> Figure | None:  # fmt: skip
        try:
            if origin is None:
                raise ArtifactError(_NOWHERE, field=file)
            return Figure(kind, f"{file} of {origin.name}/", load(origin.file(file)))
        except ArtifactError as error:
            left_out[name] = str(error)
            return None

    training = taken("training", METRICS, "measured", load_metrics)
    equality = taken("equality", EQUALITY, "counted", load_proof)

    def paced(path: Path) -> Mapping[str, Any]:
        if origin and schedule and origin.read_json(SCHEDULE) != schedule.to_json():
            raise ArtifactError("is of another schedule", field=str(path))
        return load_estimate(path)

    estimate = taken("estimate", ESTIMATE, "estimated", paced)
    return Figures(training, equality, estimate, left_out)


def clips_of(network: QuantizedNetwork) -> ClipFacts:
    """What a network was trained on."""
    preprocessing = network.preprocessing
    return ClipFacts(preprocessing.sampling.steps, preprocessing.to_json())


def origin_of(design_id: str, *directories: StageDirectory) -> Stage | None:
    """The first of some directories that is about a design.

    Raises:
        ArtifactError: one of them is damaged.
    """
    found = (directory.find() for directory in directories)
    return next((stage for stage in found if stage and stage.design_id == design_id), None)
