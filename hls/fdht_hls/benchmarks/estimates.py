"""`fdht bench estimate`: estimated cycles and resources beside simulated and counted ones.

The plans differ in format, cell, sizes, widths and parallelism; all but the default experiment are
small, so that yosys takes a minute or two for each. What was simulated or counted is kept under the
digest of its Verilog, so that an interrupted benchmark goes on where it stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.table import Table

from fdht_hls.benchmarks.engine import DEFAULT, Design, Scheduler, Workload, simulate_once, totals
from fdht_hls.benchmarks.random_networks import random_network
from fdht_hls.engine import lower
from fdht_hls.estimate import Estimate
from fdht_hls.estimate.rtl import estimate_rtl
from fdht_hls.rtl.cosim import KIND as SIMULATED
from fdht_hls.rtl.experiments import count_once
from fdht_hls.rtl.yosys_count import KIND as COUNTED
from fdht_hls.rtl.yosys_count import Resources
from fdht_hls.schedule import (
    Schedule,
    default_schedule,
    shapes_of,
    vector_counts,
    vector_length,
)
from fdht_models.artifacts import write_json, write_text
from fdht_models.console import pieces
from fdht_models.directories import ESTIMATE, BuildDirectory
from fdht_models.errors import ConfigError
from fdht_models.sections import QuantizationSettings
from fdht_models.tensor.formats import (
    BlockTerm,
    CanonicalPolyadic,
    HierarchicalTucker,
    KroneckerCp,
    TensorRing,
    TensorTrain,
)
from fdht_models.tensor.quantized import WORD_BYTES, QuantizedNetwork
from fdht_models.tensor.recurrent import RecurrentShape, fdht_shape

#: How far an estimate may be off, as a share.
CYCLES_WITHIN, RESOURCES_WITHIN = 0.03, 0.15
RESULT, TABLE = ESTIMATE, "estimate.md"


@dataclass(frozen=True)
class Plan:
    """A design whose estimate is compared.

    Args:
        name: says what is special.
        shape: modes and ranks; None: the default experiment, with the tuner's schedule.
        widths: bits of all numbers.
        multipliers: of W_x x, and of W_h h, "dsp" or "lut".
        first: the weights of the first stage of W_x x; adders take a whole turn in a clock.
        weights: those of all other stages.
        vectors: that the stages of W_x x behind the first take at once, where they can.
        pace: clocks of a frame that the schedule is made for, as a multiple of the port's.
        port_bytes: that the port for frames moves in a clock.
        classes: logits.
    """

    name: str
    shape: RecurrentShape | None
    widths: QuantizationSettings | None = None
    multipliers: tuple[str, str] = ("dsp", "dsp")
    first: str = "constant"
    weights: str = "constant"
    vectors: int = 1
    pace: int = 1
    port_bytes: int = WORD_BYTES
    classes: int = 5

    def design(self, networks: Callable[[str], Workload], scheduler: Scheduler) -> Design:
        """The network and its schedule."""
        if self.shape is None:
            network, _ = networks(DEFAULT)
            schedule = scheduler(network, self.port_bytes)
            return Design(network, lower(network, schedule, self.port_bytes))
        network = random_network(self.name, self.shape, self.widths, self.classes)
        return Design(network, lower(network, self._schedule(network), self.port_bytes))

    def _schedule(self, network: QuantizedNetwork) -> Schedule:
        # A port of fewer bytes a clock leaves the stages as much more time.
        recurrence = network.recurrence
        own = default_schedule(recurrence, max(1, self.port_bytes // self.pace))
        of_input, of_hidden = self.multipliers
        first, *others = shapes_of(recurrence.input_path, own.input[0].vectors)
        start = replace(own.input[0], multipliers=of_input, weights=self.first)
        if self.first == "adders":
            start = replace(start, vector=vector_length(first), outputs=first.outputs)
        rest = [
            replace(
                stage,
                multipliers=of_input,
                weights=self.weights,
                vectors=self.vectors if 1 < self.vectors in vector_counts(shape) else stage.vectors,
            )
            for stage, shape in zip(own.input[1:], others, strict=True)
        ]
        hidden = [
            replace(stage, multipliers=of_hidden, weights=self.weights) for stage in own.hidden
        ]
        return Schedule((start, *rest), tuple(hidden))


_NARROW = QuantizationSettings(
    cores=6, intermediates=9, preactivation=8, gate=8, candidate=8, output=8, cell=10, hidden=7
)
_SMALL = fdht_shape((8, 8, 16), (16, 2, 2), (4, 4), 3, 3)
_TRAIN = RecurrentShape(TensorTrain((4, 4)), (8, 8, 16), (16, 2, 2), (4, 4))
#: The tiny one is that of the fast tests.
TINY = Plan("fdht-tiny", fdht_shape((4, 4, 8), (8, 2, 2), (2, 4), 2, 2), classes=3)
PLANS = (
    Plan("default", None),
    TINY,
    Plan("fdht-dsp", _SMALL),
    Plan("fdht-lut", _SMALL, multipliers=("lut", "lut")),
    Plan("fdht-narrow", _SMALL, _NARROW),
    Plan("fdht-slow", _SMALL, multipliers=("lut", "dsp"), pace=4),
    Plan("fdht-128-bits", fdht_shape((8, 8, 8, 16), (16, 2, 2, 1), (2, 2, 4), 3, 3), port_bytes=16),
    Plan("fdht-256-bits", fdht_shape((8, 8, 8, 16), (16, 2, 2, 1), (2, 2, 4), 3, 3), port_bytes=32),
    Plan("tt", _TRAIN),
    Plan("ht", RecurrentShape(HierarchicalTucker(3, 3), (8, 8, 16), (16, 2, 2), (4, 4))),
    Plan("tr-gru", RecurrentShape(TensorRing(2), (8, 8, 16), (12, 4), (4, 4), "gru")),
    Plan("bt", RecurrentShape(BlockTerm(2, 2), (8, 8, 16), (16, 2, 2), (4, 4))),
    Plan("cp", RecurrentShape(CanonicalPolyadic(6), (8, 8, 16), (16, 4), (4, 4))),
    Plan(
        "kcp-lut",
        RecurrentShape(KroneckerCp(2, 2), (8, 8, 16), (16, 2, 2), (4, 4)),
        multipliers=("lut", "dsp"),
    ),
    Plan("fdht-vectors", _SMALL, multipliers=("lut", "dsp"), vectors=2),
    Plan("fdht-adders", _SMALL, first="adders"),
    Plan("fdht-loadable", _SMALL, first="loadable", weights="loadable"),
    Plan(
        "tt-loadable-lut", _TRAIN, multipliers=("lut", "dsp"), first="loadable", weights="loadable"
    ),
)


def bench_estimate(
    directory: Path,
    plans: Sequence[Plan],
    networks: Callable[[str], Workload],
    scheduler: Scheduler,
    *,
    quick: bool = False,
) -> dict[str, Any]:
    """Estimates all plans, simulates and counts them.

    Args:
        directory: of compiled cores and of all results; goes on from what is there.
        plans: what is compared.
        networks: a network by its name, for the default experiment.
        scheduler: its parallelism.
        quick: compile all simulations fast rather than let them run fast.

    Returns:
        `plans`: a row each; `within`: the share that each figure may be off; `worst`: the largest
        share by figure; `passed`: none is above what it may be.

    Raises:
        ConfigError: no plans.
        As `cosim` and `count_resources`.
    """
    if not plans:
        raise ConfigError("names no plan", field="only")
    rows = []
    with pieces("bench estimates", 3 * len(plans)) as begin:
        for plan in plans:
            begin(f"estimates {plan.name}")
            design = plan.design(networks, scheduler)
            found = estimate_rtl(design.plan)
            begin(f"simulates {plan.name}")
            small = quick or plan.shape is not None
            simulated = simulate_once(design, 0, directory, quick=small)
            begin(f"synthesises {plan.name}")
            counted = count_once(design.verilog, BuildDirectory(directory).resources)
            rows.append(_row(plan, design, found, simulated, counted))
    within = {"cycles": CYCLES_WITHIN, "lut": RESOURCES_WITHIN, "dsp": RESOURCES_WITHIN}
    worst = {name: max(abs(row["off"][name]) for row in rows) for name in within}
    return {
        "kind": {"estimated": "estimated", "cycles": SIMULATED, "resources": COUNTED},
        "plans": rows,
        "within": within,
        "worst": worst,
        "passed": all(worst[name] <= within[name] for name in within),
    }


def _row(
    plan: Plan,
    design: Design,
    found: Estimate,
    simulated: Mapping[str, Any],
    counted: Resources,
) -> dict[str, Any]:
    estimated = {"cycles": found.cycles_per_frame, **totals(found.resources)}
    measured = {"cycles": simulated["cycles_per_frame"], **totals(counted)}
    return {
        "plan": plan.name,
        "inputs": design.network.inputs,
        "units": design.network.recurrence.units,
        "bytes_per_clock": design.plan.port.word_bytes,
        "schedule": design.plan.schedule.to_json(),
        "limited_by": {"estimated": found.limited_by, "simulated": simulated["limited_by"]},
        "mismatches": simulated["mismatches"],
        "estimated": estimated,
        "found": measured,
        "off": {
            name: round(estimated[name] / measured[name] - 1, 4)
            for name in ("cycles", "lut", "dsp")
            if measured[name]
        },
    }


_COLUMNS = (
    "plan",
    "inputs",
    "H",
    "cycles: estimated",
    "simulated",
    "off",
    "LUT: estimated",
    "counted",
    "off",
    "DSP: estimated",
    "counted",
    "BRAM36: estimated",
    "counted",
)


def _cells(row: Mapping[str, Any]) -> list[str]:
    cells = [row["plan"], f"{row['inputs']:,}", str(row["units"])]
    for name in ("cycles", "lut", "dsp", "bram36"):
        # Frames whose pace is not a whole number of clocks; half a block RAM is one of 18 kbit.
        found = row["found"][name] if name == "bram36" else round(row["found"][name])
        cells += [f"{row['estimated'][name]:,g}", f"{found:,g}"]
        cells += [f"{row['off'][name]:+.1%}"] if name in ("cycles", "lut") else []
    return cells


def estimate_table(result: Mapping[str, Any]) -> Table:
    """The comparison for people."""
    table = Table(title="Estimated beside simulated cycles and what yosys counts")
    for at, name in enumerate(_COLUMNS):
        table.add_column(name, justify="right" if at else "left")
    for row in result["plans"]:
        table.add_row(*_cells(row))
    return table


def write_estimates(result: Mapping[str, Any], directory: Path) -> None:
    """Writes the result and a table in Markdown.

    Raises:
        ArtifactError: the directory cannot be written.
    """
    head = f"| {' | '.join(_COLUMNS)} |\n|{'---|' * len(_COLUMNS)}\n"
    rows = "".join(f"| {' | '.join(_cells(row))} |\n" for row in result["plans"])
    directory.mkdir(parents=True, exist_ok=True)
    write_json(directory / RESULT, dict(result))
    write_text(directory / TABLE, head + rows)
