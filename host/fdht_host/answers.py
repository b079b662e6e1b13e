"""What a network says of clips: probabilities, votes over blocks, and figures of labelled clips.

The logits of the core are integers and exact. Probabilities are their softmax, computed in float64
from the numbers that the integers stand for; so they, too, depend on nothing but the integers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fdht_models.artifacts import canonical_json, write_text
from fdht_models.data.significance import chance_of
from fdht_models.documents import parse_json
from fdht_models.errors import ArtifactError, DataError
from fdht_models.files import read_text_file
from fdht_models.records import read_record
from fdht_models.settings import number, whole
from fdht_models.tensor.fixedpoint import FixedPoint

Integers = NDArray[np.int64]
#: Written beside the report: one clip a line.
PREDICTIONS = "predictions.jsonl"
_AGAIN = "run fdht run again"
#: Sums of a softmax in float64 are 1 but for the rounding of a few thousand additions.
_ROUNDING = 1e-9


def _share(value: object, path: str) -> float:
    return (
        0.0 if value == 0 and type(value) in (int, float) else number(0, 1 + _ROUNDING)(value, path)
    )


def _count_or_none(value: object, path: str) -> int | None:
    return None if value is None else whole(0, 2**53)(value, path)


_COUNT = {"check": whole(0, 2**53)}
_COUNT_OR_NONE = {"check": _count_or_none}


@dataclass(frozen=True)
class Block:
    """Network inputs from one reset of the state to the next, or to the next reading of logits.

    Attributes:
        start: frame of the file at which it begins; None of a clip whose frames are spread over it.
        inputs: network inputs.
        logits: codes after the last of them, one a class.
        predicted: name of the class with the largest.
        probability: of that class, from 0 to 1.
        votes: False of a last block that is shorter than the others, where there are others.
        verified: all of its logits were compared with the reference, right or wrong.
    """

    start: int | None
    inputs: int = field(metadata=_COUNT)
    logits: tuple[int, ...]
    predicted: str
    probability: float = field(metadata={"check": _share})
    votes: bool
    verified: bool


@dataclass(frozen=True)
class ClipAnswer:
    """What the network says of one clip: a row of the report and of `predictions.jsonl`.

    Attributes:
        source: as it was named.
        clip: its file, relative to the source where that is a folder; of the test set its number.
        start: frame of the file at which it begins, where a file holds several clips.
        label: name of the class that it shows; None where that is not known.
        predicted: name of the class with the largest probability.
        probability: of that class, from 0 to 1.
        probabilities: of each class; of several blocks the mean of theirs.
        agreed: blocks that say the same as all of them together, of those that vote.
        blocks: see `Block`; not empty.
        frames_used: frames of the file that the network saw; None of the test set, whose clips
            come without their files.
        frames_there: frames of the file, as far as it was read; None likewise.
        protocol: "trained", "stream" or "every".
        stride: frames from one that was taken to the next, where that is one number.
        time_step: seconds from one network input to the next; None where the file does not say.
        damage: what was wrong with its file; "" if nothing was.
        compared: logits compared with the reference.
        mismatches: how many of them differ.
    """

    source: str
    clip: str
    start: int | None
    label: str | None
    predicted: str
    probability: float = field(metadata={"check": _share})
    probabilities: tuple[float, ...]
    agreed: int = field(metadata=_COUNT)
    blocks: tuple[Block, ...]
    frames_used: int | None = field(metadata=_COUNT_OR_NONE)
    frames_there: int | None = field(metadata=_COUNT_OR_NONE)
    protocol: str
    stride: int | None
    time_step: float | None
    damage: str
    compared: int = field(metadata=_COUNT)
    mismatches: int = field(metadata=_COUNT)

    def __post_init__(self) -> None:
        if not self.blocks:
            raise DataError("is empty", field="blocks")
        if min(self.probabilities, default=0.0) < 0:
            raise DataError("must not be negative", field="probabilities")
        if not math.isclose(sum(self.probabilities), 1, abs_tol=_ROUNDING):
            raise DataError("must have the sum 1", field="probabilities")
        if self.mismatches > self.compared:
            raise DataError(
                f"of {self.compared} compared", field="mismatches", value=self.mismatches
            )

    @property
    def voting(self) -> int:
        """Blocks that vote."""
        return sum(block.votes for block in self.blocks)

    def to_json(self) -> dict[str, Any]:
        """A JSON object that `read_predictions` reads back."""
        return {
            **asdict(self),
            "probabilities": list(self.probabilities),
            "blocks": [{**vars(block), "logits": list(block.logits)} for block in self.blocks],
        }


def probabilities_of(logits: Integers, form: FixedPoint) -> NDArray[np.float64]:
    """Softmax of logits: float64 [..., classes].

    Args:
        logits: codes, [..., classes].
        form: their format.
    """
    values = form.dequantize(logits)  # exact: at most 32 bits
    powers = np.exp(values - values.max(axis=-1, keepdims=True))
    found: NDArray[np.float64] = powers / powers.sum(axis=-1, keepdims=True)
    return found


@dataclass(frozen=True)
class Reading:
    """The logits after a block; see `Block`."""

    start: int | None
    inputs: int
    logits: Integers
    whole: bool = True
    verified: bool = False


@dataclass(frozen=True)
class Vote:
    """What blocks say together; see `ClipAnswer`."""

    predicted: str
    probability: float
    probabilities: tuple[float, ...]
    agreed: int
    blocks: tuple[Block, ...]


def vote(readings: Sequence[Reading], classes: Sequence[str], form: FixedPoint) -> Vote:
    """The class whose mean probability over blocks is largest; the first of equal ones.

    Blocks that are not whole do not vote where others are.

    Args:
        readings: at least one.
        classes: names.
        form: of the logits.
    """
    logits = np.stack([reading.logits for reading in readings])
    shares = probabilities_of(logits, form)
    wholes = np.array([reading.whole for reading in readings])
    votes = wholes if wholes.any() else np.ones(len(readings), bool)
    mean = shares[votes].mean(axis=0)
    winner, own = int(np.argmax(mean)), np.argmax(logits, axis=1)
    blocks = tuple(
        Block(
            reading.start,
            reading.inputs,
            tuple(int(code) for code in reading.logits),
            classes[int(own[place])],
            float(shares[place, own[place]]),
            bool(votes[place]),
            reading.verified,
        )
        for place, reading in enumerate(readings)
    )
    agreed = int(np.count_nonzero(own[votes] == winner))
    return Vote(classes[winner], float(mean[winner]), tuple(map(float, mean)), agreed, blocks)


def accuracy_of(answers: Sequence[ClipAnswer], classes: Sequence[str]) -> dict[str, Any] | None:
    """Figures of the labelled ones among clips; None if there are none.

    Returns:
        `clips`, `right` (counts), `accuracy` and `chance` (shares of 1), `classes`, `confusion`
        (counts, rows: truth, columns: answers), and `per_class`: see `class_figures`.
    """
    places = {name: place for place, name in enumerate(classes)}
    pairs = [
        (places[answer.label], places[answer.predicted])
        for answer in answers
        if answer.label is not None
    ]
    if not pairs:
        return None
    truth, found = np.array(pairs, np.int64).T
    counts = np.zeros((len(classes), len(classes)), np.int64)
    np.add.at(counts, (truth, found), 1)
    confusion: list[list[int]] = counts.tolist()
    return {
        "clips": len(pairs),
        "right": int(np.trace(counts)),
        "accuracy": float(np.mean(truth == found)),
        "chance": chance_of(truth),
        "classes": list(classes),
        "confusion": confusion,
        "per_class": class_figures(confusion, classes),
    }


def class_figures(
    confusion: Sequence[Sequence[int]], classes: Sequence[str]
) -> list[dict[str, Any]]:
    """Figures of each class of a confusion matrix.

    Returns:
        For each class `class`, `clips` that show it, `right` ones among them, `recall` (right of
        those that show it), `precision` (right of those that were taken for it; either is None
        where there are none), and `taken_for`: [class, count] of the most frequent mistake.
    """
    counts = np.asarray(confusion, np.int64)
    rows = []
    for place, name in enumerate(classes):
        right, shown, named = counts[place, place], counts[place].sum(), counts[:, place].sum()
        wrong = counts[place].copy()
        wrong[place] = 0
        mistake = int(np.argmax(wrong))
        rows.append(
            {
                "class": name,
                "clips": int(shown),
                "right": int(right),
                "recall": float(right / shown) if shown else None,
                "precision": float(right / named) if named else None,
                "taken_for": [classes[mistake], int(wrong[mistake])] if wrong[mistake] else None,
            }
        )
    return rows


def write_predictions(directory: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    """Writes `predictions.jsonl`: rows as `ClipAnswer.to_json` gives them, one a line."""
    path = directory / PREDICTIONS
    write_text(path, "".join(canonical_json(row) + "\n" for row in rows))
    return path


def read_predictions(path: Path) -> tuple[ClipAnswer, ...]:
    """Reads what `write_predictions` wrote.

    Raises:
        ArtifactError: it cannot be read, is empty, or a line is not a row; names line and key.
    """
    how: dict[str, Any] = {"error": ArtifactError, "remedy": _AGAIN}
    found = []
    for place, line in enumerate(read_text_file(path, **how).removesuffix("\n").split("\n"), 1):
        source = f"{path}: line {place}"
        found.append(read_record(ClipAnswer, parse_json(line, source, **how), source=source, **how))
    return tuple(found)
