"""The sections of an experiment's file: one frozen dataclass each, every field with its check."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fdht_models.errors import ConfigError, FdhtError
from fdht_models.settings import number, read_section, text, text_list, whole, whole_list
from fdht_models.tensor.formats import FORMATS, MULTIPLICATIONS, as_tree, format_from
from fdht_models.tensor.planner import OBJECTIVES
from fdht_models.tensor.recurrent import GATES, RecurrentShape

_WIDTH = {"check": whole(2, 24)}
#: Keys of `[model]` that a format may take; see `ModelSettings`.
_RANK_KEYS = (
    "leaf_rank",
    "inner_rank",
    "tree",
    "ranks",
    "rank",
    "blocks",
    "terms",
    "multiplication",
    "input_ranks",
    "output_ranks",
)


def _cores(value: object, path: str) -> int | dict[str, int]:
    """Checks `cores = 8` or `cores = { default = 8, C1 = 10 }`; names are checked later."""
    if isinstance(value, Mapping):
        widths = {str(key): whole(2, 24)(width, f"{path}.{key}") for key, width in value.items()}
        if "default" not in widths:
            raise ConfigError(
                "is missing", field=f"{path}.default", remedy="add the width of all other cores"
            )
        return widths
    return whole(2, 24)(value, path)


def _ranks(value: object, path: str) -> int | tuple[int, ...]:
    check: Any = whole_list(1, 1024) if isinstance(value, list | tuple) else whole(1, 1024)
    return check(value, path)


def _ranks_or_none(value: object, path: str) -> int | tuple[int, ...]:
    """Ranks of Tucker, where 0 leaves a mode whole."""
    check: Any = whole_list(0, 1024) if isinstance(value, list | tuple) else whole(0, 1024)
    return check(value, path)


def _share(value: object, path: str) -> float:
    """Checks a part of the whole, which may be 0."""
    return 0.0 if value == 0 and not isinstance(value, bool) else number(0, 0.9)(value, path)


def _up_to(most: float) -> Any:
    """A check for numbers from 0 to `most`, both included."""

    def check(value: object, path: str) -> float:
        return 0.0 if value == 0 and not isinstance(value, bool) else number(0, most)(value, path)

    return check


def _tree(value: object, path: str) -> Any:
    if isinstance(value, str):
        return text("balanced", "unbalanced")(value, path)
    try:
        return as_tree(value)
    except FdhtError as error:
        raise ConfigError(
            error.problem, field=path, value=error.value, remedy=error.remedy
        ) from None


def _mix(value: object, path: str) -> tuple[DataSettings, ...]:
    """Checks `[[data.mix]]`: further sections like `[data]`, none of which mixes others in."""
    if not isinstance(value, list | tuple) or not value:
        raise ConfigError(
            "must be a list of tables",
            field=path,
            value=value,
            remedy=f"write one [[{path}]] for each further set",
        )
    parts = [
        read_section(DataSettings, part, f"{path}[{place}]") for place, part in enumerate(value)
    ]
    for place, part in enumerate(parts):
        if part.mix:
            raise ConfigError(
                "cannot be mixed once more",
                field=f"{path}[{place}].mix",
                remedy="list them all once",
            )
    return tuple(parts)


@dataclass(frozen=True)
class DataSettings:
    """Section `[data]`: a set that is generated, or one that a user brings in a folder.

    Attributes:
        set: name of a data set.
        steps: frames a clip as the network sees them; None takes the data set's own number.
        train_clips: clips to train on; of a folder, at most (None: all).
        test_clips: clips, of a split that shares no picture or person, to score on; likewise.
        seed: of the training clips, or of a folder's random frames and folds.
        test_seed: of generated test clips.
        root: the folder; this and the keys that follow are those of `FolderRequest`.
        protocol: which frames of a video.
        stride: frames from one that is taken to the next.
        feature: of video.
        dead_zone: of the feature motion_energy.
        fold_rule: how clips are divided.
        folds: into how many parts.
        fold: which part is the test split.
        height: of video, rows.
        width: of video, columns.
        frame_ms: of spikes, milliseconds a frame.
        bands: of speech, mel filters.
        stack: of speech, frames of 10 ms in one.
        kind: of own clips (`folders`), "video", "sound" or "arrays".
        pattern: a regular expression that tells class, group or split by a clip's path.
        classes: of own clips, the names of the classes in order.
        test_groups: the groups that test.
        inputs: of arrays, values a frame.
        full_scale: of arrays, the number that becomes the code 255.
        level: of own sound, the loudness in decibels of a full-scale sine's.
        floor: of own sound, decibels that become the code 0.
        trim: of own sound, decibels below the loudest frame at which silence begins.
        mix: further sets whose clips are trained on and scored along with this one's, as
            `[[data.mix]]` with the same keys; classes of one name are one class.
    """

    set: str = field(metadata={"check": text()})
    train_clips: int | None = field(default=None, metadata={"check": whole(1, 1_000_000)})
    test_clips: int | None = field(default=None, metadata={"check": whole(1, 1_000_000)})
    steps: int | None = field(default=None, metadata={"check": whole(1, 10_000)})
    seed: int = field(default=0, metadata={"check": whole(0, 2**31 - 1)})
    test_seed: int = field(default=0, metadata={"check": whole(0, 2**31 - 1)})
    root: str | None = field(default=None, metadata={"check": text()})
    protocol: str | None = field(default=None, metadata={"check": text()})
    stride: int | None = field(default=None, metadata={"check": whole(1, 10_000)})
    feature: str | None = field(default=None, metadata={"check": text()})
    dead_zone: int | None = field(default=None, metadata={"check": whole(0, 254)})
    fold_rule: str | None = field(default=None, metadata={"check": text()})
    folds: int | None = field(default=None, metadata={"check": whole(1, 1000)})
    fold: int | None = field(default=None, metadata={"check": whole(0, 999)})
    height: int | None = field(default=None, metadata={"check": whole(1, 4096)})
    width: int | None = field(default=None, metadata={"check": whole(1, 4096)})
    frame_ms: float | None = field(default=None, metadata={"check": number(0, 10_000)})
    bands: int | None = field(default=None, metadata={"check": whole(1, 256)})
    stack: int | None = field(default=None, metadata={"check": whole(1, 1000)})
    kind: str | None = field(default=None, metadata={"check": text()})
    pattern: str | None = field(default=None, metadata={"check": text()})
    classes: tuple[str, ...] | None = field(default=None, metadata={"check": text_list()})
    test_groups: tuple[str, ...] | None = field(default=None, metadata={"check": text_list()})
    inputs: int | None = field(default=None, metadata={"check": whole(1, 100_000_000)})
    full_scale: float | None = field(default=None, metadata={"check": number(0, 1e30)})
    # Their ranges are checked with the kind of clips, on most of which they have no effect.
    level: float | None = field(default=None, metadata={"check": number(-1e30, 1e30)})
    floor: float | None = field(default=None, metadata={"check": number(-1e30, 1e30)})
    trim: float | None = field(default=None, metadata={"check": number(-1e30, 1e30)})
    mix: tuple[DataSettings, ...] | None = field(default=None, metadata={"check": _mix})


@dataclass(frozen=True)
class ModelSettings:
    """Section `[model]`; see `RecurrentShape` and `TensorRNN` for what the keys mean.

    Which ranks are needed depends on the format: ht and fdht have `leaf_rank`, `inner_rank` and
    `tree`; tt and tr `ranks`; bt `blocks` and `rank`; tucker `input_ranks` and `output_ranks`; cp
    `rank`; kcp `terms`, `rank` and `multiplication`; dense none. `fdht` is `ht` with `hidden_box`.
    """

    input_modes: tuple[int, ...] = field(metadata={"check": whole_list(1, 100_000)})
    output_modes: tuple[int, ...] = field(metadata={"check": whole_list(1, 100_000)})
    format: str = field(default="fdht", metadata={"check": text("fdht", *FORMATS)})
    cell: str = field(default="lstm", metadata={"check": text(*GATES)})
    hidden_box: tuple[int, ...] | None = field(
        default=None, metadata={"check": whole_list(1, 100_000)}
    )
    leaf_rank: int | tuple[int, ...] | None = field(default=None, metadata={"check": _ranks})
    inner_rank: int | None = field(default=None, metadata={"check": whole(1, 1024)})
    tree: Any = field(default=None, metadata={"check": _tree})
    ranks: int | tuple[int, ...] | None = field(default=None, metadata={"check": _ranks})
    rank: int | None = field(default=None, metadata={"check": whole(1, 1024)})
    blocks: int | None = field(default=None, metadata={"check": whole(1, 1024)})
    terms: int | None = field(default=None, metadata={"check": whole(1, 1024)})
    multiplication: str | None = field(default=None, metadata={"check": text(*MULTIPLICATIONS)})
    input_ranks: int | tuple[int, ...] | None = field(
        default=None, metadata={"check": _ranks_or_none}
    )
    output_ranks: int | tuple[int, ...] | None = field(
        default=None, metadata={"check": _ranks_or_none}
    )
    objective: str = field(default="macs", metadata={"check": text(*OBJECTIVES)})
    recurrent_activation: str = field(default="sigmoid", metadata={"check": text()})
    activation: str = field(default="tanh", metadata={"check": text()})
    input_gain: float = field(default=1.0, metadata={"check": number(0, 1e6)})

    @property
    def format_settings(self) -> dict[str, Any]:
        """What is given of the format's ranks and other settings of its own."""
        given = {key: getattr(self, key) for key in _RANK_KEYS}
        return {key: value for key, value in given.items() if value is not None}

    @property
    def shape(self) -> RecurrentShape:
        """The layer's shape.

        Raises:
            FdhtError: modes, ranks and format do not fit together.
        """
        if self.format == "fdht" and self.hidden_box is None:
            raise ConfigError("is missing; fdht integrates the hidden state", field="hidden_box")
        name = "ht" if self.format == "fdht" else self.format
        return RecurrentShape(
            format_from({"name": name, **self.format_settings}),
            self.input_modes,
            self.output_modes,
            self.hidden_box,
            self.cell,
            self.objective,
        )


