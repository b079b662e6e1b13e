"""Did a step do its work? Asked of its log, here and again of a log that was brought back."""

from __future__ import annotations

from fdht_hls.vitis.log import check_log, licence_line
from fdht_overlays.open.log import CAUSES as OPEN_CAUSES
from fdht_overlays.plan.failure import decisive_line, failure
from fdht_overlays.plan.plan import Step
from fdht_overlays.vivado.log import CAUSES as VIVADO_CAUSES
from fdht_overlays.vivado.log import VITIS_HLS, VIVADO


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
    causes = VIVADO_CAUSES if step.tool in (VIVADO, VITIS_HLS) else OPEN_CAUSES
    if step.tool == VITIS_HLS and (exit_code == 0 or licence_line(text)):
        check_log(step.name, text, exit_code, step.tool, log)
    if exit_code or decisive_line(text) is not None:
        raise failure(step.name, text, exit_code, log, step.tool, causes)
    for wanted in step.success:
        if wanted not in text:
            lines = [line.strip() for line in text.splitlines() if line.strip()]
            last = f"; its last line: {lines[-1]}" if lines else ""
            said = f"ERROR: [FDHT] ended without saying {wanted!r}{last}"
            raise failure(step.name, said, exit_code, log, step.tool, causes)
