"""The sections of an experiment's file: one frozen dataclass each, every field with its check."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import partial
from typing import Any

from fdht_models.data.folders.request import FolderOptions
from fdht_models.errors import ConfigError, FdhtError
from fdht_models.settings import number, option, read_section, text, up_to, whole, whole_list
from fdht_models.tensor.contexts import check_contexts, context_count
from fdht_models.tensor.formats import FORMATS, MULTIPLICATIONS, format_from
from fdht_models.tensor.formats.trees import as_tree
from fdht_models.tensor.planner import OBJECTIVES
from fdht_models.tensor.recurrent import GATES, RecurrentShape
from fdht_models.tensor.sparse_frames import FEATURE_MAKERS, FRAMES, core_frames

_WIDTH = whole(2, 24)


def _cores(value: object, path: str) -> int | dict[str, int]:
    """Checks `cores = 8` or `cores = { default = 8, C1 = 10 }`; names are checked later."""
    if isinstance(value, Mapping):
        widths = {str(key): _WIDTH(width, f"{path}.{key}") for key, width in value.items()}
        if "default" not in widths:
            raise ConfigError(
                "is missing", field=f"{path}.default", remedy="add the width of all other cores"
            )
        return widths
    return _WIDTH(value, path)


def _ranks(value: object, path: str, least: int = 1) -> int | tuple[int, ...]:
    check: Any = whole_list if isinstance(value, list | tuple) else whole
    return check(least, 1024)(value, path)


#: Ranks of Tucker, where 0 leaves a mode whole.
_ranks_or_none = partial(_ranks, least=0)


def _tree(value: object, path: str) -> Any:
    if isinstance(value, str):
        return text("balanced", "unbalanced")(value, path)
    try:
        return as_tree(value)
    except FdhtError as error:
        raise error.moved(ConfigError, field=path) from None


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


@dataclass(frozen=True, kw_only=True)
class DataSettings(FolderOptions):
    """Section `[data]`: a set that is generated, or one that a user brings in a folder.

    Attributes:
        set: name of a data set.
        train_clips: clips to train on; of a folder, at most (None: all).
        test_clips: clips, of a split that shares no picture or person, to score on; likewise.
        steps: frames a clip as the network sees them; None takes the data set's own number.
        seed: of the training clips, or of a folder's random frames and folds.
        test_seed: of generated test clips.
        root: the folder, with the keys of `FolderOptions`.
        mix: further sets whose clips are trained on and scored along with this one's, as
            `[[data.mix]]` with the same keys; classes of one name are one class.
    """

    set: str = field(metadata={"check": text()})
    train_clips: int | None = option(whole(1, 1_000_000))
    test_clips: int | None = option(whole(1, 1_000_000))
    steps: int | None = option(whole(1, 10_000))
    seed: int = option(whole(0, 2**31 - 1), 0)
    test_seed: int = option(whole(0, 2**31 - 1), 0)
    root: str | None = option(text())
    mix: tuple[DataSettings, ...] | None = option(_mix)


@dataclass(frozen=True)
class ModelSettings:
    """Section `[model]`; see `RecurrentShape` and `TensorRNN` for what the keys mean.

    Which ranks are needed depends on the format: ht and fdht have `leaf_rank`, `inner_rank` and
    `tree`; tt and tr `ranks`; bt `blocks` and `rank`; tucker `input_ranks` and `output_ranks`; cp
    `rank`; kcp `terms`, `rank` and `multiplication`; dense none. `fdht` is `ht` with `hidden_box`.
    """

    input_modes: tuple[int, ...] = field(metadata={"check": whole_list(1, 100_000)})
    output_modes: tuple[int, ...] = field(metadata={"check": whole_list(1, 100_000)})
    format: str = option(text("fdht", *FORMATS), "fdht")
    cell: str = option(text(*GATES), "lstm")
    hidden_box: tuple[int, ...] | None = option(whole_list(1, 100_000))
    leaf_rank: int | tuple[int, ...] | None = option(_ranks)
    inner_rank: int | None = option(whole(1, 1024))
    tree: Any = field(default=None, metadata={"check": _tree})
    ranks: int | tuple[int, ...] | None = option(_ranks)
    rank: int | None = option(whole(1, 1024))
    blocks: int | None = option(whole(1, 1024))
    terms: int | None = option(whole(1, 1024))
    multiplication: str | None = option(text(*MULTIPLICATIONS))
    input_ranks: int | tuple[int, ...] | None = option(_ranks_or_none)
    output_ranks: int | tuple[int, ...] | None = option(_ranks_or_none)
    objective: str = option(text(*OBJECTIVES), "macs")
    recurrent_activation: str = option(text(), "sigmoid")
    activation: str = option(text(), "tanh")
    input_gain: float = option(number(0, 1e6), 1.0)

    @property
    def format_settings(self) -> dict[str, Any]:
        """What is given of the format's ranks and other settings of its own."""
        keys = {entry.name for kind in FORMATS.values() for entry in fields(kind)}
        given = {key: value for key, value in vars(self).items() if key in keys}
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
    bias: int = option(_WIDTH, 12)
    intermediates: int = option(_WIDTH, 12)
    preactivation: int = option(whole(2, 16), 10)
    gate: int = option(_WIDTH, 10)
    candidate: int = option(_WIDTH, 10)
    output: int = option(_WIDTH, 10)
    cell: int = option(whole(2, 16), 12)
    recurrent: int = option(_WIDTH, 10)
    hidden: int = option(_WIDTH, 8)
    head_weights: int = option(_WIDTH, 8)
    head_bias: int = option(_WIDTH, 12)
    calibration_clips: int = option(whole(1, 10_000), 64)
    preactivation_percentile: float = option(number(50, 100), 99.9)

    def core_width(self, name: str) -> int:
        """Width of a stored core."""
        if isinstance(self.cores, int):
            return self.cores
        return self.cores.get(name, self.cores["default"])


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What all phases of a training have in common.

    Attributes:
        batch: clips a step, over all devices.
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

    batch: int = option(whole(1, 100_000), 32)
    clip_norm: float = option(number(0, 1e6), 1.0)
    seed: int = option(whole(0, 2**31 - 1), 0)
    validation_share: float = option(up_to(0.9), 0.0)
    patience: int = option(whole(0, 10_000), 0)
    validation: str = option(text("auto", "clips", "groups"), "auto")
    label_smoothing: float = option(up_to(0.5), 0.0)
    weight_decay: float = option(up_to(1), 0.0)
    dropout: float = option(up_to(0.9), 0.0)
    warmup: float = option(up_to(0.9), 0.0)
    class_weights: str = option(text("none", "balanced"), "none")