@dataclass(frozen=True)
class QuantizationSettings:
    """Section `[quantization]`: widths in bits; the binary points come from calibration.

    Attributes:
        cores: of the merged chain cores: one width, or `default` and widths by name
            (`C1` .. `Cd`, `C1_hidden`).
        bias: of the LSTM's bias.
        intermediates: of what every stage but the last emits, on both paths.
        preactivation: of the gates' argument; its truth tables have 2**preactivation entries.
        gate: of forget, update and output gate, unsigned.
        candidate: of the candidate.
        output: of the squashed cell state.
        cell: of the cell state; its truth table has 2**cell entries.
        recurrent: of W_h h where a gate multiplies it, as in a GRU.
        hidden: of the hidden state.
        head_weights: of the head's weights.
        head_bias: of the head's bias.
        calibration_clips: training clips on which magnitudes are observed.
        preactivation_percentile: which percentile of |pre-activation| must not saturate; gates
            are flat where it is large, so that a finer step is worth more than the range.
    """

    cores: int | dict[str, int] = field(default=8, metadata={"check": _cores})
    bias: int = field(default=12, metadata=_WIDTH)
    intermediates: int = field(default=12, metadata=_WIDTH)
    preactivation: int = field(default=10, metadata={"check": whole(2, 16)})
    gate: int = field(default=10, metadata=_WIDTH)
    candidate: int = field(default=10, metadata=_WIDTH)
    output: int = field(default=10, metadata=_WIDTH)
    cell: int = field(default=12, metadata={"check": whole(2, 16)})
    recurrent: int = field(default=10, metadata=_WIDTH)
    hidden: int = field(default=8, metadata=_WIDTH)
    head_weights: int = field(default=8, metadata=_WIDTH)
    head_bias: int = field(default=12, metadata=_WIDTH)
    calibration_clips: int = field(default=64, metadata={"check": whole(1, 10_000)})
    preactivation_percentile: float = field(default=99.9, metadata={"check": number(50, 100)})

    def core_width(self, name: str) -> int:
        """Width of a stored core."""
        if isinstance(self.cores, int):
            return self.cores
        return self.cores.get(name, self.cores["default"])


