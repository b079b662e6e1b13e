"""The core as steps of a plan: C simulation, synthesis, co-simulation, IP, with Vitis HLS.

The tool writes absolute paths into its project, so that a project may not be moved while it is in
use: the steps share one directory, `core/`, and what others need of it is copied from there.

`vitis-run` came with 2023.2; `vitis_hls` is deprecated since 2024 and gone from 2025.1 (UG1702,
"vitis-run Command"; UG1399, "vitis_hls Command"). Only `vitis_hls` passes arguments on to a script,
so that ours reads a settings file in place of arguments.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from fdht_hls.flow.build_plan import STEPS as SCRIPTS
from fdht_hls.flow.build_plan import BuildPlan, Phase, Step, plan_name
from fdht_hls.flow.needs import Need
from fdht_hls.vitis.log import VERDICTS, end_marker
from fdht_hls.vitis.step_results import CORE, REPORTS, VERILOG, VITIS_HLS, judge_core
from fdht_models.errors import ArtifactError, ConfigError, near_matches
from fdht_models.files import read_file
from fdht_models.records import load_record
from fdht_models.rendering import templates

#: What can be done, in the order in which it is done; the default leaves out `impl`.
STEPS = ("csim", "csynth", "cosim", "export", "impl")
DEFAULT_STEPS = STEPS[:-1]
#: Steps that read what `csynth` left in the tool's project.
NEED_CSYNTH = ("cosim", "export", "impl")
#: Programs by preference, and their arguments before the script's name.
SPELLINGS: Mapping[str, Sequence[str]] = {
    "vitis-run": ("--mode", "hls", "--tcl"),
    "vitis_hls": ("-f",),
}
#: Seconds that a step may take: co-simulation of a large frame takes hours.
TIMEOUTS = {"csim": 1800.0, "csynth": 14400.0, "cosim": 43200.0, "export": 3600.0, "impl": 14400.0}

#: As in build_core.tcl.
SCRIPT, SETTINGS = "build_core.tcl", "settings.tcl"
#: What the conversion was asked to synthesise for; see target.json.j2.
TARGET = "target.json"
#: Sources of the project, of which Vitis HLS needs all; its own headers replace `ap_types`.
_SOURCES = (SCRIPT, "fdht_testbench.cpp", "firmware", "tb_data")
_NOT_NEEDED = "ap_types"
_TEMPLATES = Path(__file__).parent.parent / "templates"
_NEED = Need(
    "vitis_hls",
    " or ".join(SPELLINGS),
    tuple(SPELLINGS),
    "install AMD Vitis 2022.2 or later and source its settings64.sh",
)
#: Words of the tool's logs (as public logs of 2020 to 2024 have them) and what they mean.
_PHASES: Mapping[str, tuple[Phase, ...]] = {
    "csynth": (
        Phase("Analyzing design file", "compiling"),
        Phase("Starting hardware synthesis", "synthesising"),
        Phase("Generating all RTL models", "writing Verilog"),
    ),
    "cosim": (
        Phase("Starting C TB testing", "running the C++"),
        Phase("Starting XSIM", "simulating the Verilog"),
        Phase("Starting C post checking", "comparing"),
    ),
}


@dataclass(frozen=True)
class Target:
    """What to synthesise for.

    Args:
        part: device with package and speed grade, as Vivado names it.
        clock_period: in nanoseconds.
    """

    part: str
    clock_period: float

    def __post_init__(self) -> None:
        # The part becomes a word of a Tcl script and a directory's name.
        if not self.part.replace("-", "").replace("_", "").isalnum() or not self.part.isascii():
            raise ConfigError(
                "is not the name of a device",
                field="part",
                value=self.part,
                remedy="use a name such as xc7z020clg400-1",
            )
        if not 0.5 <= self.clock_period <= 1000:
            raise ConfigError(
                "must be between 0.5 and 1000 ns",
                field="clock_period",
                value=self.clock_period,
            )


def parse_steps(text: str) -> tuple[str, ...]:
    """Reads "csim,csynth" into steps, each once and in the order in which they are done.

    Raises:
        ConfigError: a name is unknown, or there is none.
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in STEPS:
            raise ConfigError(
                "is not a step", field="steps", value=name, remedy=near_matches(name, STEPS)
            )
    if not names:
        raise ConfigError("names no step", field="steps", remedy=f"use {','.join(STEPS)}")
    return tuple(step for step in STEPS if step in names)


