"""The manifest of an overlay: all that the host must know, and nothing that only a builder needs.

It stands in `manifest.json` of the stage directory under the key `overlay`, beside the digests
of the files. It needs no framework: the host reads it on the board.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from fdht_models.artifacts import MANIFEST, OVERLAY, SEAL, again_of
from fdht_models.directories import OverlayDirectory
from fdht_models.errors import ArtifactError
from fdht_models.records import first_difference, read_record
from fdht_models.tensor.contexts import CONTEXTS
from fdht_models.tensor.fixedpoint import FixedPoint
from fdht_models.tensor.sparse_frames import ReadsFrames, SparseFormat
from fdht_overlays.figures import NO_FIGURES, ClipFacts, Figures
from fdht_overlays.sparse_pace import SparsePace

#: Of frames that a core takes; see `fdht_models.tensor.sparse_frames.CORE_FRAMES`.
Kind = Literal["dense", "sparse", "raw"]
#: 2 has clips, figures, and a digest of the whole directory; 3 says which kind of frames it takes;
#: from 4 on the core says it as well; 5 says how many contexts there are.
SCHEMA_VERSION = 5
#: First that has a digest of the whole directory.
_SEALED = 2
#: How a vendor's figures of a design are known.
REPORTED = "reported by Vivado after placing and routing"
#: Name of the flow that makes overlays for a simulated board from the C simulation.
SIMULATION_FLOW = "csim"


@dataclass(frozen=True)
class InputLayout(ReadsFrames):
    """A frame in memory.

    Args:
        size: values in a frame, one byte each.
        format: of a value.
        frame_bytes: distance between two frames; size rounded up to whole words.
        feature: what the host computes from a video's frames, or None.
        frame_shape: shape of a raw frame, (height, width, 3) for video.
        frames: "dense": all of their words; "sparse": bitmaps and the words that are not zero; see
            `fdht_models.tensor.sparse_frames`. Whoever hands frames to the host need not know.
            "raw": frames of video as they are, of which the core computes the feature.
        frames_shown: the core says so itself; False of one that a former version built.
    """

    size: int
    format: FixedPoint
    frame_bytes: int
    feature: str | None
    frame_shape: tuple[int, ...]
    frames: Kind = "dense"
    frames_shown: bool = True

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ArtifactError("must be positive", field="size", value=self.size)
        _check_distance("frame_bytes", self.frame_bytes, self.size)
        if not 1 <= self.format.width <= 8:
            raise ArtifactError(
                "must lie between 1 and 8 bits", field="format.width", value=self.format.width
            )

    @property
    def dtype(self) -> Literal["int8", "uint8"]:
        """NumPy's name of the type that holds a frame's codes."""
        return "int8" if self.format.signed else "uint8"

    @property
    def shape(self) -> tuple[int]:
        """Shape of one frame as the accelerator takes it."""
        return (self.size,)

    def results_of(self, frames: int, reset: bool) -> int:
        """Results of a call with so many frames.

        Args:
            frames: of the call.
            reset: a sequence begins with it.
        """
        return max(0, frames - self.frames_before) if reset else frames

    def frames_for(self, results: int, reset: bool) -> int:
        """Frames of a call with so many results; a call of none has none."""
        return results + self.frames_before if reset and results else results

    @property
    def sparse_format(self) -> SparseFormat | None:
        """The format of sparse frames; None: they are dense."""
        return SparseFormat(self.frame_bytes) if self.sparse else None


@dataclass(frozen=True)
class ResultLayout:
    """A result in memory: one int32 logit code a class.

    Args:
        classes: labels.
        format: of a logit.
        result_bytes: distance between two results.
    """

    classes: tuple[str, ...]
    format: FixedPoint
    result_bytes: int

    def __post_init__(self) -> None:
        if not self.classes:
            raise ArtifactError("must name at least one class", field="classes")
        _check_distance("result_bytes", self.result_bytes, 4 * len(self.classes))
        if not 1 <= self.format.width <= 32:
            raise ArtifactError(
                "must lie between 1 and 32 bits", field="format.width", value=self.format.width
            )


@dataclass(frozen=True)
class CycleCount:
    """Clock cycles from one frame to the next, and how that is known."""

    cycles: int
    kind: Literal["estimated", "simulated", "measured"]

    def __post_init__(self) -> None:
        if self.cycles < 1:
            raise ArtifactError("must be positive", field="cycles", value=self.cycles)


@dataclass(frozen=True)
class TimingFacts:
    """Timing of the whole design after placing and routing, in nanoseconds.

    Args:
        setup: worst slack against setup.
        hold: worst slack against hold; None: the tool does not say.
        pulse: worst slack of pulse widths; None: the tool does not say.
        failing: endpoints that fail; None: the tool does not say.
        met: no slack is negative.
        allowed_failure: it was packaged although it is not met, because the user said so.
        by: the tool that says so.
        sign_off: the tool times all ports and corners, so that a clock that is met will work.
    """

    setup: float
    hold: float | None
    pulse: float | None
    failing: int | None
    met: bool
    allowed_failure: bool = False
    by: str = "Vivado"
    sign_off: bool = True

    def __post_init__(self) -> None:
        if not self.met and not self.allowed_failure:
            raise ArtifactError(
                "is not met, which is no overlay", field="met", value=False, remedy="build again"
            )

    @property
    def worst(self) -> float:
        """The least slack that is known."""
        known = (self.setup, self.hold, self.pulse)
        return min(slack for slack in known if slack is not None)

    @property
    def kind(self) -> str:
        """How the slack is known."""
        return REPORTED if self.sign_off else f"{self.by}'s figure, no sign-off"


@dataclass(frozen=True)
class PowerFacts:
    """Vivado's estimate of power on the chip, in watts; nothing was measured.

    Args:
        total: dynamic and static.
        dynamic: of what switches.
        static: of the device.
        confidence: Low, Medium or High, as Vivado judges it.
        kind: how it is known.
    """

    total: float
    dynamic: float
    static: float
    confidence: str
    kind: Literal["estimated"] = "estimated"


@dataclass(frozen=True)
class ArrayFacts:
    """An array of constants in the core: its shape and the format of its values."""

    shape: tuple[int, ...]
    format: FixedPoint


@dataclass(frozen=True)
class BuildFacts:
    """What the tools said of a real board's overlay.

    Args:
        core: "hls": C++ through Vitis HLS; "rtl": the project's own Verilog.
        plan: digest of the build plan.
        timing: after placing and routing.
        used: resources of the whole design: lut, ff, dsp, bram36.
        available: those of the device.
        power: estimate; None: the tools make none.
        arrays: shapes and formats of the cores of the network.
        checked: runs that compared the core with the reference: steps of Vitis HLS, or
            `fdht cosim` of this very Verilog.
        licences: notes on the licences of what is in the bitstream.
        counted: how `used` is known.
    """

    core: Literal["hls", "rtl"]
    plan: str
    timing: TimingFacts
    used: Mapping[str, float]
    available: Mapping[str, float]
    power: PowerFacts | None
    arrays: Mapping[str, ArrayFacts]
    checked: tuple[str, ...]
    licences: tuple[str, ...]
    counted: str = REPORTED


@dataclass(frozen=True)
class OverlayManifest:
    """An overlay.

    Args:
        design_id: 16 hexadecimal digits; the core shows the same in its identity registers.
        experiment: name of the experiment.
        board: name of the board.
        flow: what built it.
        vlnv: vendor, library, name and version of the core.
        clock_mhz: the core's clock.
        input: layout of the frames.
        results: layout of the results.
        cycles_per_frame: from one frame to the next, with its kind.
        bitstream: file name of the `.bit`.
        handoff: file name of the `.hwh`.
        golden: file name of the golden vectors.
        weights: file name of the description of weights that can be loaded; None: none can.
        tools: versions of what built it.
        build: what the tools said of it; None for a simulated board.
        clips: what the network was trained on; None: an overlay of a former version.
        figures: of training and conversion.
        sparse_pace: clocks of a call of sparse frames; None: they are dense.
        contexts: states that the core keeps, each of a stream of its own.
        schema_version: version of this description.

    Raises:
        ArtifactError: a value that cannot be right.
    """

    design_id: str
    experiment: str
    board: str
    flow: str
    vlnv: str
    clock_mhz: float
    input: InputLayout
    results: ResultLayout
    cycles_per_frame: CycleCount
    bitstream: str
    handoff: str
    golden: str
    weights: str | None = None
    tools: Mapping[str, str] = field(default_factory=dict)
    build: BuildFacts | None = None
    clips: ClipFacts | None = None
    figures: Figures = field(default_factory=Figures)
    sparse_pace: SparsePace | None = None
    contexts: int = 1
    schema_version: int = SCHEMA_VERSION

    def __post_init__(self) -> None:
        if not re.fullmatch("[0-9a-f]{16}", self.design_id):
            raise ArtifactError(
                "must be 16 hexadecimal digits", field="design_id", value=self.design_id
            )
        if self.clock_mhz <= 0:
            raise ArtifactError("must be positive", field="clock_mhz", value=self.clock_mhz)
        if (self.sparse_pace is None) == self.input.sparse:
            raise ArtifactError(
                f"is not that of {self.input.frames} frames",
                field="sparse_pace",
                remedy=again_of(OVERLAY),
            )
        if self.contexts not in CONTEXTS:
            raise ArtifactError("is no number of contexts", field="contexts", value=self.contexts)
        if len(self.vlnv.split(":")) != 4:
            raise ArtifactError("must have four parts", field="vlnv", value=self.vlnv)
        suffixes = {"bitstream": ".bit", "handoff": ".hwh", "golden": ".npz", "weights": ".json"}
        for key, suffix in suffixes.items():
            name = getattr(self, key)
            if name is None:
                continue
            if Path(name).name != name or not name.endswith(suffix):
                raise ArtifactError(
                    f"must be the name of a {suffix} file beside the manifest",
                    field=key,
                    value=name,
                )
        # pynq.Overlay looks for the .hwh under the name of the .bit.
        if Path(self.bitstream).stem != Path(self.handoff).stem:
            raise ArtifactError(
                "must have the bitstream's name", field="handoff", value=self.handoff
            )

    @property
    def design_number(self) -> int:
        """The design id as a number."""
        return int(self.design_id, 16)

    @property
    def seconds_per_frame(self) -> float:
        """Time from one frame to the next at the core's clock; of the kind of the cycle count."""
        return self.cycles_per_frame.cycles / (self.clock_mhz * 1e6)

    def call_cycles(self, frames: int, words: int) -> float:
        """Clocks of a call.

        Args:
            frames: of the call.
            words: that they take; of dense frames it does not matter.
        """
        if self.sparse_pace is None:
            return float(frames * self.cycles_per_frame.cycles)
        return self.sparse_pace.cycles(frames, words)

    def seconds_of_call(self, frames: int, words: int) -> float:
        """Time of a call at the core's clock; see `call_cycles`."""
        return self.call_cycles(frames, words) / (self.clock_mhz * 1e6)

    @property
    def frames_per_second(self) -> float:
        """Frames a second at the core's clock; of the kind of the cycle count."""
        return 1 / self.seconds_per_frame

    def to_json(self) -> dict[str, Any]:
        """A JSON object that `manifest_from_json` reads back."""
        return asdict(self)


