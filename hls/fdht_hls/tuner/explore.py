"""Other modes, ranks, orders and widths for an experiment: what each would cost a device.

Nothing here is trained. A candidate has at most so many parameters, and its accuracy is not known;
it is written as an experiment that can be trained.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice, product
from typing import Any

import numpy as np
from rich.table import Table

from fdht_hls.engine import design_engine
from fdht_hls.estimate import Assumptions, CoreModel
from fdht_hls.tuner.alternatives import nondominated
from fdht_hls.tuner.budget import Budget
from fdht_hls.tuner.factorisations import input_factorisations, output_factorisations, with_modes
from fdht_hls.tuner.search import Design, Effort, Limits, search
from fdht_hls.tuner.tune import choose
from fdht_hls.tuner.untrained import network_of
from fdht_models.artifacts import write_json, write_text
from fdht_models.directories import FRONT, ExplorationDirectory
from fdht_models.errors import ConfigError, FdhtError
from fdht_models.experiment import Experiment
from fdht_models.sections import ModelSettings, QuantizationSettings

#: Widths of cores and of what stages hand on that are tried, beside the experiment's own.
WIDTHS = (8, 10, 12)


@dataclass(frozen=True)
class Candidate:
    """A shape with its widths, and what the tuner makes of it.

    Args:
        model: its modes and ranks.
        widths: its widths.
        parameters: of the layer.
        macs: of a frame, with cores merged as the chip holds them.
        unmerged_macs: of the decomposed matrix with the cores as the format lists them.
        order: cores in the order of contraction.
        design: the chosen design; None if none fits the device.
    """

    model: ModelSettings
    widths: QuantizationSettings
    parameters: int
    macs: int
    unmerged_macs: int
    order: tuple[str, ...]
    design: Design | None = None

    @property
    def label(self) -> str:
        """Modes and ranks in short."""
        ranks = " ".join(f"{key} {value}" for key, value in self.model.format_settings.items())
        return (
            f"{'x'.join(map(str, self.model.input_modes))} -> "
            f"{'x'.join(map(str, self.model.output_modes))}, {ranks}"
        )

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        found = self.design
        return {
            "input_modes": list(self.model.input_modes),
            "output_modes": list(self.model.output_modes),
            "hidden_box": list(self.model.hidden_box or ()),
            "ranks": self.model.format_settings,
            "order": list(self.order),
            "cores": self.widths.cores,
            "intermediates": self.widths.intermediates,
            "parameters": self.parameters,
            "macs": self.macs,
            "unmerged_macs": self.unmerged_macs,
            "cycles_per_frame": found.cycles if found else None,
            "fill_latency_cycles": found.latency if found else None,
            "resources": found.resources.to_json() if found else None,
            "schedule": found.schedule.to_json() if found else None,
        }


@dataclass(frozen=True)
class Exploration:
    """Candidates that fit, of which none beats another in what `objectives` says."""

    experiment: Experiment
    budget: Budget
    cycles: int
    tried: int
    fitting: int
    front: tuple[Candidate, ...]
    left_out: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        return {
            "kind": "estimated",
            "trained": False,
            "experiment": self.experiment.name,
            "budget": self.budget.to_json(),
            "cycles_per_frame_at_most": self.cycles,
            "tried": self.tried,
            "fitting": self.fitting,
            "left_out": list(self.left_out),
            "front": [candidate.to_json() for candidate in self.front],
        }


def explore(
    experiment: Experiment,
    budget: Budget,
    engine: Assumptions,
    frames_per_second: float | None = None,
    latency: int | None = None,
    parameters: int | None = None,
    count: int = 24,
    effort: Effort | None = None,
) -> Exploration:
    """Tunes candidates with the fewest multiply-accumulates of those with enough parameters.

    Args:
        experiment: where to start; its format, cell, hidden units and data stay.
        budget: the device.
        engine: what the engine does beyond today's kernels.
        frames_per_second: at least; None: the pace of the memory ports.
        latency: clocks from the last word of a frame to its result at most.
        parameters: of the layer at most; None: as many as the experiment has.
        count: shapes to tune.
        effort: what this may take; None: any time.

    Raises:
        ConfigError: no candidate has so few parameters, none fits the device, or the time is over.
    """
    effort = effort or Effort()
    most = parameters or experiment.shape.parameter_count
    port = -(-experiment.shape.input_size // budget.bytes_per_clock)
    pace = port + budget.model.memory_latency
    # Pipelines fill in every frame: a little more than the port's own pace is the same pace.
    cycles = budget.cycles_at(frames_per_second) if frames_per_second else pace + pace // 64
    shapes = list(islice(_shapes(experiment, most), count))
    if not shapes:
        raise ConfigError(
            "no shape of this experiment's format has so few",
            field="parameters",
            value=most,
            remedy="allow more, or lower the ranks in the experiment",
        )
    tried: list[Candidate] = []
    for number, shape in enumerate(shapes, 1):
        effort.show(f"{number} of {len(shapes)}: {shape.label}")
        tried += _tuned(shape, experiment, budget, engine, Limits(cycles, latency), effort)
    fitting = [candidate for candidate in tried if candidate.design is not None]
    if not fitting:
        raise ConfigError(
            f"none of {len(tried)} candidates fits {cycles:,} clocks a frame on {budget.name}",
            field="budget",
            remedy="allow fewer --parameters, a larger --budget or fewer --frames-per-second",
        )
    points = np.array([_objectives(candidate, budget) for candidate in fitting], np.int64)
    front = tuple(fitting[place] for place in nondominated(points))
    counts = (len(tried), len(fitting))
    return Exploration(experiment, budget, cycles, *counts, front, tuple(effort.left_out))


def _objectives(candidate: Candidate, budget: Budget) -> tuple[int, ...]:
    """Minimised: what it takes of the device (in thousandths), latency; many parameters and wide
    numbers count as good, for both raise what a network can learn.
    """
    assert candidate.design is not None
    return (
        round(1000 * budget.demand(candidate.design.resources)),
        candidate.design.latency,
        -candidate.parameters,
        -_core_width(candidate.widths),
        -candidate.widths.intermediates,
    )


def _core_width(widths: QuantizationSettings) -> int:
    return widths.cores if isinstance(widths.cores, int) else max(widths.cores.values())


def _shapes(experiment: Experiment, most: int) -> Iterator[Candidate]:
    """Candidates with at most, and nearly, so many parameters; fewest MACs first."""
    shape = experiment.shape
    least_last = min(shape.output_modes[-1], 2)  # features that the first stage keeps of a fibre
    found = []
    for inputs, outputs in product(
        input_factorisations(experiment), output_factorisations(shape, least_last)
    ):
        model = with_modes(experiment.model, inputs, outputs, most)
        if model is None:
            continue
        own = model.shape
        found.append(
            Candidate(
                model,
                experiment.quantization,
                own.parameter_count,
                own.macs,
                own.naive_matrix_macs,
                own.input_cores,
            )
        )
    return iter(sorted(found, key=lambda one: one.macs))


def _tuned(
    candidate: Candidate,
    experiment: Experiment,
    budget: Budget,
    engine: Assumptions,
    limits: Limits,
    effort: Effort,
) -> Iterator[Candidate]:
    """A shape with each width, tuned."""
    own = experiment.quantization
    cores = sorted({_core_width(own), *WIDTHS})
    for core, between in product(cores, sorted({own.intermediates, *WIDTHS})):
        if core > between:  # what is between stages would lose what wider cores bring
            continue
        widths = replace(own, cores=core, intermediates=between)
        try:
            network = network_of(
                experiment.name, candidate.model.shape, widths, experiment.source.class_names
            )
        except FdhtError:  # a sum that no accumulator holds
            yield replace(candidate, widths=widths)
            continue
        found = search(
            CoreModel(design_engine(network, budget.bytes_per_clock), budget.model, engine),
            replace(limits, resources=budget.limits),
            effort,
        )
        design = choose(found, budget) if found else None
        yield replace(candidate, widths=widths, design=design)


def exploration_table(found: Exploration) -> Table:
    """The front for people."""
    table = Table(
        title=f"{found.fitting} of {found.tried} candidates fit {found.cycles:,} clocks a frame on "
        f"{found.budget.name}; those that no other beats (estimated, not trained)",
        title_justify="left",
        box=None,
        padding=(0, 1, 0, 0),
    )
    table.add_column("modes, ranks")
    for column in ("bits", "params", "MACs", "clocks", "latency", "LUT", "DSP", "BRAM36"):
        table.add_column(column, justify="right")
    for candidate in found.front:
        design = candidate.design
        assert design is not None
        table.add_row(
            candidate.label,
            f"{_core_width(candidate.widths)}/{candidate.widths.intermediates}",
            f"{candidate.parameters:,}",
            f"{candidate.macs:,}",
            f"{design.cycles:,}",
            f"{design.latency:,}",
            f"{design.resources.lut:,}",
            f"{design.resources.dsp:,}",
            f"{design.resources.bram36:g}",
        )
    return table


def write_exploration(directory: ExplorationDirectory, found: Exploration) -> None:
    """Writes front.json and an experiment's sections for each candidate, atomically.

    Raises:
        ArtifactError: it cannot be written.
    """
    with directory.write({"experiment": found.experiment.name}) as (temporary, extra):
        write_json(temporary / FRONT, found.to_json())
        for number, candidate in enumerate(found.front, 1):
            write_text(temporary / f"{number}.toml", snippet(found, candidate))
        extra["kind"] = "estimated"


def snippet(found: Exploration, candidate: Candidate) -> str:
    """[model] and [quantization] of a candidate, to put into an experiment's file."""
    model = candidate.model
    values: dict[str, Any] = {
        "format": model.format,
        "cell": model.cell,
        "input_modes": model.input_modes,
        "output_modes": model.output_modes,
        "hidden_box": model.hidden_box,
        **model.format_settings,
        "objective": model.objective,
        "input_gain": model.input_gain,
    }
    widths = {"cores": candidate.widths.cores, "intermediates": candidate.widths.intermediates}
    return (
        f"# Estimated for {found.budget.name}, not trained. Replace these keys of "
        f"{found.experiment.name}.toml and train.\n"
        "[model]\n"
        + "".join(f"{key} = {_toml(value)}\n" for key, value in values.items() if value is not None)
        + "\n[quantization]\n"
        + "".join(f"{key} = {_toml(value)}\n" for key, value in widths.items())
    )


def _toml(value: Any) -> str:
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml(part) for part in value) + "]"
    return str(value)
