"""The directories of a build and the files in them: their names stand here, and nowhere else.

    build/<name>/model/ -> hls/ -> overlay/<board>/<variant>/ -> run/<time>/, energy/<time>/

beside them tune/<board>/, explore/<board>/, cosim/, resources/, synthesis/<part>/ and
work/<board>/<variant>/.
A stage's function takes the directory that it reads and the one that it writes, of these types, or
what was loaded from there. `BuildDirectory` is for whoever puts stages together.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from fdht_models import artifacts
from fdht_models.interruption import interrupts_held_back
from fdht_models.stages import Stage, new_directory, stages_in
from fdht_models.tensor.quantized import QuantizedNetwork

if TYPE_CHECKING:
    from fdht_models.experiment import Experiment

#: The integers; the recipe that they were trained by; and what training measured.
NETWORK, EXPERIMENT, METRICS = "network.json", "experiment.json", "metrics.json"
#: Of training: the course, and the weights of both models.
HISTORY, WEIGHTS = "history.json", "weights.npz"
#: Parallelism of the stages, the core's pace and size, and the proof.
SCHEDULE, ESTIMATE, EQUALITY = "schedule.json", "estimate.json", "equality.json"
#: The core compiled, on the processor's integers and on exact widths; and its HLS project.
LIBRARY, EXACT_LIBRARY, PROJECT = "csim.so", "csim_exact.so", "project"
#: What weights a core takes; frames with the reference's results.
LOADABLE, GOLDEN = "weights.json", "golden.npz"
#: Designs that were found, and their picture.
FRONT, PLOT = "front.json", "front.svg"
#: Of the clips that a core for sparse frames is tuned for.
PROFILE = "profile.json"
#: Figures of a simulation, a count, a step of synthesis, or a run.
REPORT = "report.json"
#: When the core ran while a meter recorded that has a clock of its own.
LOAD = "pattern.json"
#: Of a measurement of energy: the result, all readings, and the windows.
ENERGY, SAMPLES, WINDOWS = "energy.json", "samples.csv", "windows.csv"


@dataclass(frozen=True)
class StageDirectory:
    """A directory that a stage writes, there or not.

    Attributes:
        path: where it is.
        stage: as its manifest says.
    """

    path: Path
    stage: ClassVar[str]

    @property
    def manifest(self) -> Path:
        """What it says of itself."""
        return self.path / artifacts.MANIFEST

    def open(self) -> Stage:
        """To read its files.

        Raises:
            ArtifactError: there is none, or it is of another stage or schema version.
        """
        return Stage(self.path, self.stage, artifacts.read_manifest(self.path, self.stage))

    def find(self) -> Stage | None:
        """As `open`; None where nothing was written yet."""
        artifacts.recover(self.path)
        return self.open() if self.manifest.is_file() else None

    def find_file(self, name: str) -> Path | None:
        """One of its files, as it was written; None if there is none.

        A directory without a manifest was put together by hand: nothing says what they should be.

        Raises:
            ArtifactError: it is not as the stage wrote it.
        """
        return (self.find() or Stage(self.path, self.stage, {"files": {}})).find(name)

    def is_current(self, inputs: Mapping[str, Any]) -> bool:
        """Is it whole, and made from exactly these inputs?"""
        return artifacts.is_current(self.path, self.stage, inputs)

    def write(
        self, inputs: Mapping[str, Any], tools: Mapping[str, str] | None = None
    ) -> AbstractContextManager[tuple[Path, dict[str, Any]]]:
        """Writes it anew, whole or not at all; see `artifacts.new_stage`."""
        return artifacts.new_stage(self.path, self.stage, inputs, tools)

    @classmethod
    @contextmanager
    def write_dated(
        cls, parent: Path, moment: datetime, inputs: Mapping[str, Any]
    ) -> Iterator[tuple[Path, Path, dict[str, Any]]]:
        """Writes one that is called after a moment, and that nobody else has.

        Ctrl-C waits until it is there: what is written was waited for.

        Args:
            parent: where.
            moment: in UTC.
            inputs: see `artifacts.new_stage`.

        Yields:
            (The directory, and what `write` yields: where to write, and what to fill.)
        """
        with (
            interrupts_held_back(),
            new_directory(parent, moment.strftime("%Y%m%dT%H%M%SZ")) as directory,
            cls(directory).write(inputs) as (temporary, extra),
        ):
            yield directory, temporary, extra


class ModelDirectory(StageDirectory):
    """What `fdht train` writes."""

    stage = artifacts.MODEL


class DecompositionDirectory(StageDirectory):
    """What `fdht decompose` writes."""

    stage = artifacts.DECOMPOSITION


class ConversionDirectory(StageDirectory):
    """What `fdht convert` writes."""

    stage = artifacts.CONVERSION


class TuningDirectory(StageDirectory):
    """What `fdht tune` writes for a board."""

    stage = artifacts.TUNING

    @property
    def schedule(self) -> Path:
        """The parallelism that it chose."""
        return self.path / SCHEDULE


class ExplorationDirectory(StageDirectory):
    """What `fdht tune --explore` writes."""

    stage = artifacts.EXPLORATION


class RunDirectory(StageDirectory):
    """What `fdht run` writes."""

    stage = artifacts.RUN


class EnergyDirectory(StageDirectory):
    """What `fdht energy` writes."""

    stage = artifacts.ENERGY


class OverlayDirectory(StageDirectory):
    """What `fdht build` writes for a board: all that a board needs."""

    stage = artifacts.OVERLAY


@dataclass(frozen=True)
class BuildDirectory:
    """All that is made of an experiment.

    Attributes:
        path: build/<name>.
    """

    path: Path

    @property
    def name(self) -> str:
        """Of the experiment, as commands take it."""
        return self.path.name

    @property
    def data(self) -> Path:
        """Clips that were generated or read, of all experiments."""
        return self.path.parent / "data"

    @property
    def model(self) -> ModelDirectory:
        """Of the training."""
        return ModelDirectory(self.path / artifacts.MODEL)

    @property
    def decomposition(self) -> DecompositionDirectory:
        """Of a dense layer, where training may begin."""
        return DecompositionDirectory(self.path / artifacts.DECOMPOSITION)

    @property
    def hls(self) -> ConversionDirectory:
        """Of the conversion."""
        return ConversionDirectory(self.path / artifacts.CONVERSION)

    def tuning(self, board: str) -> TuningDirectory:
        """Of the tuning for a board."""
        return TuningDirectory(self.path / artifacts.TUNING / board)

    def exploration(self, board: str) -> ExplorationDirectory:
        """Of other shapes for a board."""
        return ExplorationDirectory(self.path / artifacts.EXPLORATION / board)

    @property
    def cosim(self) -> Path:
        """Of simulated Verilog: `REPORT`, and the compiled simulators."""
        return self.path / "cosim"

    @property
    def profiles(self) -> Path:
        """Of what frames of its clips hold, a file for each core that was planned for them."""
        return self.path / "profiles"

    @property
    def resources(self) -> Path:
        """Of counted cores, a directory each."""
        return self.path / "resources"

    @property
    def synthesis(self) -> Path:
        """Of Vitis HLS, a directory for each part."""
        return self.path / "synthesis"

    def work(self, board: str, variant: str) -> Path:
        """Where a plan for an overlay is run."""
        return self.path / "work" / board / variant

    def boards(self) -> list[str]:
        """Names of the boards that there are overlays for."""
        return sorted(path.name for path in (self.path / artifacts.OVERLAY).glob("*"))

    def overlays(self, board: str) -> Path:
        """Of all overlays for a board."""
        return self.path / artifacts.OVERLAY / board

    def overlay(self, board: str, variant: str) -> OverlayDirectory:
        """Of the overlay of a flow and a core."""
        return OverlayDirectory(self.overlays(board) / variant)

    @property
    def runs(self) -> Path:
        """Of all reports."""
        return self.path / artifacts.RUN

    @property
    def energies(self) -> Path:
        """Of all measurements of energy."""
        return self.path / artifacts.ENERGY

    def is_there(self) -> bool:
        """Is there a trained network, or an overlay?"""
        artifacts.recover(self.model.path)
        return any((self.path / name).is_dir() for name in (artifacts.MODEL, artifacts.OVERLAY))

    def find_trained(self, name: str) -> Path | None:
        """A file of the conversion, or else of the training; None if neither has it.

        Raises:
            ArtifactError: it is not as it was written.
        """
        return self.hls.find_file(name) or self.model.find_file(name)


def network_in(stage: Stage) -> QuantizedNetwork:
    """The network of a stage.

    Raises:
        ArtifactError: it is missing, damaged, or changed since.
    """
    return QuantizedNetwork.load(stage.file(NETWORK))


def experiment_in(stage: Stage) -> Experiment:
    """The recipe that a stage's network was trained by.

    Raises:
        ArtifactError: it is missing, damaged, or changed since.
    """
    from fdht_models.experiment import read_experiment  # takes a while, for all kinds of data

    # Training wrote it, and what came later carries a copy: one that is as it was written, but of
    # an earlier version, is not mended by copying it once more.
    later = {artifacts.CONVERSION: ", then fdht convert", artifacts.OVERLAY: ", convert and build"}
    again = "run fdht train again with its TOML file (of the demo: fdht demo)"
    return read_experiment(stage.file(EXPERIMENT), f"{again}{later.get(stage.name, '')}")


def overlays_in(path: Path) -> list[OverlayDirectory]:
    """The directory itself where it is an overlay's, or those right below it, by name."""
    found = [path] if (path / artifacts.MANIFEST).is_file() else stages_in(path)
    return [OverlayDirectory(directory) for directory in found]
