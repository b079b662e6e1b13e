"""The command `fdht convert`: from a trained network to C++ that is proven equal."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from fdht.cli.options import (
    BUILD,
    AsJson,
    Build,
    ClockPeriod,
    CoreContexts,
    CoreFeature,
    CoreFrames,
    Name,
    Part,
    TargetBoard,
    asked_frames,
    schedule_option,
)
from fdht.cli.output import tell

if TYPE_CHECKING:
    from fdht_hls.conversion import Conversion


def convert(
    experiment: Name,
    build: Build = BUILD,
    board: TargetBoard = None,
    part: Part = None,
    clock_period: ClockPeriod = None,
    schedule: Annotated[
        Path | None,
        schedule_option("Parallelism of each stage, a file of fdht tune; by default planned."),
    ] = None,
    core_frames: CoreFrames = None,
    feature: CoreFeature = None,
    contexts: CoreContexts = None,
    as_json: AsJson = False,
) -> None:
    """Converts through hls4ml, compiles the C simulation and proves equality."""
    from fdht import pipeline

    asked = asked_frames(core_frames, feature)
    directory = pipeline.experiment_directory(experiment, build)
    planned_for = pipeline.core_of(experiment, build)
    conversion = pipeline.convert_into(
        directory, schedule, board, part, clock_period, asked, contexts, planned_for
    )
    tell(conversion.to_json(), as_json, lambda _: conversion_lines(conversion))


def conversion_lines(conversion: Conversion) -> list[str]:
    """Equality and estimate for people."""
    equality, estimate = conversion.equality, conversion.estimate
    pairs = {
        "keras_reference": "Keras = integer reference",
        "reference_csim_exact": "reference = C simulation (ap_int)",
        "reference_csim": "reference = C simulation (native)",
    }
    lines = [
        f"{text:<36}{equality[key]['compared']:>7} integers, "
        f"{equality[key]['mismatches']} mismatches  counted"
        for key, text in pairs.items()
    ]
    plan = conversion.plan
    used = ", ".join(
        f"{part:.0%} {name.upper()}" for name, part in plan["used"].items() if part is not None
    )
    full = "" if plan["frames"] == "dense" else " of full frames"
    whose = "planned" if plan["chosen_by"] == "planner" else "the given schedule"
    lines.append(
        f"{whose} for {plan['budget']['board']}: {plan['frames_per_second']:,.0f} frames/s{full} "
        f"at {plan['budget']['clock_mhz']:g} MHz, {used}  estimated ({plan['model']})"
    )
    clips = estimate.get("clips")
    frame = "frame" if plan["frames"] == "dense" else "full frame"
    lines.append(
        f"{estimate['cycles_per_frame']} cycles a {frame}, limited by {estimate['limited_by']}; "
        f"{estimate['fill_latency_cycles']} from the last word to the result  estimated"
    )
    if plan["planned_for"]:
        lines.append(plan["planned_for"])
    if clips:
        spread = clips["clocks"]["frame"]["spread"]
        lines.append(
            f"cycles of such a frame: mean {spread['mean']:,.0f}, median {spread['median']:,.0f}, "
            f"95th percentile {spread['p95']:,.0f}, limited by {clips['limited_by']}  estimated"
        )
    return lines
