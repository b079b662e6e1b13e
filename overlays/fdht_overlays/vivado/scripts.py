"""Vivado: the Tcl of a build, rendered from `fdht_overlays/tcl`, and what its logs say."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fdht_hls.flow.failure import GENERAL, Cause
from fdht_hls.registers import REGISTERS, VLNV, WINDOW, present
from fdht_hls.vitis.log import NO_LICENCE
from fdht_hls.vitis.step_results import IP
from fdht_models.rendering import templates
from fdht_overlays.design import CLOCK, CONTROL, INTERRUPT, RESET
from fdht_overlays.hwh import words_of
from fdht_overlays.vivado.design import CONTROL_CELL, CORE_CELL, RESET_CELL, BlockDesign

#: Steps that Vivado does, each a call of its own; `package` only for the core in RTL.
VIVADO_STEPS = ("package", "design", "synthesis", "implementation", "bitstream")
#: Vivado releases that the commands are taken from: 2022.2 and later.
LEAST_VERSION = "2022.2"
#: Where the packaged core lies below the plan's directory.
REPOSITORIES: Mapping[str, str] = {"hls": IP, "rtl": "core/ip"}
_TEMPLATES = Path(__file__).parent.parent / "tcl"
#: Most processes that Vivado starts at once in a run.
_JOBS = 4
#: The tool as steps name it.
VIVADO = "Vivado"
_VERSION = re.compile(r"^FDHT: vivado (\S+)$|\bVivado v(\d{4}\.\d+(?:\.\d+)?)", re.MULTILINE)

#: What a sentence tells of the cause, first match first.
CAUSES: Sequence[Cause] = (
    NO_LICENCE,
    Cause(
        r"timing not met",
        "does not meet its timing",
        "use a slower --clock or a schedule with less in parallel; see timing_summary.rpt, "
        "or --allow-timing-failure",
    ),
    Cause(
        r"Place 30-640|Place 30-487|DRC UTLZ-1|DRC UTLZ|more \S+ cells than are available"
        r"|over-?utili[sz]ed",
        "needs more than the device has",
        "use a schedule that takes less (fdht tune), or a larger board",
    ),
    Cause(
        r"is too old",
        "is too old",
        "install Vivado 2022.2 or later and source its settings64.sh",
    ),
    Cause(
        r"has no board file",
        "lacks a board file",
        'install it, or set preset = "properties" in a board file of your own',
    ),
    *GENERAL,
)


def vivado_scripts(
    design: BlockDesign, name: str, *, allow_timing_failure: bool = False
) -> dict[str, str]:
    """The scripts of Vivado's steps by file name.

    Args:
        design: the block design.
        name: of the experiment.
        allow_timing_failure: go on to the bitstream where the clock is missed.
    """
    vendor, library, ip_name, version = VLNV.split(":")
    values = {
        "design": design,
        "core": {
            "vlnv": VLNV,
            "control": CONTROL,
            "clock": CLOCK,
            "reset": RESET,
            "interrupt": INTERRUPT,
        },
        "name": name,
        "allow_timing_failure": allow_timing_failure,
        "control_range": WINDOW,
        "least_version": LEAST_VERSION,
        "jobs": _JOBS,
        "vendor": vendor,
        "library": library,
        "ip_name": ip_name,
        "ip_version": version,
        "registers": [
            word
            for register in present(
                REGISTERS,
                loadable=design.loadable,
                frames=design.frames,
                contexts=design.contexts,
            )
            for word in words_of(register)
        ],
        "repository": REPOSITORIES[design.core],
        "preset": int(design.board.processing_system.preset == "board_part"),
        "cells": {"core": CORE_CELL, "reset": RESET_CELL, "control": CONTROL_CELL},
    }
    return {f"{step}.tcl": render(step, values) for step in ("common", *steps_of(design))}


def steps_of(design: BlockDesign) -> tuple[str, ...]:
    """Vivado's steps for a design."""
    return VIVADO_STEPS if design.core == "rtl" else VIVADO_STEPS[1:]


def render(name: str, values: Mapping[str, Any]) -> str:
    """A template of `fdht_overlays/tcl`, filled in."""
    return templates(_TEMPLATES).get_template(f"{name}.tcl.j2").render(values)


def version_of(text: str) -> str | None:
    """The version of Vivado that a log names."""
    found = _VERSION.search(text)
    return None if found is None else found[1] or found[2]
