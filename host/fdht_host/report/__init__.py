"""The report of a run: `report.json` and a self-contained `report.html`."""

from fdht_host.report.contents import (
    KINDS,
    PAIRS,
    PHASES,
    Phase,
    build_report,
    latency_section,
    sound_sections,
    statuses,
    throughput_section,
    validate,
)
from fdht_host.report.html import render, write_report

__all__ = [
    "KINDS",
    "PAIRS",
    "PHASES",
    "Phase",
    "build_report",
    "latency_section",
    "render",
    "sound_sections",
    "statuses",
    "throughput_section",
    "validate",
    "write_report",
]
