"""Commands by their table (commands.toml): what the guides do not list is refused."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fdht_models.documents import tomllib

TABLE: dict[str, dict[str, Any]] = tomllib.loads(
    (Path(__file__).parent / "commands.toml").read_text()
)


class RefusalError(Exception):
    """What the stand-in will not take; it becomes an error in Tcl."""


@dataclass(frozen=True)
class Call:
    """A command with its arguments and options; a flag is "1"."""

    command: str
    arguments: tuple[str, ...]
    options: dict[str, str]

    def flag(self, name: str) -> bool:
        return name in self.options


def parse(command: str, words: list[str]) -> Call:
    """Reads a command by its row of the table."""
    if command not in TABLE:
        raise RefusalError(f"unknown command '{command}'")
    row = TABLE[command]
    arguments: list[str] = []
    options: dict[str, str] = {}
    waiting = list(words)
    while waiting:
        word = waiting.pop(0)
        if not word.startswith("-") or (command == "set_property" and arguments):
            arguments.append(word)
            continue
        kind = row["options"].get(word)
        if kind is None:
            raise RefusalError(f"{command}: unknown option '{word}' ({row['guide']})")
        if word in options:
            raise RefusalError(f"{command}: option '{word}' twice")
        if kind == "flag":
            options[word] = "1"
            continue
        if not waiting:
            raise RefusalError(f"{command}: '{word}' needs a value")
        options[word] = _checked(command, word, kind, waiting.pop(0))
    least, most = row["arguments"]
    if not least <= len(arguments) <= most:
        raise RefusalError(f"{command}: {len(arguments)} arguments, not {least} ({row['guide']})")
    for argument in arguments:
        if "takes" in row:
            need(command, row["takes"], argument)
    return Call(command, tuple(arguments), options)


def _checked(command: str, option: str, kind: str | list[str], value: str) -> str:
    if kind == "number":
        try:
            int(value, 0)
        except ValueError as error:
            raise RefusalError(f"{command}: '{option}' is no number: '{value}'") from error
    elif isinstance(kind, list) and value not in kind:
        raise RefusalError(f"{command}: '{value}' is no value of '{option}'")
    elif not value:
        raise RefusalError(f"{command}: '{option}' is empty")
    return value


def handle(kind: str, name: str) -> str:
    """An object of Vivado as a word of Tcl; scripts must not make one up."""
    return f"{kind}::{name}"


def need(command: str, kind: str, word: str) -> str:
    """The name of an object of a kind."""
    found, separator, name = word.partition("::")
    if not separator or found != kind:
        raise RefusalError(f"{command}: '{word}' is no object of kind {kind}")
    return name


def tcl_words(text: str) -> list[str]:
    """Words of a Tcl list that has braces and quotes, but no nesting."""
    found = re.findall(r"\{([^{}]*)\}|\"([^\"]*)\"|(\S+)", text)
    return [next((part for part in parts if part), "") for parts in found]
