"""What Vitis HLS would refuse or ignore, found without Vitis HLS.

`lint_project` looks at everything that the top function of a core reaches, through clang's syntax
tree. See `docs/synthesizability.md`.
"""

from __future__ import annotations

from pathlib import Path

from fdht_hls.lint import code, dataflow, directives, loops, ports
from fdht_hls.lint.program import RULES, SOURCE, Finding, Program
from fdht_models.errors import ArtifactError, ConversionError

__all__ = ["RULES", "Finding", "check_synthesizable", "lint_project", "parse_project"]

_CHECKS = (directives.check, code.check, loops.check, ports.check, dataflow.check)


def lint_project(project: Path) -> list[Finding]:
    """All findings in the core of an HLS project.

    Args:
        project: the directory that `fdht convert` or hls4ml's FDHT backend wrote.

    Returns:
        Findings by file and line; the same finding of several instantiations once.

    Raises:
        ArtifactError: there is no core in the directory.
        ConversionError: the core's source lacks its top function.
        ToolError: libclang or g++ is missing.
    """
    return findings_in(parse_project(project))


def parse_project(project: Path) -> Program:
    """What clang makes of the core of an HLS project; clang takes seconds, this interpreter none.

    Raises:
        ArtifactError, ToolError: as `lint_project`.
    """
    if not (project / SOURCE).is_file():
        raise ArtifactError(
            f"has no {SOURCE}", field=str(project), remedy="name the directory of an HLS project"
        )
    return Program(project)


def findings_in(program: Program) -> list[Finding]:
    """All findings in a parsed core; see `lint_project`.

    Raises:
        ConversionError: as `lint_project`.
    """
    found = {program.finding(flaw) for check in _CHECKS for flaw in check(program)}
    return sorted(found, key=lambda finding: (finding.file, finding.line, finding))


def check_synthesizable(program: Program) -> None:
    """Refuses a core that a synthesis tool would refuse, ignore in part, or build differently.

    Raises:
        ConversionError: the first finding.
    """
    findings = findings_in(program)
    if findings:
        first = findings[0]
        others = f" (and {len(findings) - 1} more)" if len(findings) > 1 else ""
        raise ConversionError(
            f"{first.rule}: {first.message}{others}",
            field=f"{first.file}:{first.line}",
            remedy=first.remedy,
        )
