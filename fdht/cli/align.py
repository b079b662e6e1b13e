"""The command `fdht align`: a run and the log of an outside meter, put together."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fdht.cli.options import AsJson, MeterOption
from fdht.cli.output import tell


def align(
    run: Annotated[Path, typer.Argument(help="Directory of a run with --meter csv.")],
    log: Annotated[Path, typer.Argument(help="CSV that the meter recorded meanwhile.")],
    meter_set: MeterOption = None,
    as_json: AsJson = False,
) -> None:
    """Energy per frame from a meter that has a clock of its own; writes the report anew."""
    from fdht.cli.run_lines import report_lines
    from fdht_host.power.outside.csv_log import CsvOptions
    from fdht_host.power.outside.naming import outside_meter
    from fdht_host.run_alignment import align_run

    options = outside_meter(f"csv:{log}", meter_set or []).options
    assert isinstance(options, CsvOptions)
    directory, report = align_run(run, log, options)
    tell(
        report,
        as_json,
        lambda told: [*report_lines(directory, told), told["energy"]["explanation"]],
    )
