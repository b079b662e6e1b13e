"""What a run measures the energy of: the board, and beside it this host's CPU."""

from __future__ import annotations

import numpy as np

from fdht_hls.boards import Board
from fdht_host.accelerator import Accelerator
from fdht_host.clocks import clock_of
from fdht_host.energy.results import EnergyResult, EnergySettings
from fdht_host.energy.windows import measure, measure_cpu
from fdht_host.power.finding import search_meter
from fdht_host.streamer import Progress
from fdht_models.tensor.quantized import QuantizedNetwork
from fdht_models.tensor.reference import ReferenceModel

#: Frames that an energy window runs again and again; bounded by a board's memory.
_ENERGY_BLOCK = 32


def board_energy(
    accelerator: Accelerator, board: Board, network: QuantizedNetwork, progress: Progress
) -> EnergyResult:
    """Energy per frame of a board, which runs a block of frames that stays in memory."""
    generator = np.random.default_rng(0)
    dtype = np.dtype(accelerator.manifest.input.dtype)
    block = generator.integers(0, 64, (_ENERGY_BLOCK, network.inputs)).astype(dtype)
    run = 0

    def run_frames(count: int) -> None:
        nonlocal run
        for start in range(0, count, _ENERGY_BLOCK):
            accelerator.infer(block[: min(_ENERGY_BLOCK, count - start)], reset=False)
        run += count
        progress("energy windows", run, 0)

    search = search_meter(board, accelerator.device)
    return measure(
        run_frames,
        lambda: accelerator.driver.identity().frames_done,
        search.meter,
        clock_of(accelerator.device),
        EnergySettings(),
        reason=search.reason,
    )


def cpu_energy(network: QuantizedNetwork, progress: Progress) -> EnergyResult:
    """Energy per frame of this host's CPU, which runs the reference."""
    model = ReferenceModel(network)
    frame = np.random.default_rng(0).integers(0, 64, (1, network.inputs)).astype(np.uint8)
    codes = frame.view(np.int8) if network.input_format.signed else frame

    def run_frames(count: int) -> None:
        for _ in range(count):
            model.run(codes)

    progress("CPU energy", 0, 0)
    return measure_cpu(run_frames)