@dataclass(frozen=True)
class TrainingSettings(Recipe):
    """Section `[training]`.

    Attributes:
        float_epochs: passes over the training clips in floating point.
        quantized_epochs: passes with quantisation.
        rate: Adam's first rate in floating point; it falls along a cosine to a fiftieth.
        quantized_rate: the same with quantisation.
    """

    float_epochs: int = field(metadata={"check": whole(1, 10_000)})
    quantized_epochs: int = field(metadata={"check": whole(1, 10_000)})
    rate: float = option(number(0, 1), 4e-3)
    quantized_rate: float = option(number(0, 1), 1e-3)

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
class CoreSettings:
    """Section `[core]`: what is built of the network. What was trained does not depend on it.

    Attributes:
        frames: "dense": the core reads all of a frame; "sparse": the words that are not zero, and
            works for these alone. The results are the same integers. None: "dense".
        feature: of video, who computes it: the "host", or the "chip", which then reads raw frames.
        contexts: states that the core keeps, each of a stream of its own.

    Raises:
        ConfigError: raw frames are of no kind that can be chosen, and have one context.
    """

    frames: str | None = option(text(*FRAMES))
    feature: str = option(text(*FEATURE_MAKERS), "host")
    contexts: int = option(context_count, 1)

    def __post_init__(self) -> None:
        check_contexts(self.contexts, core_frames(self.frames, self.feature))

    @property
    def reads(self) -> str:
        """The kind of frames that the core reads, one of `CORE_FRAMES`."""
        return core_frames(self.frames, self.feature) or "dense"


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
    macs: int | None = option(whole(1, 2**62))
