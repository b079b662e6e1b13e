"""What steps need, and how it is found on the machine that runs them.

A plan may run elsewhere, so that it names places and no paths: programs on the PATH, and variables
of the environment. `find` looks on this machine; `needs.sh`, which is part of every plan, does the
same in the shell, for the steps themselves.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from fdht_models.errors import ConfigError

_KEY = re.compile(r"[a-z][a-z0-9_]*")
#: A program, `$VARIABLE`, or `$VARIABLE/path`: all that a shell reads as it is meant.
_PLACE = re.compile(r"\$(?P<variable>[A-Z][A-Z0-9_]*)(?P<below>(?:/[\w.+-]+)*)|[\w][\w.+-]*")
#: Remedies stand in a shell's string.
_REMEDY = re.compile(r"[^\"$`\\\n]*")


@dataclass(frozen=True)
class Need:
    """A program or a file that a step needs.

    Args:
        key: the variable of a step's script that holds it.
        name: what people call it.
        places: where it is looked for, in this order: a program's name, `$VARIABLE` or
            `$VARIABLE/path`. A variable that is set decides; what it names must be there.
        remedy: how to get it.

    Raises:
        ConfigError: a shell would misread one of them.
    """

    key: str
    name: str
    places: tuple[str, ...]
    remedy: str

    def __post_init__(self) -> None:
        for form, texts in ((_KEY, (self.key,)), (_PLACE, self.places), (_REMEDY, (self.remedy,))):
            for text in texts:
                if not form.fullmatch(text):
                    raise ConfigError("cannot be in a plan", field=f"need {self.name}", value=text)


@dataclass(frozen=True)
class Found:
    """What was found of a need.

    Args:
        path: of it, absolute; None: it is not there.
        variable: of the environment that decided, or None.
        tried: what that variable names, for messages.
    """

    path: str | None
    variable: str | None = None
    tried: str | None = None


def find(need: Need, environment: Mapping[str, str]) -> Found:
    """Looks for a need on this machine.

    Args:
        need: what to look for.
        environment: such as `step_environment(os.environ)`.
    """
    for place in need.places:
        form = _PLACE.fullmatch(place)
        variable = form["variable"] if form else None
        if form is None or variable is None:
            path = shutil.which(place, path=environment.get("PATH", ""))
            if path is not None:
                return Found(path)
        elif environment.get(variable):
            named = environment[variable] + form["below"]
            path = _existing(named, environment)
            return Found(path, variable, named)
    return Found(None)


def _existing(named: str, environment: Mapping[str, str]) -> str | None:
    if Path(named).is_file():
        # Not resolved: of a link, the name may be what matters.
        return str(Path.cwd() / named)
    return shutil.which(named, path=environment.get("PATH", ""))


def step_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of steps on this machine: programs of this Python's packages are found, too.

    Those stand beside its interpreter, which need not be on the PATH.
    """
    beside = str(Path(sys.executable).parent)
    path = environment.get("PATH", "")
    return {**environment, "PATH": f"{path}{os.pathsep}{beside}" if path else beside}


def resolved(needs: Iterable[Need], environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that decide, with absolute paths: steps run in another directory than we."""
    values: dict[str, str] = {}
    for need in needs:
        found = find(need, environment)
        if found.path is None or found.variable is None or found.tried is None:
            continue
        below = found.tried.removeprefix(environment[found.variable])
        values[found.variable] = found.path.removesuffix(below) if below else found.path
    return values


def shell_places(need: Need) -> list[tuple[str | None, str]]:
    """For the template: (variable or None, a word of the shell)."""
    forms = ((_PLACE.fullmatch(place), place) for place in need.places)
    return [(form["variable"] if form else None, f'"{place}"') for form, place in forms]
