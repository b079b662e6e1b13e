"""Did a step do its work? Asked of its log, here and again of a log that was brought back."""

from __future__ import annotations

from fdht_hls.vitis.log import check_log
from fdht_hls.vitis.project import STEPS as CORE_STEPS
from fdht_overlays.plan.plan import Step
from fdht_overlays.vivado.log import decisive_line, failure


def check_step(step: Step, text: str, exit_code: int, log: str) -> None:
    """Refuses a step that did not do its work.

    Args:
        step: the step.
        text: its log.
        exit_code: of its program.
        log: where the log lies, for messages.

    Raises:
        EqualityError: the test bench of the core found results that differ.
        ToolError: it failed otherwise; the log's decisive sentence is quoted.
    """
    tool = "Vivado"
    if step.name in CORE_STEPS:
        tool = "Vitis HLS"
        if exit_code == 0:
            check_log(step.name, text, exit_code, tool, log)
    if exit_code or decisive_line(text) is not None:
        raise failure(step.name, text, exit_code, log, tool)
    for wanted in step.success:
        if wanted not in text:
            said = f"ERROR: [FDHT] ended without saying {wanted!r}"
            raise failure(step.name, said, exit_code, log, tool)
