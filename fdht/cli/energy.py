"""The command `fdht energy`: energy per frame of a board, by a protocol that anybody can check."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from fdht.cli.options import (
    BUILD,
    AsJson,
    Build,
    MeterOption,
    Name,
    board_option,
)
from fdht.cli.output import tell
from fdht.cli.run import named_meter, place_of
from fdht_models.console import progress
from fdht_models.errors import MeasurementError

#: Windows of each state, and their least seconds on hardware.
_REPEATS, _SECONDS = 8, 1.0


def energy(
    experiment: Name = "motion",
    board: Annotated[
        str | None, board_option("By default the copied overlay's, or 'sim', which is simulated.")
    ] = None,
    overlay: Annotated[
        str | None,
        typer.Option(metavar="vitis-hls|vitis-rtl|open", help="Of several for the board."),
    ] = None,
    repeats: Annotated[int, typer.Option(min=5, help="Windows of each state.")] = _REPEATS,
    seconds: Annotated[
        float | None,
        typer.Option(
            min=0.001,
            max=3600.0,
            help="Length of a window at least; the sensor may need more. By default 1, and on the "
            "simulated board as long as its sensor needs.",
        ),
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option(
            min=0.01, metavar="FPS", help="Frames a second; by default as fast as they run."
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(min=0, help="Of the windows' order; by default drawn anew. It is recorded."),
    ] = None,
    meter: Annotated[
        str | None,
        typer.Option(metavar="KIND[:PLACE]", help="An outside meter, as of fdht run."),
    ] = None,
    meter_set: MeterOption = None,
    cpu: Annotated[bool, typer.Option(help="Measure this host's CPU as well.")] = True,
    build: Build = BUILD,
    as_json: AsJson = False,
) -> None:
    """Measures energy per frame of a board, with an interval of 95 %, and keeps all readings.

    Where there is no figure, as within the noise, the readings are kept and the exit code is 2.
    """
    from fdht_hls.boards import get_board
    from fdht_host.energy.evaluation import EnergySettings
    from fdht_host.energy.order import draw_seed
    from fdht_host.energy_stage import EnergyRequest, energy_stage
    from fdht_overlays.manifest import load_manifest

    named = named_meter(meter, meter_set)
    place, runs = place_of(experiment, build, board, overlay)
    simulated = get_board(load_manifest(place.path).board).simulated
    if seconds is None:
        seconds = 0.0 if simulated else _SECONDS
    settings = EnergySettings(
        repeats=repeats,
        minimum_seconds=seconds,
        seed=draw_seed() if seed is None else seed,
    )
    request = EnergyRequest(settings, rate, named, cpu)
    with progress() as show:
        written, report = energy_stage(place, runs.parent / "energy", request, show)
    missing = report["energy"]["value_mj_per_frame"] is None
    if as_json or not missing:
        tell(report, as_json, lambda told: energy_lines(written, told))
    if missing:
        raise MeasurementError(
            f"no energy per frame: {report['energy']['explanation']}",
            remedy=f"all readings are in {written}",
        )


def energy_lines(directory: Path, report: Mapping[str, Any]) -> list[str]:
    """A result for people."""
    found = report["energy"]
    lines = [
        _value_line("board, energy per frame", found, "value", "uncertainty", "gain"),
        _value_line("of it what the core adds", found, "net", "net_uncertainty", "net_gain"),
    ]
    lines += [
        _value_line(f"  rail {rail['rail']}", {**rail, "kind": found["kind"]}, *_TOTAL)
        for rail in found["by_rail"]
    ]
    pace = found["pace"]
    if "idle_share" in pace:
        lines.append(
            f"{'at a rate of':<30}{pace['reached']:.4g} frames/s, {pace['late']} of "
            f"{pace['frames']} late; {pace['idle_share']:.1%} of the board's energy is idle power; "
            f"the core adds at most {pace['core_adds_at_most_mj']:.4g} mJ a frame"
        )
    lines.append(_value_line("CPU, energy per frame", report["cpu"], *_TOTAL))
    lines += [found["explanation"], "", "beside others, each of which counts something else:"]
    for row in report["published"]:
        lines.append(f"  {row['what']}: {row['figure']} ({row['counts']}; {row['source']})")
    if report["board"]["simulated"]:
        lines.append("not run on hardware: the board is simulated, and its energy is modelled")
    lines.append(f"readings, windows and result: {directory}")
    return lines


_TOTAL = ("value", "uncertainty", "gain")


def _value_line(
    title: str, found: Mapping[str, Any], name: str, uncertainty: str, gain: str
) -> str:
    value = found[f"{name}_mj_per_frame"]
    if value is None:
        within = found["kind"] not in ("refused", "unmeasured")
        return f"{title:<30}{'within the noise' if within else found['kind']}"
    return (
        f"{title:<30}{value:.4g} mJ +- {found[f'{uncertainty}_mj']:.2g} (95 %), and +- "
        f"{found[f'{gain}_mj']:.2g} at most by the sensor's gain  {found['kind']}"
    )
