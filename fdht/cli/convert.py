"""The command `fdht convert`: from a trained network to C++ that is proven equal."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from fdht.cli.options import BUILD, AsJson, Build, ClockPeriod, Name, Part, schedule_option
from fdht.cli.output import emit


def convert(
    experiment: Name,
    build: Build = BUILD,
    part: Part = "xc7z020clg400-1",
    clock_period: ClockPeriod = 10.0,
    schedule: Annotated[
        Path | None, schedule_option("Parallelism of each stage, a JSON file of fdht tune.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Converts through hls4ml, compiles the C simulation and proves equality."""
    from fdht import pipeline

    conversion = pipeline.convert(experiment, build, part, clock_period, schedule)
    if as_json:
        emit(conversion.to_json())
    else:
        for line in pipeline.conversion_lines(conversion):
            print(line)
