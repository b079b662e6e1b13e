"""`fdht bench widths`: accuracy against bit widths, and the narrowest that lose next to nothing.

From one trained float twin: each width is narrowed alone, all others left wide; what loses no more
than the tolerance is narrowed together, and measured again. If all together lose too much, what
lost most alone is widened by a step, until they do not. Every model is trained with its
quantisation for the same few steps, and scored on the same clips. An interrupted sweep goes on.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from fdht_models.artifacts import digest_file, write_json, write_text
from fdht_models.benchmarks.keeping import kept
from fdht_models.console import say
from fdht_models.data import ClipSet
from fdht_models.data.clip_sets import SPLITS
from fdht_models.errors import NumericError, require_least
from fdht_models.experiment import Experiment, checkpoint_path
from fdht_models.sections import QuantizationSettings
from fdht_models.training.checkpoint import Weights, load_checkpoint
from fdht_models.training.display import Display
from fdht_models.training.evaluate import accuracy, logits_of
from fdht_models.training.loop import Surroundings
from fdht_models.training.models import float_classifier, set_weights
from fdht_models.training.recipe import requantized

#: Version of the result's layout.
SCHEMA = 1
#: Widths that go together, and those that are tried, the widest first.
Groups = Mapping[str, tuple[tuple[str, ...], tuple[int, ...]]]
GROUPS: Groups = {
    "cores": (("cores",), (12, 10, 8, 7, 6, 5)),
    "intermediates": (("intermediates",), (14, 12, 10, 8, 6)),
    "preactivation": (("preactivation",), (12, 10, 8, 6)),
    "gates": (("gate", "candidate", "output"), (12, 10, 8, 6)),
    "cell": (("cell",), (14, 12, 10, 8)),
    "hidden": (("hidden",), (12, 10, 8, 6, 4)),
}
#: Files of a sweep.
RESULT, TABLE = "widths.json", "widths.md"

Widths = dict[str, int]


@dataclass(frozen=True)
class _Score:
    """A score as it is kept; None: there was no result."""

    widths: Mapping[str, int]
    accuracy: float | None


@dataclass(frozen=True)
class Sweep:
    """How a sweep is done.

    Attributes:
        steps: training steps of every model.
        test_clips: clips that every model is scored on.
        tolerance: loss of accuracy that a width may cost, as a share of 1.
    """

    steps: int = 40
    test_clips: int = 500
    tolerance: float = 0.01

    def __post_init__(self) -> None:
        for name, least in (("steps", 0), ("test_clips", 1), ("tolerance", 0)):
            require_least(getattr(self, name), least, name)


def sweep_widths(
    experiment: Experiment,
    directory: Path,
    sweep: Sweep | None = None,
    cache: Path | None = None,
    groups: Groups = GROUPS,
) -> dict[str, Any]:
    """Measures every width, and chooses.

    Args:
        experiment: one with a checkpoint; its float weights are where all models begin.
        directory: keeps the score of every model, so that none is trained twice.
        sweep: steps, clips and tolerance.
        cache: directory of generated clips; by default `directory`/data.
        groups: which widths go together, and those to try, the widest first.

    Returns:
        A JSON object: `float` and `widest` accuracy, `rows` (group, width, accuracy, loss against
        the widest), `chosen` widths and their accuracy, and that of the experiment's own widths
        (`own`); all `measured`.

    Raises:
        ConfigError: there is no checkpoint, or a setting cannot be used.
    """
    sweep = sweep or Sweep()
    bench = _Bench(experiment, directory, sweep, cache or directory / "data", groups)
    widest = {name: widths[0] for name, (_, widths) in groups.items()}
    top = bench.score(widest)
    rows = []
    for name, (_, widths) in groups.items():
        for width in widths:
            found = top if width == widths[0] else bench.score({**widest, name: width})
            rows.append(
                {"group": name, "width": width, "accuracy": found, "loss": _loss(top, found)}
            )
    chosen = _together(bench, rows, top, sweep.tolerance)
    own = {name: _own(experiment.quantization, keys[0]) for name, (keys, _) in groups.items()}
    return {
        "schema": SCHEMA,
        "benchmark": "widths",
        "kind": "measured",
        "setting": {"experiment": experiment.name, **asdict(sweep)},
        "standard_error": math.sqrt(0.25 / sweep.test_clips),
        "float": bench.float_score(),
        "widest": {"widths": widest, "accuracy": top},
        "rows": rows,
        "chosen": {"widths": chosen, "accuracy": bench.score(chosen)},
        "own": {"widths": own, "accuracy": bench.score(own)},
    }


def _loss(top: float | None, found: float | None) -> float | None:
    return None if top is None or found is None else top - found


def _narrowest(rows: list[dict[str, Any]], group: str, tolerance: float) -> int:
    """The narrowest width before the first one that loses too much."""
    best = 0
    for row in (row for row in rows if row["group"] == group):
        if row["loss"] is None or row["loss"] > tolerance:
            break
        best = row["width"]
    return best or next(row["width"] for row in rows if row["group"] == group)


def _together(
    bench: _Bench, rows: list[dict[str, Any]], top: float | None, tolerance: float
) -> Widths:
    """Widths that lose no more than the tolerance alone, and all together neither."""
    groups = bench.groups
    losses = {(row["group"], row["width"]): row["loss"] for row in rows}
    chosen = {name: _narrowest(rows, name, tolerance) for name in groups}
    while True:
        loss = _loss(top, bench.score(chosen))
        narrowed = [name for name, (_, widths) in groups.items() if chosen[name] != widths[0]]
        if not narrowed or (loss is not None and loss <= tolerance):
            return chosen
        worst = max(narrowed, key=lambda name: losses[name, chosen[name]])
        widths = groups[worst][1]
        chosen[worst] = widths[widths.index(chosen[worst]) - 1]


def _own(settings: QuantizationSettings, key: str) -> int:
    value = getattr(settings, key)
    return int(value["default"] if isinstance(value, Mapping) else value)


class _Bench:
    """Scores quantised models, each of which is trained once."""

    def __init__(
        self, experiment: Experiment, directory: Path, sweep: Sweep, cache: Path, groups: Groups
    ) -> None:
        self._sweep, self._cache, self.groups = sweep, cache, groups
        self._directory = directory
        self._weights: Weights = load_checkpoint(experiment).float_weights
        self._checkpoint = digest_file(checkpoint_path(experiment.name))
        settings = experiment.to_json()
        count = max(
            sweep.steps * experiment.training.batch, experiment.quantization.calibration_clips
        )
        # A clip does not depend on how many are made: these are the first of the training's.
        settings["data"] |= {"train_clips": count, "test_clips": sweep.test_clips}
        self._experiment = Experiment.from_json(settings)
        self._clips: tuple[ClipSet, ClipSet] | None = None

    def score(self, widths: Widths) -> float | None:
        """Accuracy with these widths; None if training diverged or formats do not fit."""
        settings = self._experiment.to_json()
        for name, width in widths.items():
            settings["quantization"] |= dict.fromkeys(self.groups[name][0], width)
        experiment = Experiment.from_json(settings)
        return self._kept(experiment, lambda: self._measure(experiment), widths)

    def float_score(self) -> float | None:
        """Accuracy of the float twin."""

        def measure() -> float:
            model = float_classifier(self._experiment)
            set_weights(model, self._weights, "the checkpoint")
            _, test = self._loaded()
            return accuracy(logits_of(model, test.frames), test.labels)

        return self._kept(None, measure, {})

    def _measure(self, experiment: Experiment) -> float:
        train, test = self._loaded()
        around = Surroundings(Display(True))
        model = requantized(experiment, self._weights, train, self._sweep.steps, around)
        return accuracy(logits_of(model, test.frames), test.labels)

    def _loaded(self) -> tuple[ClipSet, ClipSet]:
        if self._clips is None:
            source = self._experiment.source
            self._clips = (source.load("train", self._cache), source.load("test", self._cache))
        return self._clips

    def _kept(self, experiment: Experiment | None, measure: Any, widths: Widths) -> float | None:
        """A score from the directory, or measured and kept there."""
        key = {
            "experiment": self._experiment.digest if experiment is None else experiment.digest,
            "float": experiment is None,
            "clips": [self._experiment.source.digest(split, self._cache) for split in SPLITS],
            "checkpoint": self._checkpoint,
            "sweep": [self._sweep.steps, self._sweep.test_clips],
        }

        def score() -> _Score:
            try:
                found = measure()
            except NumericError:
                found = None
            say(f"{_named(widths) or 'float'}: {_share(found)}")
            return _Score(widths, found)

        return kept(self._directory, key, _Score, score).accuracy


def write_sweep(result: Mapping[str, Any], directory: Path) -> None:
    """Writes the result and a table in Markdown."""
    directory.mkdir(parents=True, exist_ok=True)
    write_json(directory / RESULT, result)
    write_text(directory / TABLE, markdown(result))


def markdown(result: Mapping[str, Any]) -> str:
    """The result as a page that says how it came about."""
    setting = result["setting"]
    return "\n".join(
        (
            "<!-- Written by `fdht bench widths`; do not edit. -->",
            "",
            "| widths | accuracy | loss against the widest |",
            "|---|---:|---:|",
            *(f"| {name} | {score} | {loss} |" for name, score, loss in _lines(result)),
            "",
            f"Accuracies of `{setting['experiment']}` are measured on {setting['test_clips']:,} "
            f"clips (standard error of each at most {result['standard_error']:.1%}; all on the "
            f"same clips). Every model begins with the same float weights and is trained for "
            f"{setting['steps']} steps with its quantisation. A width is narrowed while it alone "
            f"loses at most {setting['tolerance']:.1%}; where all together lose more, those that "
            "lost most alone are widened again.",
            "",
        )
    )


def table(result: Mapping[str, Any]) -> Table:
    """The result for people."""
    shown = Table(title=f"Accuracy of {result['setting']['experiment']} by widths (measured)")
    shown.add_column("widths")
    shown.add_column("accuracy", justify="right")
    shown.add_column("loss", justify="right")
    for line in _lines(result):
        shown.add_row(*line)
    return shown


def _lines(result: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    top = result["widest"]["accuracy"]

    def cells(label: str, found: float | None) -> tuple[str, str, str]:
        loss = _loss(top, found)
        return label, _share(found), "" if loss is None else f"{100 * loss:.1f}"

    yield cells("float", result["float"])
    yield cells(f"widest: {_named(result['widest']['widths'])}", top)
    for row in result["rows"]:
        if row["width"] != result["widest"]["widths"][row["group"]]:
            yield cells(f"{row['group']} {row['width']}", row["accuracy"])
    for label in ("chosen", "own"):
        entry = result[label]
        title = "the experiment's own" if label == "own" else label
        yield cells(f"{title}: {_named(entry['widths'])}", entry["accuracy"])


def _share(found: float | None) -> str:
    return "no result" if found is None else f"{found:.1%}"


def _named(widths: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {width}" for name, width in widths.items())