@dataclass(frozen=True)
class TrainingSettings:
    """Section `[training]`.

    Attributes:
        float_epochs: passes over the training clips in floating point.
        quantized_epochs: passes with quantisation.
        rate: Adam's first rate in floating point; it falls along a cosine to a fiftieth.
        quantized_rate: the same with quantisation.
        batch: clips a step.
        clip_norm: largest norm of a weight's gradient.
        seed: of initial weights, of the order of clips and of which are held out.
        validation_share: part of the training clips that is held out, for a validation loss after
            every epoch; 0: no clip.
        patience: epochs without a better validation loss that end a phase, which then keeps the
            weights of its best epoch; 0: all epochs are trained, and the last weights kept.
        validation: what is held out: "clips" one by one, or whole "groups", such as all clips of
            a person; "auto": groups where the data set knows more than one, otherwise clips.
        label_smoothing: this part of a label is spread over all classes (Szegedy et al. 2016).
        weight_decay: of AdamW, decoupled from the gradient (Loshchilov and Hutter 2019); biases do
            not decay. 0: Adam.
        dropout: the share of hidden units that the head does not see in a training step; what is
            exported is the same network.
        warmup: the share of a phase's steps in which the rate rises to its first value.
        class_weights: "balanced": clips of rare classes weigh more in the loss, inversely to the
            class's number of training clips; "none": all weigh the same.
    """

    float_epochs: int = field(metadata={"check": whole(1, 10_000)})
    quantized_epochs: int = field(metadata={"check": whole(1, 10_000)})
    rate: float = field(default=4e-3, metadata={"check": number(0, 1)})
    quantized_rate: float = field(default=1e-3, metadata={"check": number(0, 1)})
    batch: int = field(default=32, metadata={"check": whole(1, 100_000)})
    clip_norm: float = field(default=1.0, metadata={"check": number(0, 1e6)})
    seed: int = field(default=0, metadata={"check": whole(0, 2**31 - 1)})
    validation_share: float = field(default=0.0, metadata={"check": _share})
    patience: int = field(default=0, metadata={"check": whole(0, 10_000)})
    validation: str = field(default="auto", metadata={"check": text("auto", "clips", "groups")})
    label_smoothing: float = field(default=0.0, metadata={"check": _up_to(0.5)})
    weight_decay: float = field(default=0.0, metadata={"check": _up_to(1)})
    dropout: float = field(default=0.0, metadata={"check": _share})
    warmup: float = field(default=0.0, metadata={"check": _share})
    class_weights: str = field(default="none", metadata={"check": text("none", "balanced")})

    def __post_init__(self) -> None:
        for key, nothing in (("patience", 0), ("validation", "auto")):
            if getattr(self, key) != nothing and not self.validation_share:
                raise ConfigError(
                    "has no effect without clips to validate on",
                    field=key,
                    value=getattr(self, key),
                    remedy="set training.validation_share, for example 0.1",
                )


@dataclass(frozen=True)
class PublishedFigure:
    """Section `[published]`: what a paper reports for this shape.

    Attributes:
        parameters: parameters of the decomposed matrix in the paper.
        source: the paper and where in it, and whether the figure is read there, recomputed from
            its shapes, or remembered.
        macs: multiply-accumulates of the decomposed matrix for one frame, if it reports them.
    """

    parameters: int = field(metadata={"check": whole(1, 2**62)})
    source: str = field(metadata={"check": text()})
    macs: int | None = field(default=None, metadata={"check": whole(1, 2**62)})
