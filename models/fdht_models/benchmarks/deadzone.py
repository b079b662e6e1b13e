"""`fdht bench deadzone`: accuracy against what a dead zone leaves of a frame.

Differences of frames that are at most so large count as none. For each such number: what is left
on the test clips, of the words of memory, of the fibres, and of the vectors that later stages of
a plan read, last mode first; the accuracy of the network as it was trained, without a dead zone;
and that after some more steps on clips with it. All on the same clips. An interrupted sweep goes
on.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fdht_models.artifacts import digest_file
from fdht_models.benchmarks.keeping import kept
from fdht_models.console import say
from fdht_models.data import ClipSet
from fdht_models.data.clip_sets import SPLITS
from fdht_models.errors import ConfigError, NumericError, require_least
from fdht_models.experiment import Experiment, checkpoint_path
from fdht_models.features import leave_out
from fdht_models.settings import whole
from fdht_models.tensor.quantized import WORD_BYTES
from fdht_models.training.checkpoint import load_checkpoint
from fdht_models.training.display import Display
from fdht_models.training.evaluate import accuracy, logits_of
from fdht_models.training.loop import Surroundings
from fdht_models.training.recipe import continued

#: Version of the result's layout.
SCHEMA = 1
#: Dead zones that are tried.
ZONES = (0, 2, 4, 6, 8, 12)
#: Sections of an experiment that a score depends on, beside the clips.
_RECIPE = ("model", "quantization", "training", "augmentation")


@dataclass(frozen=True)
class DeadZoneSweep:
    """How a sweep is done.

    Attributes:
        zones: the dead zones, ascending from 0.
        steps: training steps with each of them, also with none.
        test_clips: clips that all are scored on.
        tolerance: loss of accuracy that a dead zone may cost, as a share of 1.
    """

    zones: tuple[int, ...] = ZONES
    steps: int = 100
    test_clips: int = 1000
    tolerance: float = 0.005

    def __post_init__(self) -> None:
        for name, least in (("steps", 0), ("test_clips", 1), ("tolerance", 0)):
            require_least(getattr(self, name), least, name)
        for zone in self.zones:
            whole(0, 254)(zone, "zones")
        ordered = tuple(sorted({0, *self.zones}))
        object.__setattr__(self, "zones", ordered)


@dataclass(frozen=True)
class Left:
    """What a dead zone leaves: shares of the words and of blocks that are not zero throughout.

    Attributes:
        words: of `WORD_BYTES` bytes.
        blocks: by the number of values of a block, as text.
    """

    words: float
    blocks: Mapping[str, float]


@dataclass(frozen=True)
class _Score:
    """A score as it is kept; None: training diverged."""

    dead_zone: int
    steps: int
    accuracy: float | None


def sweep_dead_zones(
    experiment: Experiment,
    directory: Path,
    sweep: DeadZoneSweep | None = None,
    cache: Path | None = None,
    quiet: bool = False,
    trained: Experiment | None = None,
) -> dict[str, Any]:
    """Measures every dead zone, and chooses.

    Args:
        experiment: one with a checkpoint that was trained without a dead zone.
        directory: keeps what was measured, so that nothing is trained twice.
        sweep: dead zones, steps, clips and tolerance.
        cache: directory of generated clips; by default `directory`/data.
        quiet: show no progress.
        trained: one with a checkpoint that was trained with a dead zone, and scored with that.

    Returns:
        A JSON object: `rows` with the shares that are left, the accuracy `as_trained` and `tuned`
        (after the steps), and the `loss` of the latter against the better of the two without a dead
        zone; `chosen`, the largest before the first one that loses more than the tolerance;
        `trained_with`: experiment, dead zone and accuracy of `trained`, or None; all `measured`.

    Raises:
        ConfigError: there is no such checkpoint, its clips have no dead zone, or a setting cannot
            be used.
    """
    sweep = sweep or DeadZoneSweep()
    bench = _Bench(experiment, directory, sweep, cache or directory / "data", quiet)
    rows: list[dict[str, Any]] = []
    for number, zone in enumerate(sweep.zones, 1):
        say(f"{number}/{len(sweep.zones)}  dead zone {zone}")
        scores = {"as_trained": bench.score(zone, 0), "tuned": bench.score(zone, sweep.steps)}
        rows.append({"dead_zone": zone, **asdict(bench.left(zone)), **scores})
    top = max(rows[0][key] or 0.0 for key in ("as_trained", "tuned"))
    for row in rows:
        row["loss"] = None if row["tuned"] is None else top - row["tuned"]
    return {
        "schema": SCHEMA,
        "benchmark": "deadzone",
        "kind": "measured",
        "setting": {
            "experiment": experiment.name,
            **asdict(sweep),
            "zones": list(sweep.zones),
            "train_clips": bench.train_clips,
        },
        "standard_error": math.sqrt(0.25 / sweep.test_clips),
        "rows": rows,
        "chosen": _chosen(rows, sweep.tolerance),
        "trained_with": None if trained is None else bench.trained_with(trained),
    }


def with_dead_zone(clips: ClipSet, dead_zone: int) -> ClipSet:
    """Clips that were made without a dead zone, as they are with one; a copy in memory."""
    if not dead_zone:
        return clips
    frames = np.array(clips.frames)
    leave_out(frames, dead_zone)
    return replace(clips, frames=frames)


def shares_left(frames: NDArray[np.uint8], modes: Sequence[int]) -> Left:
    """Shares of words and blocks that hold something.

    Args:
        frames: uint8 [clips, steps, inputs].
        modes: of the inputs. A block is what a vector of a stage comes from: the last mode, the
            last two, and so on, up to a whole frame.
    """
    sizes = [math.prod(modes[place:]) for place in range(len(modes) - 1, -1, -1)]
    held = dict.fromkeys((WORD_BYTES, *sizes), 0)
    count = 0
    for clip in frames:  # one at a time: a set may be larger than the memory
        count += len(clip)
        for size in held:
            # The last word of a frame may not be full.
            padded = np.pad(clip, ((0, 0), (0, -clip.shape[1] % size)))
            held[size] += int(padded.reshape(len(clip), -1, size).any(axis=2).sum())
    inputs = frames.shape[2]
    shares = {size: held[size] / (count * -(-inputs // size)) for size in held}
    return Left(shares[WORD_BYTES], {str(size): shares[size] for size in sizes})


def _chosen(rows: Sequence[Mapping[str, Any]], tolerance: float) -> dict[str, Any]:
    best = rows[0]
    for row in rows[1:]:
        if row["loss"] is None or row["loss"] > tolerance:
            break
        best = row
    return {key: best[key] for key in ("dead_zone", "tuned", "loss")}


class _Bench:
    """Scores a checkpoint with dead zones, each of which is trained once."""

    def __init__(
        self,
        experiment: Experiment,
        directory: Path,
        sweep: DeadZoneSweep,
        cache: Path,
        quiet: bool,
    ) -> None:
        if experiment.data.dead_zone:
            raise ConfigError(
                "its checkpoint was trained with one",
                field="data.dead_zone",
                value=experiment.data.dead_zone,
                remedy="take an experiment without, such as motion-no-dead-zone",
            )
        self._directory, self._sweep = directory, sweep
        self._cache, self._quiet = cache, quiet
        self._weights = load_checkpoint(experiment)
        self._checkpoint = digest_file(checkpoint_path(experiment.name))
        self.train_clips = sweep.steps * experiment.training.batch
        settings = experiment.to_json()
        # A clip does not depend on how many are made: these are the first of the training's.
        settings["data"] |= {
            "train_clips": max(self.train_clips, 1),
            "test_clips": sweep.test_clips,
        }
        self._experiment = Experiment.from_json(settings)
        self._with(max(sweep.zones))  # refused before the work, not after it
        self._clips: dict[str, ClipSet] = {}

    def left(self, zone: int) -> Left:
        """What a dead zone leaves of the test clips."""
        modes = self._experiment.model.input_modes

        def measure() -> Left:
            return shares_left(with_dead_zone(self._loaded("test"), zone).frames, modes)

        key = {"left": list(modes), "dead_zone": zone, "clips": self._digests(("test",))}
        return kept(self._directory, key, Left, measure)

    def score(self, zone: int, steps: int) -> float | None:
        """Accuracy with a dead zone after so many steps with it; None if training diverged."""
        key = {
            "recipe": {name: self._experiment.to_json()[name] for name in _RECIPE},
            "clips": self._digests(SPLITS if steps else ("test",)),
            "checkpoint": self._checkpoint,
            "dead_zone": zone,
            "steps": steps,
        }

        def measure() -> _Score:
            try:
                found = self._measure(zone, steps)
            except NumericError:
                found = None
            say(f"dead zone {zone}, {steps} training steps: {share_of(found)}")
            return _Score(zone, steps, found)

        return kept(self._directory, key, _Score, measure).accuracy

    def trained_with(self, other: Experiment) -> dict[str, Any]:
        """The accuracy of another experiment's checkpoint, with its own dead zone."""
        zone, checkpoint = other.data.dead_zone or 0, load_checkpoint(other)
        key = {
            "recipe": {name: other.to_json()[name] for name in _RECIPE},
            "clips": self._digests(("test",)),
            "checkpoint": digest_file(checkpoint_path(other.name)),
            "dead_zone": zone,
        }

        def measure() -> _Score:
            test = with_dead_zone(self._loaded("test"), zone)
            around = Surroundings(Display(self._quiet))
            model, _ = continued(other, checkpoint, test, 0, 0.0, around)
            return _Score(zone, 0, accuracy(logits_of(model, test.frames), test.labels))

        found = kept(self._directory, key, _Score, measure).accuracy
        return {"experiment": other.name, "dead_zone": zone, "accuracy": found}

    def _measure(self, zone: int, steps: int) -> float:
        test = with_dead_zone(self._loaded("test"), zone)
        model = self._tuned(zone, steps) if steps else self._as_trained
        return accuracy(logits_of(model, test.frames), test.labels)

    def _tuned(self, zone: int, steps: int) -> Any:
        train = with_dead_zone(self._loaded("train"), zone)
        return self._continued(self._with(zone), train, steps)

    @cached_property
    def _as_trained(self) -> Any:
        return self._continued(self._experiment, self._loaded("test"), 0)

    def _continued(self, experiment: Experiment, clips: ClipSet, steps: int) -> Any:
        # The full rate of the recipe: other inputs ask for other weights, not for the last polish.
        rate, around = experiment.training.quantized_rate, Surroundings(Display(self._quiet))
        return continued(experiment, self._weights, clips, steps, rate, around)[0]

    def _with(self, zone: int) -> Experiment:
        settings = self._experiment.to_json()
        settings["data"]["dead_zone"] = zone
        return Experiment.from_json(settings)

    def _loaded(self, split: str) -> ClipSet:
        if split not in self._clips:
            self._clips[split] = self._experiment.source.load(split, self._cache)
        return self._clips[split]

    def _digests(self, splits: Sequence[str]) -> list[str]:
        return [self._experiment.source.digest(split, self._cache) for split in splits]


def share_of(found: float | None) -> str:
    """An accuracy for people."""
    return "no result" if found is None else f"{found:.1%}"
