"""`fdht bench engine`: cycles and resources of the core in RTL, for several networks and ports.

Cycles are simulated on the Verilog that yosys then counts. Each simulation and each count is kept
under the digest of its Verilog, so that an interrupted benchmark goes on where it stopped.

Designs that a user would build have the tuner's schedule for a board; only they are counted. The
default schedule, all of whose multipliers are DSP slices, is simulated; what it takes is estimated.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from rich.table import Table

from fdht_hls.benchmarks.random_networks import STUDY, random_frames, random_network
from fdht_hls.engine import EnginePlan, lower
from fdht_hls.estimate import Estimate, Resources
from fdht_hls.estimate.rtl import estimate_rtl
from fdht_hls.rtl.core import emit_verilog
from fdht_hls.rtl.cosim import KIND as SIMULATED
from fdht_hls.rtl.cosim import cosim
from fdht_hls.rtl.experiments import count_once
from fdht_hls.rtl.simulation.runner import RunSettings
from fdht_hls.rtl.yosys_count import Resources as Counted
from fdht_hls.schedule import Schedule, default_schedule
from fdht_hls.tuner.budget import Budget
from fdht_models.artifacts import read_json, write_json
from fdht_models.console import pieces
from fdht_models.directories import NETWORK, BuildDirectory
from fdht_models.errors import ArtifactError, ConfigError
from fdht_models.tensor.quantized import WORD_BYTES, QuantizedNetwork
from fdht_models.tensor.recurrent import fdht_shape

#: The experiment whose figures lead.
DEFAULT = "motion"
#: What is asked of tuned designs: clocks a frame for each 8 bytes that the port moves in a clock,
#: and clocks from the last pixel to the result.
PACE, LATENCY = 7350, 650
#: Clocks until the memory answers.
LATENCIES = (0, 40)
#: Frames of a simulation: two fill the pipeline, the rest are the steady state.
FRAMES = 7
#: A network that compiles in seconds, for a look at the benchmark itself.
QUICK = "quick"
_QUICK_SHAPE = fdht_shape((4, 4, 8), (8, 2, 2), (2, 4), 2, 2)

#: A network, and the kind of its weights.
Workload = tuple[QuantizedNetwork, str]
#: The parallelism of a network for a port of so many bytes a clock.
Scheduler = Callable[[QuantizedNetwork, int], Schedule]


@dataclass(frozen=True)
class Case:
    """One design.

    Args:
        experiment: of the network: an experiment, one of `STUDY`, or `QUICK`.
        port_bytes: that the port for frames moves in a clock.
        tuned: with the tuner's schedule for a board, and counted; otherwise with the fewest
            multipliers that keep the port's pace, all of them DSP slices.
    """

    experiment: str
    port_bytes: int = WORD_BYTES
    tuned: bool = False

    @property
    def label(self) -> str:
        """For people."""
        return f"{self.experiment}{', tuned' if self.tuned else ''}, {8 * self.port_bytes} bits"


@dataclass(frozen=True, eq=False)
class Design:
    """A core: its network and its plan."""

    network: QuantizedNetwork
    plan: EnginePlan

    @cached_property
    def verilog(self) -> str:
        """Of the core, which names results that are kept."""
        return emit_verilog(self.plan)


CASES = (
    Case(DEFAULT, tuned=True),
    Case("B", tuned=True),
    Case("A0", tuned=True),
    Case("C", 16, tuned=True),
    Case(DEFAULT),
    Case("B"),
    Case("A0"),
    Case("B", 16),
    Case("B", 32),
    Case("C", 16),
    Case("C", 32),
    Case(DEFAULT, 16),
)
QUICK_CASES = (Case(QUICK, tuned=True), Case(QUICK, 16))


def named_network(name: str, build: Path) -> Workload:
    """The network of a case: trained if it is there, or else of the same shape and random.

    Raises:
        ConfigError: there is neither an experiment nor a configuration of that name.
    """
    from fdht_hls.benchmarks.random_networks import with_random_codes
    from fdht_hls.tuner.untrained import untrained_network
    from fdht_models.experiment import load_experiment

    if name == QUICK:
        return random_network(QUICK, _QUICK_SHAPE, classes=3), "random"
    if name in STUDY:
        return random_network(f"study-{name}", STUDY[name]), "random"
    trained = BuildDirectory(build / name).model.find_file(NETWORK)
    if trained is not None:
        return QuantizedNetwork.load(trained), "trained"
    return with_random_codes(untrained_network(load_experiment(name))), "random"


def simulate_once(
    design: Design,
    latency: int,
    directory: Path,
    *,
    quick: bool = False,
) -> dict[str, Any]:
    """The report of a simulation with random frames; taken from the directory if it is there.

    Args:
        design: what is simulated.
        latency: clocks until the memory answers.
        directory: of all that is kept.
        quick: compile fast rather than run fast.

    Raises:
        As `cosim`.
    """
    key = hashlib.sha256(f"{latency}\0{FRAMES}\0{design.verilog}".encode()).hexdigest()[:24]
    kept = directory / "simulated" / f"{key}.json"
    found = _kept(kept)
    if found is None:
        result = cosim(
            design.network,
            design.plan,
            random_frames(design.network, FRAMES),
            directory / "cores",
            RunSettings(latency=latency),
            quick=quick,
        )
        found = result.to_json()
        write_json(kept, found)
    return found


def _kept(path: Path) -> dict[str, Any] | None:
    """A simulation that is kept; None if there is none, or it is damaged: it is made again."""
    if not path.is_file():
        return None
    try:
        found = read_json(path)
    except ArtifactError:
        return None
    figures = ("mismatches", "cycles_per_frame", "io_limit", "last_pixel_to_result")
    sound = isinstance(found, dict) and isinstance(found.get("limited_by"), str)
    sound = sound and all(type(found.get(key)) in (int, float) for key in figures)
    return found if sound else None


def bench_engine(
    directory: Path,
    cases: Sequence[Case],
    networks: Callable[[str], Workload],
    scheduler: Scheduler,
    *,
    board: Budget,
    resources: bool = True,
    quick: bool = False,
) -> list[dict[str, Any]]:
    """Simulates all cases, then counts the resources of those that are tuned.

    Args:
        directory: of compiled cores and of all results; goes on from what is there.
        cases: designs.
        networks: a network by its name.
        scheduler: of the cases that are tuned.
        board: into which designs have to fit.
        resources: count them, too; it takes minutes a case.
        quick: compile fast rather than run fast.

    Returns:
        A row a case and latency: `experiment`, `weights`, `schedule`, `ports`, `bytes_per_clock`,
        `memory_latency`, `cycles_per_frame`, `io_limit`, `limited_by`, `last_pixel_to_result`,
        `recurrent_latency`, `mismatches`, `lut` (with those used as memory), `dsp`, `bram36`, the
        part of `board` that each takes in `used`, `fits` within the shares of it that a design may
        take, and the kinds of these figures: resources that were not counted are estimated.

    Raises:
        ConfigError: no cases.
        As `cosim` and `count_resources`.
    """
    if not cases:
        raise ConfigError("names no design", field="only")
    rows, designs = [], []
    with pieces("bench engine", len(cases) * (len(LATENCIES) + 1)) as begin:
        for case in cases:
            network, weights = networks(case.experiment)
            schedule = (scheduler if case.tuned else _default)(network, case.port_bytes)
            design = Design(network, lower(network, schedule, case.port_bytes))
            designs.append(design)
            for latency in LATENCIES:
                begin(f"simulates {case.label}, memory latency {latency}")
                report = simulate_once(design, latency, directory, quick=quick)
                rows.append(_row(case, weights, latency, report))
        for at, (case, design) in enumerate(zip(cases, designs, strict=True)):
            begin(f"synthesises {case.label}")
            found: Estimate | Counted = estimate_rtl(design.plan)
            if resources and case.tuned:
                found = count_once(design.verilog, BuildDirectory(directory).resources)
            taken = totals(found.resources if isinstance(found, Estimate) else found)
            for row in rows[at * len(LATENCIES) : (at + 1) * len(LATENCIES)]:
                row.update(resource_row(taken, board))
                row["kind"] = {"cycles": SIMULATED, "resources": found.kind}
    return rows


def _default(network: QuantizedNetwork, port_bytes: int) -> Schedule:
    return default_schedule(network.recurrence, port_bytes)


def _row(case: Case, weights: str, latency: int, report: Mapping[str, Any]) -> dict[str, Any]:
    taken = ("cycles_per_frame", "io_limit", "limited_by", "last_pixel_to_result")
    return {
        "experiment": case.experiment,
        "weights": weights,
        "schedule": "tuned" if case.tuned else "default",
        "ports": 1,
        "bytes_per_clock": case.port_bytes,
        "memory_latency": latency,
        **{name: report[name] for name in (*taken, "recurrent_latency", "mismatches")},
    }


def totals(found: Resources | Counted) -> dict[str, Any]:
    """What a design takes; LUTs that are used as memory count, too."""
    memory = found.lutram if isinstance(found, Counted) else 0
    return {"lut": found.lut + memory, "dsp": found.dsp, "bram36": found.bram36}


def resource_row(taken: Mapping[str, Any], board: Budget) -> dict[str, Any]:
    """What a design takes (see `totals`), the part of a board that it is, and whether it may."""
    used = {name: amount / getattr(board, name) for name, amount in taken.items()}
    return {
        **taken,
        "board": board.name,
        "used": {name: round(part, 4) for name, part in used.items()},
        "fits": all(part <= board.shares[name] for name, part in used.items()),
    }


#: Columns of words.
_LEFT = ("experiment", "schedule", "limited by", "resources", "fits")


def engine_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """The rows for people."""
    table = Table(title="The engine in RTL (cycles: simulated)")
    cells = [_cells(row) for row in rows]
    for name in cells[0]:
        table.add_column(name, justify="left" if name in _LEFT else "right")
    for row in cells:
        table.add_row(*row.values())
    return table


def _cells(row: Mapping[str, Any]) -> dict[str, str]:
    """Of a row, by column."""
    recurrent = row["recurrent_latency"]
    return {
        "experiment": row["experiment"],
        "schedule": row["schedule"],
        "bytes a clock": str(row["bytes_per_clock"]),
        "memory latency": str(row["memory_latency"]),
        "cycles a frame": f"{row['cycles_per_frame']:,.0f}",
        "I/O limit": f"{row['io_limit']:,}",
        "limited by": row["limited_by"],
        "last pixel to result": f"{row['last_pixel_to_result']:,}",
        "recurrent latency": "overlaps" if recurrent is None else f"{recurrent:,}",
        "mismatches": str(row["mismatches"]),
        "resources": row["kind"]["resources"],
        **{
            name.upper(): f"{row[name]:,g} ({row['used'][name]:.0%})"
            for name in ("lut", "dsp", "bram36")
        },
        "fits": f"{row['board']}: {'yes' if row['fits'] else 'no'}",
    }
