"""A trained experiment in RTL: build/<name>/{model,hls}/ -> build/<name>/{cosim,resources}/."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy.typing as npt

from fdht_hls.engine import EnginePlan, lower
from fdht_hls.rtl.cosim import Cosim, cosim
from fdht_hls.rtl.emit import emit_verilog
from fdht_hls.rtl.simulation.runner import RunSettings
from fdht_hls.rtl.synthesis import SYNTHESIS_TIMEOUT, Resources, check_yosys, count_resources
from fdht_hls.schedule import load_schedule
from fdht_hls.simulated import DIGEST
from fdht_models.artifacts import read_json, write_json
from fdht_models.directories import EXPERIMENT, NETWORK, REPORT, SCHEDULE, BuildDirectory
from fdht_models.experiment import read_experiment
from fdht_models.tensor.quantized import WORD_BYTES, QuantizedNetwork


def load_design(
    build: BuildDirectory, schedule: Path | None, port_bytes: int = WORD_BYTES
) -> tuple[QuantizedNetwork, EnginePlan]:
    """The network of an experiment, and the plan of its core.

    Args:
        build: with what conversion, or else training, left.
        schedule: a file of `Schedule.to_json`; by default that of the conversion, or else
            `default_schedule`; a port other than of 8 bytes has the latter.
        port_bytes: bytes that the port for frames moves in a clock.

    Raises:
        ArtifactError: the network or the schedule is missing or damaged.
        ConfigError: the schedule is of another network.
    """
    # Of neither, the absence of the model's is told.
    network = QuantizedNetwork.load(build.find_trained(NETWORK) or build.model.path / NETWORK)
    chosen = schedule
    if chosen is None and port_bytes == WORD_BYTES:
        chosen = build.hls.find_file(SCHEDULE)
    found = load_schedule(chosen) if chosen else None
    return network, lower(network, found, port_bytes)


def clip_of(
    build: BuildDirectory, network: QuantizedNetwork, frames: int, seed: int
) -> npt.NDArray[Any]:
    """Consecutive frames of the experiment's data: codes [frames, inputs].

    Of the data that the conversion was made with, or else the last training.

    Raises:
        ArtifactError: the experiment has not been trained, or its file is damaged.
        DataError: its data are missing.
    """
    recipe = build.find_trained(EXPERIMENT) or build.model.path / EXPERIMENT
    clips = read_experiment(recipe).source.streams(1, frames, seed, build.data).frames
    return clips[0, :frames].view("int8" if network.input_format.signed else "uint8")


def cosim_experiment(
    build: BuildDirectory,
    frames: int,
    schedule: Path | None,
    settings: RunSettings,
    port_bytes: int = WORD_BYTES,
) -> Cosim:
    """Simulates a clip of a trained experiment; writes cosim/report.json.

    Raises:
        As `load_design`, `clip_of` and `cosim`.
    """
    network, plan = load_design(build, schedule, port_bytes)
    clip = clip_of(build, network, frames, settings.seed)
    result = cosim(network, plan, clip, build.cosim, settings)
    report = {
        "experiment": network.name,
        # `fdht build` takes the clocks of this very core.
        DIGEST: hashlib.sha256(emit_verilog(plan).encode()).hexdigest(),
        "schedule": plan.schedule.to_json(),
        **result.to_json(),
    }
    write_json(build.cosim / REPORT, report)
    return result


def count_experiment(
    build: BuildDirectory,
    schedule: Path | None,
    timeout: float = SYNTHESIS_TIMEOUT,
    port_bytes: int = WORD_BYTES,
) -> Resources:
    """Resources of an experiment's core; counted once for the same Verilog.

    Raises:
        As `load_design`, `emit_verilog` and `count_resources`.
    """
    _, plan = load_design(build, schedule, port_bytes)
    return count_once(emit_verilog(plan), build.resources, timeout)


def count_once(verilog: str, cache: Path, timeout: float = SYNTHESIS_TIMEOUT) -> Resources:
    """Resources of a core; what the cache has is not counted again.

    Raises:
        As `count_resources`.
    """
    key = hashlib.sha256(f"{check_yosys()}\0{verilog}".encode()).hexdigest()[:24]
    work = cache / key
    if not (work / REPORT).is_file():
        found = count_resources(verilog, work, timeout)
        write_json(work / REPORT, found.to_json())
    return Resources.from_json(read_json(work / REPORT), str(work / REPORT))
