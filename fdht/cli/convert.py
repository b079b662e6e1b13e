"""The command `fdht convert`: from a trained network to C++ that is proven equal."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from fdht.cli.options import (
    BUILD,
    AsJson,
    Build,
    ClockPeriod,
    Name,
    Part,
    TargetBoard,
    schedule_option,
)
from fdht.cli.output import emit


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
    as_json: AsJson = False,
) -> None:
    """Converts through hls4ml, compiles the C simulation and proves equality."""
    from fdht import pipeline

    directory = pipeline.experiment_directory(experiment, build)
    conversion = pipeline.convert_into(directory, schedule, board, part, clock_period)
    if as_json:
        emit(conversion.to_json())
    else:
        for line in pipeline.conversion_lines(conversion):
            print(line)
