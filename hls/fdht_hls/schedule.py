"""How much each stage of the engine does in a clock: chosen by the tuner, read by every emitter.

A stage takes `vectors` vectors of a word of input at once: a turn. A turn is done in `beats` of one
clock each; in a beat, `vector` values of each of these vectors meet `outputs` outputs, so that
`vectors` x `vector` x `outputs` multipliers work. The order of the beats is: vector pieces outside,
output pieces inside. In a first stage that takes fibres, `vectors` also says how many of them come
in a word, and the second stage takes a word of what became of them. Needs no hls4ml.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from fdht_hls.shapes import StageShape, divisors, fibre_counts, stage_shape
from fdht_models.arguments import count
from fdht_models.documents import read_json_file
from fdht_models.errors import ConfigError
from fdht_models.records import JsonRecord, read_record
from fdht_models.tensor.contexts import check_contexts, context_count
from fdht_models.tensor.quantized import (
    WORD_BYTES,
    ContractionPath,
    QuantizedRecurrence,
    frame_modes,
)
from fdht_models.tensor.sparse_frames import CORE_FRAMES, ReadsFrames

#: Multipliers of which two share a DSP slice; see `fdht_hls.engine.pairs`.
PAIRS = "dsp-pairs"
#: Of what multipliers are made; the plain ones suit every stage.
PLAIN = ("dsp", "lut")
MULTIPLIERS = (*PLAIN, PAIRS)
#: What a stage's weights are: in the hardware for good, tables that the host can write, or a graph
#: of shifts and adders that was made for them.
WEIGHTS = ("constant", "loadable", "adders")
#: Most weights of a stage that is made of adders. They are for small stages: 2,048 weights of 8
#: bits take 27,000 LUT, half of a Zynq-7020, and da4ml 6 s; twice as many, four times as long.
MOST_ADDER_WEIGHTS = 2048
#: Clocks of a turn of W_h h at most: it has a whole frame's time.
_MOST_HIDDEN_BEATS = 8


def _one_of(what: str, kinds: Sequence[str]) -> Callable[[object, str], str]:
    def check(value: object, path: str) -> str:
        if not isinstance(value, str) or value not in kinds:
            remedy = f"use {' or '.join(kinds)}"
            raise ConfigError(f"is no kind of {what}", field=path, value=value, remedy=remedy)
        return value

    return check


@dataclass(frozen=True)
class StageSchedule:
    """The parallelism of one stage.

    Args:
        vector: values of a vector that are multiplied in a clock; divides `vector_length`.
        outputs: outputs that each of them meets in a clock; divides `StageShape.outputs`.
        multipliers: what they are made of: "dsp", "lut", or, in the core in RTL, "dsp-pairs", of
            which two share a DSP slice. The core in C++ takes them for "dsp".
        weights: "constant", "loadable" at run time, or "adders": no multipliers, but shifts and
            adders for constants, where every beat has the same weights; see `weight_rows`.
        vectors: vectors of a word of input that are worked on at once, with the same weights; one
            of `vector_counts`. In a path's first stage these are fibres; one of `fibre_counts`.
    """

    vector: int = field(metadata={"check": count})
    outputs: int = field(metadata={"check": count})
    multipliers: str = field(default="dsp", metadata={"check": _one_of("multiplier", MULTIPLIERS)})
    weights: str = field(default="constant", metadata={"check": _one_of("weights", WEIGHTS)})
    vectors: int = field(default=1, metadata={"check": count})

    @property
    def weights_in_beat(self) -> int:
        """Weights of a beat: each is multiplied with a value of every vector."""
        return self.vector * self.outputs

    @property
    def parallel(self) -> int:
        """Multiply-accumulates a clock."""
        return self.vectors * self.weights_in_beat

    def words_at_once(self, shape: StageShape) -> int:
        """Words of output that a turn completes, if it completes any."""
        return max(1, self.vectors // shape.lanes)

    def beats(self, shape: StageShape) -> int:
        """Clocks of a turn."""
        return shape.macs_per_turn // self.weights_in_beat

    def cycles(self, shape: StageShape) -> int:
        """Clocks that the stage is busy in a frame; a word of output takes one at least."""
        given = shape.words_out // shape.words_joined
        return max(shape.turns // self.vectors * self.beats(shape), given)


@dataclass(frozen=True)
class Schedule(JsonRecord, ReadsFrames):
    """The parallelism of all stages, which of a frame's words they work for, and for whom.

    Args:
        input: stages of W_x x, in the order of their plan.
        hidden: those of W_h h.
        frames: "dense": all words; "sparse" and "raw": those that are not zero, and what follows
            from them.
        contexts: states that the core keeps.

    Raises:
        ConfigError: a path has no stage, or such a core keeps one state only.
    """

    input: tuple[StageSchedule, ...]
    hidden: tuple[StageSchedule, ...]
    frames: str = field(default="dense", metadata={"check": _one_of("frames", CORE_FRAMES)})
    contexts: int = field(default=1, metadata={"check": context_count})

    def __post_init__(self) -> None:
        for name in ("input", "hidden"):
            if not getattr(self, name):
                raise ConfigError("names no stage", field=name, remedy="write it with fdht tune")
        check_contexts(self.contexts, self.frames)

    @property
    def stages(self) -> tuple[StageSchedule, ...]:
        """All stages."""
        return (*self.input, *self.hidden)

    @property
    def fibres(self) -> tuple[int, int]:
        """Fibres that come into W_x x, and into W_h h, in a word."""
        return self.input[0].vectors, self.hidden[0].vectors

    @property
    def loadable(self) -> bool:
        """Can weights be loaded at run time? Then bias and head can, too."""
        return any(stage.weights == "loadable" for stage in self.stages)

    def with_weights(self, weights: str) -> Schedule:
        """The same parallelism with another kind of weights in all stages."""
        return replace(
            self,
            input=tuple(replace(stage, weights=weights) for stage in self.input),
            hidden=tuple(replace(stage, weights=weights) for stage in self.hidden),
        )

    def with_frames(self, frames: str | None, contexts: int | None = None) -> Schedule:
        """The same parallelism for other frames and contexts; None: for its own."""
        return replace(
            self,
            frames=self.frames if frames is None else frames,
            contexts=self.contexts if contexts is None else contexts,
        )

    @classmethod
    def from_json(cls, value: object) -> Schedule:
        """Reads what `to_json` wrote.

        A stage's keys that have a default may be missing.

        Raises:
            ConfigError: a key is unknown or missing, or a value is not of its kind.
        """
        return read_record(cls, value, path="schedule", remedy="write it with fdht tune")


def load_schedule(path: Path, frames: str | None = None, contexts: int | None = None) -> Schedule:
    """Reads a file that `fdht tune` or a conversion wrote.

    Args:
        path: the file, which decides on the kind of frames and the number of contexts, too.
        frames: that somebody asks for beside it; None: nobody does.
        contexts: likewise.

    Raises:
        ConfigError: it cannot be read, is no schedule, or is for other frames or contexts.
    """
    remedy = "name a schedule.json of fdht tune"
    value = read_json_file(path, error=ConfigError, remedy=remedy)
    found = read_record(Schedule, value, source=str(path), path="schedule", remedy=remedy)
    if frames not in (None, found.frames):
        raw = frames == "raw"
        field, value = ("feature", "chip") if raw else ("core-frames", frames)
        raise ConfigError(
            f"the schedule {path} is for {found.frames} frames",
            field=field,
            value=value,
            remedy=f"leave it out, or take a schedule of fdht tune --{field} {value}",
        )
    if contexts not in (None, found.contexts):
        raise ConfigError(
            f"the schedule {path} is for {found.contexts}",
            field="contexts",
            value=contexts,
            remedy=f"leave it out, or take a schedule of fdht tune --contexts {contexts}",
        )
    return found


def vector_length(shape: StageShape) -> int:
    """Values of a vector: a fibre of the last mode, or the bonds that the stage sums."""
    return shape.mode if shape.fibre else shape.rank_in


def weight_rows(shape: StageShape, schedule: StageSchedule) -> int:
    """Sets of weights that a stage goes through, one a beat; with 1, every beat has the same."""
    pieces = vector_length(shape) // schedule.vector
    slices = (1 if shape.fibre else shape.mode) * shape.banks
    return slices * pieces * (shape.outputs // schedule.outputs)


def vector_counts(shape: StageShape) -> tuple[int, ...]:
    """How many vectors of a word of input may be worked on at once, ascending.

    They are multiplied with the same weights, so all are of one term; and they are a part of one
    word of output, or all of several. Of fibres it is always the whole word.
    """
    if shape.fibre:
        return (shape.together,)
    if shape.banks > 1:
        return divisors(shape.bank_stride)
    groups = tuple(shape.lanes * count for count in divisors(shape.inner))
    return tuple(sorted({*divisors(shape.lanes), *groups}))


def choices(shape: StageShape) -> tuple[StageSchedule, ...]:
    """What is worth a thought for a stage, fewest multipliers first; of equals the widest vector.

    Several vectors are worked on at once only where one has all the multipliers that it can use: a
    turn is then one beat. Fibres that come in a word are always worked on at once.
    """
    length, least = vector_length(shape), vector_counts(shape)[0]
    found = [
        StageSchedule(vector, outputs, vectors=least)
        for vector in divisors(length)
        for outputs in divisors(shape.outputs)
    ]
    found += [
        StageSchedule(length, shape.outputs, vectors=vectors)
        for vectors in vector_counts(shape)
        if vectors > least
    ]
    return tuple(sorted(found, key=lambda one: (one.parallel, -one.vector)))


def shapes_of(path: ContractionPath, fibres: int = 1) -> tuple[StageShape, ...]:
    """Shapes of all stages of a path into which so many fibres come in a word."""
    return tuple(stage_shape(path, position, fibres) for position in range(len(path.plan.stages)))


def frame_cycles(
    recurrence: QuantizedRecurrence, port_bytes: int = WORD_BYTES, fibres: int = 1
) -> int:
    """Clocks in which a memory port delivers a frame: a word a clock, so many fibres at most.

    Args:
        recurrence: whose frames they are.
        port_bytes: of a word. Fibres that are shorter set the pace themselves.
        fibres: that the first stage takes in a clock.
    """
    count, fibre = frame_modes(recurrence)
    return max(count // fibres, -(-count * fibre // port_bytes))


def fibres_for(recurrence: QuantizedRecurrence, port_bytes: int) -> int:
    """Fewest fibres in a word with which the first stage keeps up with a port, or comes closest.

    One for a port of 8 bytes, which is all that the core in C++ has: it takes fibres one by one.
    """
    if port_bytes <= WORD_BYTES:
        return 1
    every = fibre_counts(recurrence.input_path)
    return min(every, key=lambda fibres: frame_cycles(recurrence, port_bytes, fibres))


def default_schedule(recurrence: QuantizedRecurrence, port_bytes: int = WORD_BYTES) -> Schedule:
    """The fewest multipliers with which no stage of W_x x is slower than the memory port.

    A stage that cannot keep up even with all its multipliers gets all of them. Fibres come one by
    one if that is fast enough.

    Args:
        recurrence: whose stages.
        port_bytes: bytes that the port delivers in a clock.
    """
    fibres = fibres_for(recurrence, port_bytes)
    pace = frame_cycles(recurrence, port_bytes, fibres)

    def fewest(shape: StageShape) -> StageSchedule:
        every = choices(shape)
        return next((one for one in every if one.cycles(shape) <= pace), every[-1])

    def patient(shape: StageShape) -> StageSchedule:
        every = choices(shape)
        return next(one for one in every if one.beats(shape) <= _MOST_HIDDEN_BEATS)

    return Schedule(
        tuple(fewest(shape) for shape in shapes_of(recurrence.input_path, fibres)),
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
        stages_there = len(path.plan.stages)
        if len(stages) != stages_there:
            raise ConfigError(
                f"has {len(stages)} stages; the network has {stages_there}",
                field=f"schedule.{label}",
                remedy="tune this network: fdht tune",
            )
        _check_one_of(
            f"schedule.{label}[0].vectors",
            stages[0].vectors,
            fibre_counts(path),
            "must take fibres that the second stage sums",
        )
        shapes = shapes_of(path, stages[0].vectors)
        for at, (stage, shape) in enumerate(zip(stages, shapes, strict=True)):
            _check_divides(f"schedule.{label}[{at}].vector", stage.vector, vector_length(shape))
            _check_divides(f"schedule.{label}[{at}].outputs", stage.outputs, shape.outputs)
            _check_one_of(
                f"schedule.{label}[{at}].vectors",
                stage.vectors,
                vector_counts(shape),
                "must take vectors of one term, and part of a word of output or whole ones",
            )
            if stage.weights == "adders":
                _check_adders(f"schedule.{label}[{at}]", stage, shape)


def _check_divides(field: str, part: int, whole: int) -> None:
    _check_one_of(field, part, divisors(whole), f"must divide {whole}")


def _check_one_of(field: str, value: int, allowed: Sequence[int], rule: str) -> None:
    if value not in allowed:
        remedy = f"use one of {', '.join(map(str, allowed))}"
        raise ConfigError(rule, field=field, value=value, remedy=remedy)


def _check_adders(field: str, stage: StageSchedule, shape: StageShape) -> None:
    """Refuses adders where weights change from beat to beat, or where there are too many."""
    whole = StageSchedule(vector_length(shape), shape.outputs)
    if weight_rows(shape, whole) > 1:
        raise ConfigError(
            f"needs one set of weights, and the stage has {weight_rows(shape, whole)}",
            field=f"{field}.weights",
            value=stage.weights,
            remedy="use constant or loadable; a path's first stage can be made of adders",
        )
    if weight_rows(shape, stage) > 1:
        raise ConfigError(
            "needs a whole turn in a beat",
            field=f"{field}.weights",
            value=stage.weights,
            remedy=f"use a vector of {whole.vector} and {whole.outputs} outputs, or constant",
        )
    if stage.weights_in_beat > MOST_ADDER_WEIGHTS:
        raise ConfigError(
            f"are made for at most {MOST_ADDER_WEIGHTS:,} weights, and the stage has "
            f"{stage.weights_in_beat:,}",
            field=f"{field}.weights",
            value=stage.weights,
            remedy="use constant",
        )
