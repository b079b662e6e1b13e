"""What a board is asked first: is this the design, does it compute right, what does it draw?

On an overlay's directory alone. Needs neither PyAV nor matplotlib, which a board may lack.
"""

from __future__ import annotations

import platform
from dataclasses import dataclass, field
from typing import Literal

from fdht_hls.boards import get_board
from fdht_host.accelerator import Accelerator
from fdht_host.energy.windows import board_energy
from fdht_models.console import Show
from fdht_models.directories import OverlayDirectory, network_in
from fdht_models.errors import MeasurementError
from fdht_models.records import JsonRecord
from fdht_models.versions import package_versions
from fdht_overlays.manifest import load_manifest

#: Packages whose versions a report names, and what is lost without one of them.
_PACKAGES = ("fdht", "numpy", "pynq", "pynqmetadata", "av", "matplotlib")
_WITHOUT = {
    "av": "PyAV is not installed: no videos and no sound can be read; arrays and test clips can",
    "matplotlib": "matplotlib is not installed: reports have no figures",
}


@dataclass(frozen=True)
class EnergyFound:
    """Energy per frame, or why there is none.

    Args:
        kind: as in a report: "measured", "modelled", "unmeasured" or "refused".
        explanation: a sentence for people.
        total_mj: millijoules a frame, all that the rails drew.
        net_mj: what running adds.
        uncertainty_mj: of the total, at about 95 % coverage.
    """

    kind: Literal["measured", "modelled", "unmeasured", "refused"]
    explanation: str
    total_mj: float | None = None
    net_mj: float | None = None
    uncertainty_mj: float | None = None


@dataclass(frozen=True)
class SelfTest(JsonRecord):
    """What the self-test of a board found; every part of it passed, or it would not exist.

    Args:
        experiment: of the overlay.
        board: its name.
        simulated: nothing of it ran on hardware.
        design_id: 16 hexadecimal digits, which the core shows and the manifest states.
        compared: integers of the golden vectors, all of them equal.
        energy: per frame.
        machine: the processor's architecture.
        python: its version.
        versions: package -> version, of those that are installed.
        notes: what this board cannot do.
    """

    experiment: str
    board: str
    simulated: bool
    design_id: str
    compared: int
    energy: EnergyFound
    machine: str
    python: str
    versions: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """The same for people."""
        energy = self.energy
        figure: str = energy.kind
        if energy.total_mj is not None and energy.uncertainty_mj is not None:
            figure = f"{energy.total_mj:.4f} mJ +- {energy.uncertainty_mj:.4f}  {energy.kind}"
        rows = [
            ("design", f"{self.experiment} {self.design_id}, as the core shows it"),
            ("golden vectors", f"{self.compared} integers, all equal  counted"),
            ("board energy per frame", figure),
            ("board", f"{self.board}, Python {self.python} on {self.machine}"),
        ]
        lines = [f"{name:<30}{text}" for name, text in rows]
        if energy.total_mj is None:
            lines.append(f"note: {energy.explanation}")
        lines += [f"note: {note}" for note in self.notes]
        return [*lines, *(["not run on hardware: the board is simulated"] * self.simulated)]


def self_test(overlay: OverlayDirectory, energy: bool, progress: Show) -> SelfTest:
    """Loads an overlay, compares its identity and its golden vectors, and measures once.

    Args:
        overlay: what `fdht build` wrote, here or elsewhere.
        energy: measure it.
        progress: told how far it has come.

    Raises:
        FdhtError: something is missing or damaged, the core is another one, or it computes
            something else.
    """
    manifest, network = load_manifest(overlay.path), network_in(overlay.open())
    board = get_board(manifest.board)
    progress("self-test", 0, 0)
    with Accelerator.open(overlay.path, self_test=False) as accelerator:
        compared = accelerator.self_test(overlay.path)
        found = EnergyFound("unmeasured", "it was not asked for")
        if energy:
            try:
                result = board_energy(accelerator, board, network, progress)
                found = EnergyFound(
                    result.kind,
                    result.explanation,
                    result.value_mj_per_frame,
                    result.net_mj_per_frame,
                    result.uncertainty_mj,
                )
            except MeasurementError as error:
                found = EnergyFound("unmeasured", str(error))
    versions = package_versions(*_PACKAGES)
    return SelfTest(
        experiment=manifest.experiment,
        board=board.name,
        simulated=board.simulated,
        design_id=manifest.design_id,
        compared=compared,
        energy=found,
        machine=platform.machine(),
        python=platform.python_version(),
        versions=versions,
        notes=tuple(note for name, note in _WITHOUT.items() if name not in versions),
    )
