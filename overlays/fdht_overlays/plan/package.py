"""From what a flow's tools left to an overlay: written whole or not at all.

Nothing is called an overlay before all of it was checked; the flows do that, and hand it over as
`Finished`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from fdht_hls.flow.build_plan import BuildPlan
from fdht_hls.simulated import simulated_core, slowest_cycles
from fdht_models.artifacts import OVERLAY, digest_of
from fdht_models.directories import LOADABLE, NETWORK, OverlayDirectory
from fdht_models.tensor.quantized import QuantizedNetwork
from fdht_models.versions import package_versions
from fdht_overlays.figures import Figures
from fdht_overlays.golden import save_golden
from fdht_overlays.manifest import ArrayFacts, BuildFacts, CycleCount
from fdht_overlays.simulated_overlay import design_of_network
from fdht_overlays.sparse_pace import SparsePace

#: Below the overlay: what the tools reported.
REPORTS = "reports"
WEIGHTS_LICENCE = "The weights are in the bitstream: the terms of their training data apply."


@dataclass(frozen=True)
class Finished:
    """What a flow's tools left, read and checked.

    Args:
        bitstream: the `.bit` file.
        handoff: the `.hwh` file.
        build: what the tools said.
        cycles: clocks of a frame.
        tools: versions.
        reports: of the tools, by file name.
        carried: other files by name: the description of weights that can be loaded, the recipe and
            the schedule, where they are there.
        figures: of training and conversion.
        sparse_pace: of a core that takes sparse frames.
        kind: of frames that it takes.
        contexts: states that it keeps.
    """

    bitstream: bytes = field(repr=False)
    handoff: bytes = field(repr=False)
    build: BuildFacts
    cycles: CycleCount
    tools: Mapping[str, str]
    reports: Mapping[str, bytes] = field(repr=False)
    carried: Mapping[str, bytes] = field(repr=False)
    figures: Figures
    sparse_pace: SparsePace | None = None
    kind: str = "dense"
    contexts: int = 1


def write_overlay(
    plan: BuildPlan, network: QuantizedNetwork, finished: Finished, directory: OverlayDirectory
) -> bool:
    """Writes the directory of an overlay.

    Args:
        plan: that was run.
        network: the integers.
        finished: what came of it.
        directory: to write.

    Returns:
        False if the overlay was there already.

    Raises:
        ArtifactError: it cannot be written.
    """
    inputs = {
        "plan": plan.digest,
        "build": digest_of([asdict(finished.build), asdict(finished.cycles)]),
        "figures": digest_of(asdict(finished.figures)),
        **(
            {"sparse_pace": digest_of(asdict(finished.sparse_pace))} if finished.sparse_pace else {}
        ),
        **{name: _digest(data) for name, data in _files(network.name, finished).items()},
    }
    if directory.is_current(inputs):
        return False
    own = (finished.figures, finished.sparse_pace, finished.kind, finished.contexts)
    design = design_of_network(network, finished.cycles, {}, *own)
    manifest = design.manifest(
        **{name: plan.facts[name] for name in ("board", "flow", "clock_mhz")},
        weights=LOADABLE if LOADABLE in finished.carried else None,
        tools={**finished.tools, "fdht": "unknown", **package_versions("fdht", "numpy")},
        build=finished.build,
    )
    with directory.write(inputs, manifest.tools) as (temporary, extra):
        extra[OVERLAY] = manifest.to_json()
        (temporary / REPORTS).mkdir()
        for name, data in _files(network.name, finished).items():
            (temporary / name).write_bytes(data)
        network.save(temporary / NETWORK)
        save_golden(temporary / manifest.golden, design.golden)
    return True


def array_facts(network: QuantizedNetwork) -> dict[str, ArrayFacts]:
    """Shapes and formats of the cores of a network."""
    return {
        name: ArrayFacts(tuple(array.codes.shape), array.format)
        for name, array in network.recurrence.cores.items()
    }


def simulated_cycles(cosim: Path, digest: str) -> CycleCount | None:
    """Clocks of a frame that `fdht cosim` counted on this very Verilog, if it did; of a core that
    skips zeros those of a full one.

    Args:
        cosim: its directory.
        digest: SHA-256 of the core's Verilog.
    """
    report = simulated_core(cosim, digest)
    cycles = None if report is None else slowest_cycles(report)
    return None if cycles is None else CycleCount(round(cycles), "simulated")


def _files(name: str, finished: Finished) -> dict[str, bytes]:
    reports = {f"{REPORTS}/{report}": data for report, data in finished.reports.items()}
    design = {f"{name}.bit": finished.bitstream, f"{name}.hwh": finished.handoff}
    return {**design, **finished.carried, **reports}


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