def default_target(project: Path) -> Target:
    """The target that the project was converted for.

    Raises:
        ArtifactError: the project does not say it.
    """
    return load_record(Target, project / TARGET, remedy="run fdht convert again, or name a board")


def source_files(project: Path) -> Iterator[Path]:
    """Files of the project that the tool reads, sorted.

    Raises:
        ArtifactError: one of them is missing.
    """
    for name in _SOURCES:
        path = project / name
        if not path.exists():
            raise ArtifactError("is missing", field=str(path), remedy="run fdht convert again")
        found = sorted(path.rglob("*")) if path.is_dir() else [path]
        yield from (
            file
            for file in found
            if file.is_file() and _NOT_NEEDED not in file.relative_to(project).parts
        )


def core_files(project: Path, target: Target, steps: Sequence[str]) -> dict[str, bytes]:
    """Sources of the core below `core/`, and the scripts of its steps.

    Args:
        project: what `fdht convert` wrote.
        target: what to synthesise for.
        steps: of `STEPS`.

    Raises:
        ArtifactError: a source is missing or cannot be read.
    """
    found = templates(_TEMPLATES)
    settings = found.get_template("core_settings.tcl.j2").render(target=target)
    texts = {f"{CORE}/{SETTINGS}": settings}
    for step in steps:
        texts[f"{CORE}/{step}.tcl"] = found.get_template("core_step.tcl.j2").render(step=step)
        texts[f"{SCRIPTS}/{step}.sh"] = _command(step)
    sources = {f"{CORE}/{path.relative_to(project)}": path for path in source_files(project)}
    return {
        **{
            name: read_file(path, error=ArtifactError, remedy="run fdht convert again")
            for name, path in sources.items()
        },
        **{name: text.encode() for name, text in texts.items()},
    }


def core_steps(files: Mapping[str, bytes], steps: Sequence[str]) -> tuple[Step, ...]:
    """Steps of the core.

    Args:
        files: with those of `core_files`.
        steps: of `STEPS`, in their order; with `csynth` if one of them needs it.
    """
    return tuple(_step(name, files) for name in steps)


def core_plan(experiment: str, project: Path, target: Target, steps: Sequence[str]) -> BuildPlan:
    """The plan of nothing but the core of an experiment; steps that others need are added.

    Arguments and errors as of `core_files`.
    """
    needed = {*steps, *(("csynth",) if set(steps) & set(NEED_CSYNTH) else ())}
    names = [step for step in STEPS if step in needed]
    files = core_files(project, target, names)
    facts = {"experiment": experiment, "part": target.part, "clock_period": target.clock_period}
    name = plan_name(experiment, target.part, "core")
    judge = partial(judge_core, part=target.part)
    return BuildPlan(name, facts, files, core_steps(files, names), judge)


def core_directory(synthesis: Path, part: str) -> Path:
    """Where the steps of the core are done, for `fdht synthesize` and `fdht build` alike.

    Args:
        synthesis: build/<name>/synthesis.
        part: device.
    """
    return synthesis / part / "work"


def _command(name: str) -> str:
    """The shell script of a step."""
    lines = [f"cd {CORE} || exit 1"]
    for program, arguments in SPELLINGS.items():
        command = " ".join([program, *arguments, f"{name}.tcl"])
        lines.append(f"command -v {program} >/dev/null 2>&1 && exec {command}")
    return "\n".join([*lines, "exit 127", ""])


def _step(name: str, files: Mapping[str, bytes]) -> Step:
    others = {f"{CORE}/{step}.tcl" for step in STEPS if step != name}
    inputs = tuple(sorted(path for path in files if path.startswith(f"{CORE}/")))
    report = (REPORTS[name],) if name in REPORTS else ()
    return Step(
        name,
        VITIS_HLS,
        needs=(_NEED,),
        inputs=tuple(path for path in inputs if path not in others),
        after=("csynth",) if name in NEED_CSYNTH else (),
        # Those behind it go on with its Verilog.
        outputs=(*report, VERILOG) if name == "csynth" else report,
        returns=report,
        timeout=TIMEOUTS[name],
        success=(end_marker(name), *VERDICTS.get(name, ())),
        phases=_PHASES.get(name, ()),
    )
