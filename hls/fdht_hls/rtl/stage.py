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
from fdht_hls.simulated import COSIM, DIGEST, REPORT
from fdht_models.artifacts import read_json, write_json
from fdht_models.experiment import read_experiment
from fdht_models.stages import find_file
from fdht_models.tensor.quantized import WORD_BYTES, QuantizedNetwork

#: Which clips a network was made for; in the directories of training and conversion.
EXPERIMENT = "experiment.json"
#: Where counted cores are kept; compiled ones are in `COSIM`.
_RESOURCES = "resources"


def load_design(
    directory: Path, schedule: Path | None, port_bytes: int = WORD_BYTES
) -> tuple[QuantizedNetwork, EnginePlan]:
    """The network of an experiment, and the plan of its core.

    Args:
        directory: build/<name>.
        schedule: a file of `Schedule.to_json`; by default that of the conversion, or else
            `default_schedule`; a port other than of 8 bytes has the latter.
        port_bytes: bytes that the port for frames moves in a clock.

    Raises:
        ArtifactError: the network or the schedule is missing or damaged.
        ConfigError: the schedule is of another network.
    """
    network = QuantizedNetwork.load(
        find_file(directory / "hls", "hls", "network.json")
        or find_file(directory / "model", "model", "network.json")
        or directory / "model" / "network.json"  # whose absence is told
    )
    chosen = schedule
    if chosen is None and port_bytes == WORD_BYTES:
        chosen = find_file(directory / "hls", "hls", "schedule.json")
    found = load_schedule(chosen) if chosen else None
    return network, lower(network, found, port_bytes)


def clip_of(directory: Path, network: QuantizedNetwork, frames: int, seed: int) -> npt.NDArray[Any]:
    """Consecutive frames of the experiment's data: codes [frames, inputs].

    Of the data that the conversion was made with, or else the last training.

    Raises:
        ArtifactError: the experiment has not been trained, or its file is damaged.
        DataError: its data are missing.
    """
    recipe = find_file(directory / "hls", "hls", EXPERIMENT) or find_file(
        directory / "model", "model", EXPERIMENT
    )
    source = read_experiment(recipe or directory / "model" / EXPERIMENT).source
    clips = source.streams(1, frames, seed, directory.parent / "data").frames
    return clips[0, :frames].view("int8" if network.input_format.signed else "uint8")


def cosim_experiment(
    directory: Path,
    frames: int,
    schedule: Path | None,
    settings: RunSettings,
    port_bytes: int = WORD_BYTES,
) -> Cosim:
    """Simulates a clip of a trained experiment; writes cosim/report.json.

    Raises:
        As `load_design`, `clip_of` and `cosim`.
    """
    network, plan = load_design(directory, schedule, port_bytes)
    clip = clip_of(directory, network, frames, settings.seed)
    result = cosim(network, plan, clip, directory / COSIM, settings)
    report = {
        "experiment": network.name,
        # `fdht build` takes the clocks of this very core.
        DIGEST: hashlib.sha256(emit_verilog(plan).encode()).hexdigest(),
        "schedule": plan.schedule.to_json(),
        **result.to_json(),
    }
    write_json(directory / COSIM / REPORT, report)
    return result


def count_experiment(
    directory: Path,
    schedule: Path | None,
    timeout: float = SYNTHESIS_TIMEOUT,
    port_bytes: int = WORD_BYTES,
) -> Resources:
    """Resources of an experiment's core; counted once for the same Verilog.

    Raises:
        As `load_design`, `emit_verilog` and `count_resources`.
    """
    _, plan = load_design(directory, schedule, port_bytes)
    return count_once(emit_verilog(plan), directory / _RESOURCES, timeout)


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
