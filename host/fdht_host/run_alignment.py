"""A run and the log of a meter that recorded by itself, put together: a report with energy."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from fdht_host.energy.load_pattern import read_load
from fdht_host.energy.metered_load import log_energy
from fdht_host.power.outside.csv_log import CsvOptions
from fdht_host.report.contents import with_energy
from fdht_host.report.html import write_report
from fdht_models.artifacts import read_json
from fdht_models.directories import LOAD, REPORT, RunDirectory
from fdht_models.errors import ArtifactError, MeasurementError


def align_run(run: Path, log: Path, options: CsvOptions) -> tuple[Path, dict[str, Any]]:
    """Writes the report of a run anew, with the energy of a log; the run stays as it is.

    Args:
        run: that `fdht run --meter csv` wrote.
        log: of the meter.
        options: how the log is read.

    Returns:
        The directory written, beside the run, and the content of its report.json.

    Raises:
        ArtifactError: there is no such run, or it was none with a meter.
        DataError: the log cannot be used.
        MeasurementError: it does not hold the run, or tells no energy; nothing is written then.
    """
    stage = RunDirectory(run).open()
    if not stage.holds(LOAD):
        raise ArtifactError(
            f"has no {LOAD}", field=str(run), remedy="run with --meter csv while the meter records"
        )
    record = read_load(stage.file(LOAD))
    report: Mapping[str, Any] = read_json(stage.file(REPORT))
    found = log_energy(record, log, options)
    if found.value_mj_per_frame is None:
        raise MeasurementError(found.explanation)
    whole = with_energy(report, found.to_json())
    inputs = {**stage.manifest["inputs"], "aligned": run.absolute().name}
    where = (run.absolute().parent, datetime.now(timezone.utc), inputs)
    with RunDirectory.write_dated(*where) as (directory, temporary, extra):
        write_report(temporary, whole)
        for one in stage.files:
            if not (temporary / one).exists():
                shutil.copyfile(stage.file(one), temporary / one)
        extra["experiment"] = whole["experiment"]
    return directory, whole