def _check_distance(name: str, distance: int, content: int) -> None:
    if distance < content or distance % 8:
        raise ArtifactError(
            f"must be a multiple of 8 that holds {content} bytes", field=name, value=distance
        )


def manifest_from_json(value: object, source: str = MANIFEST) -> OverlayManifest:
    """Checks and builds a manifest.

    Raises:
        ArtifactError: an unknown schema version, an unknown or missing key, a wrong type or value.
    """
    value = _of_this_version(value)
    version = value.get("schema_version") if isinstance(value, Mapping) else None
    if version != SCHEMA_VERSION:
        raise ArtifactError(
            f"expected {SCHEMA_VERSION}",
            field=f"{source}: overlay.schema_version",
            value=version,
            remedy="build the overlay with this version of fdht, or update fdht",
        )
    how: dict[str, Any] = {"source": source, "error": ArtifactError, "path": OVERLAY}
    manifest = read_record(OverlayManifest, value, **how)
    # All keys are written; without one, its default may not be what was built.
    if (missing := first_difference(value, manifest.to_json())) is not None:
        raise ArtifactError(
            "is missing", field=f"{source}: {OVERLAY}.{missing}", remedy=again_of(OVERLAY)
        )
    return manifest


def _of_this_version(value: object) -> object:
    """What a former version wrote, with what this one has beside it; all else as it is."""
    if not isinstance(value, Mapping) or type(value.get("schema_version")) is not int:
        return value
    if value["schema_version"] == 1 and not {"clips", "figures"} & value.keys():
        value = {**value, "clips": None, "figures": asdict(NO_FIGURES), "schema_version": 2}
    layout = value.get("input")
    added = isinstance(layout, Mapping) and "frames" not in layout and "sparse_pace" not in value
    if value["schema_version"] == 2 and isinstance(layout, Mapping) and added:
        layout = {**layout, "frames": "dense"}
        value = {**value, "input": layout, "sparse_pace": None, "schema_version": 3}
    added = isinstance(layout, Mapping) and "frames_shown" not in layout
    if value["schema_version"] == 3 and isinstance(layout, Mapping) and added:
        layout = {**layout, "frames_shown": False}
        value = {**value, "input": layout, "schema_version": 4}
    if value["schema_version"] == 4 and "contexts" not in value:
        value = {**value, "contexts": 1, "schema_version": SCHEMA_VERSION}
    return value


def load_manifest(directory: Path) -> OverlayManifest:
    """Reads an overlay directory's manifest and checks that its files are whole.

    Raises:
        ArtifactError: the directory is not an overlay, or a file is missing or damaged.
    """
    stage = OverlayDirectory(directory).open()
    source = str(directory / MANIFEST)
    manifest = manifest_from_json(stage.manifest.get(OVERLAY), source)
    former = stage.manifest[OVERLAY]["schema_version"] < _SEALED
    if SEAL not in stage.manifest and not former:
        raise ArtifactError("is missing", field=f"{source}: {SEAL}", remedy=again_of(OVERLAY))
    for name in (manifest.bitstream, manifest.handoff, manifest.golden, manifest.weights):
        if name is not None and not stage.holds(name):
            raise ArtifactError(
                "lists no digest", field=f"{source}: files", value=name, remedy=again_of(OVERLAY)
            )
    stage.check()
    return manifest
