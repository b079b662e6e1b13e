"""How much each stage of the engine does in a clock: chosen by the tuner, read by every emitter.

A stage's innermost pipelined loop has one turn a vector (`StageShape.turns`). A turn is done in
`beats` of one clock each; in a beat, `vector` values of the vector meet `outputs` outputs, so that
`vector` x `outputs` multipliers work. The order of the beats is: vector pieces outside, output
pieces inside. Needs no hls4ml.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from fdht_hls.shapes import StageShape, stage_shape
from fdht_models.errors import ConfigError
from fdht_models.tensor.quantized import (
    WORD_BYTES,
    ContractionPath,
    QuantizedRecurrence,
    frame_modes,
)

#: Of what multipliers are made.
MULTIPLIERS = ("dsp", "lut")
#: Clocks of a turn of W_h h at most: it has a whole frame's time.
_MOST_HIDDEN_BEATS = 8


@dataclass(frozen=True)
class StageSchedule:
    """The parallelism of one stage.

    Args:
        vector: values of a vector that are multiplied in a clock; divides `vector_length`.
        outputs: outputs that each of them meets in a clock; divides `StageShape.outputs`.
        multipliers: what they are made of, "dsp" or "lut".
    """

    vector: int
    outputs: int
    multipliers: str = "dsp"

    @property
    def parallel(self) -> int:
        """Multiply-accumulates a clock."""
        return self.vector * self.outputs

    def beats(self, shape: StageShape) -> int:
        """Clocks of a turn."""
        return shape.macs_per_turn // self.parallel

    def cycles(self, shape: StageShape) -> int:
        """Clocks that the stage is busy in a frame."""
        return shape.turns * self.beats(shape)


@dataclass(frozen=True)
class Schedule:
    """The parallelism of all stages: of W_x x and of W_h h, in the order of their plans."""

    input: tuple[StageSchedule, ...]
    hidden: tuple[StageSchedule, ...]

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        return {
            "input": [asdict(stage) for stage in self.input],
            "hidden": [asdict(stage) for stage in self.hidden],
        }

    @classmethod
    def from_json(cls, value: object) -> Schedule:
        """Reads what `to_json` wrote.

        Raises:
            ConfigError: a key is unknown or missing, or a value is not of its kind.
        """
        if not isinstance(value, Mapping) or set(value) != {"input", "hidden"}:
            raise ConfigError(
                "must have the keys input and hidden",
                field="schedule",
                value=sorted(value) if isinstance(value, Mapping) else value,
                remedy="write it with fdht tune",
            )
        return cls(
            *(
                tuple(_stage(entry, f"{path}.{at}") for at, entry in enumerate(value[path]))
                for path in ("input", "hidden")
            )
        )


def vector_length(shape: StageShape) -> int:
    """Values of a vector: a fibre of the last mode, or the bonds that the stage sums."""
    return shape.mode if shape.fibre else shape.rank_in


def divisors(number: int) -> tuple[int, ...]:
    """All divisors, ascending."""
    return tuple(part for part in range(1, number + 1) if number % part == 0)


def choices(shape: StageShape) -> tuple[StageSchedule, ...]:
    """Every parallelism of a stage, fewest multipliers first; of equals the widest vector first."""
    found = [
        StageSchedule(vector, outputs)
        for vector in divisors(vector_length(shape))
        for outputs in divisors(shape.outputs)
    ]
    return tuple(sorted(found, key=lambda one: (one.parallel, -one.vector)))


def shapes_of(path: ContractionPath) -> tuple[StageShape, ...]:
    """Shapes of all stages of a path."""
    return tuple(stage_shape(path, position) for position in range(len(path.plan.stages)))


def frame_cycles(recurrence: QuantizedRecurrence, port_bytes: int = WORD_BYTES) -> int:
    """Clocks in which a memory port delivers a frame, a word a clock and fibre by fibre."""
    fibres, fibre = frame_modes(recurrence)
    if fibre % WORD_BYTES:  # fibres that share words are unpacked byte by byte
        return fibres * fibre
    return -(-fibres * fibre // port_bytes)


def default_schedule(recurrence: QuantizedRecurrence, port_bytes: int = WORD_BYTES) -> Schedule:
    """The fewest multipliers with which no stage of W_x x is slower than the memory port.

    A stage that cannot keep up even with all its multipliers gets all of them.

    Args:
        recurrence: whose stages.
        port_bytes: bytes that the port delivers in a clock.
    """
    pace = frame_cycles(recurrence, port_bytes)

    def fewest(shape: StageShape) -> StageSchedule:
        every = choices(shape)
        return next((one for one in every if one.cycles(shape) <= pace), every[-1])

    def patient(shape: StageShape) -> StageSchedule:
        every = choices(shape)
        return next(one for one in every if one.beats(shape) <= _MOST_HIDDEN_BEATS)

    return Schedule(
        tuple(fewest(shape) for shape in shapes_of(recurrence.input_path)),
        tuple(patient(shape) for shape in shapes_of(recurrence.hidden_path)),
    )


def check_schedule(recurrence: QuantizedRecurrence, schedule: Schedule) -> None:
    """Refuses a schedule of another network.

    Raises:
        ConfigError: the number of stages differs, or a parallelism divides nothing.
    """
    for label, stages, path in (
        ("input", schedule.input, recurrence.input_path),
        ("hidden", schedule.hidden, recurrence.hidden_path),
    ):
        shapes = shapes_of(path)
        if len(stages) != len(shapes):
            raise ConfigError(
                f"has {len(stages)} stages; the network has {len(shapes)}",
                field=f"schedule.{label}",
                remedy="tune this network: fdht tune",
            )
        for at, (stage, shape) in enumerate(zip(stages, shapes, strict=True)):
            _check_divides(f"schedule.{label}.{at}.vector", stage.vector, vector_length(shape))
            _check_divides(f"schedule.{label}.{at}.outputs", stage.outputs, shape.outputs)


def _check_divides(field: str, part: int, whole: int) -> None:
    if whole % part:
        raise ConfigError(
            f"must divide {whole}",
            field=field,
            value=part,
            remedy=f"use one of {', '.join(map(str, divisors(whole)))}",
        )


def _stage(value: object, path: str) -> StageSchedule:
    names: Sequence[str] = [entry.name for entry in fields(StageSchedule)]
    field = f"schedule.{path}"
    if not isinstance(value, Mapping) or not {"vector", "outputs"} <= set(value) <= set(names):
        raise ConfigError(
            "is not a stage's schedule",
            field=field,
            value=value,
            remedy=f"give the keys {', '.join(names)}",
        )
    for name in ("vector", "outputs"):
        number = value[name]
        if not isinstance(number, int) or isinstance(number, bool) or number < 1:
            raise ConfigError(
                "must be a whole number above 0", field=f"{field}.{name}", value=number
            )
    if value.get("multipliers", "dsp") not in MULTIPLIERS:
        raise ConfigError(
            "is no kind of multiplier",
            field=f"{field}.multipliers",
            value=value["multipliers"],
            remedy=f"use {' or '.join(MULTIPLIERS)}",
        )
    return StageSchedule(**value)
