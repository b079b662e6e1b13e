"""The grammar of `#pragma HLS`, and how pragmas come into the syntax tree.

Clang drops pragmas that it does not know. So, for the lint alone, each is replaced in its line by
declarations that hold its numbers and its variables:

    #pragma HLS ARRAY_PARTITION variable=sums cyclic factor=CONFIG_T::lanes dim=2
    const long long fdht_pragma_3_variable = (long long)sizeof(sums); ...
    const long long fdht_pragma_3_factor = (long long)(CONFIG_T::lanes); ...

Clang then says of every instantiation where the pragma stands, which variable it means, and what
its numbers are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from fdht_models.documents import read_toml_file
from fdht_models.records import read_record

#: What a pragma stands in: the braces of a function, of a loop, or any others.
FUNCTION: Final = "function"
LOOP: Final = "loop"
BLOCK: Final = "block"
PREFIX = "fdht_pragma_"


@dataclass(frozen=True)
class Grammar:
    """What a pragma may be written with; an entry of `pragmas.toml`.

    Args:
        places: what it may stand in.
        numbers: options that are constants, each with its least value.
        names: options that are words.
        variables: options that name variables.
        flags: words without a value; those of one group exclude each other.
        required: options that must be there; "a|b" is one of them.
        successor: what replaces a pragma that the tool ignores with a warning.
    """

    places: tuple[Literal["function", "loop", "block"], ...] = (FUNCTION, LOOP, BLOCK)
    numbers: Mapping[str, int] = field(default_factory=dict)
    names: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()
    flags: tuple[tuple[str, ...], ...] = ()
    required: tuple[str, ...] = ()
    successor: str | None = None

    def is_flag(self, word: str) -> bool:
        """Is it a word without a value?"""
        return any(word in group for group in self.flags)

    def options(self) -> set[str]:
        """All options that take a value."""
        return {*self.numbers, *self.names, *self.variables}


#: By name in capitals.
PRAGMAS: Mapping[str, Grammar] = read_record(
    dict[str, Grammar],
    read_toml_file(Path(__file__).with_name("pragmas.toml")),
    source="pragmas.toml",
)
INTERFACE_MODES = PRAGMAS["INTERFACE"].flags[0]


@dataclass(frozen=True)
class Pragma:
    """A pragma as it is written.

    Args:
        number: by which the declarations in its place are called.
        file: source file.
        line: first line, from 1.
        name: in capitals.
        options: option -> text.
        flags: words without a value.
        faults: what is wrong with the words themselves.
    """

    number: int
    file: Path
    line: int
    name: str
    options: Mapping[str, str]
    flags: tuple[str, ...]
    faults: tuple[str, ...]

    @property
    def grammar(self) -> Grammar | None:
        """None for a pragma that does not exist."""
        return PRAGMAS.get(self.name)

    def names(self, option: str) -> list[str]:
        """A list of variables, separated by commas."""
        return [name.strip() for name in self.options.get(option, "").split(",") if name.strip()]

    def has(self, word: str) -> bool:
        """Is a flag there, also as the value of `type` or `mode`?"""
        return word in self.flags or word in {self.options.get(key) for key in ("type", "mode")}


#: Names of hls4ml's headers, where a pragma without effect is not ours to mend.
_FOREIGN = "nnet_"
_LINE = re.compile(r"^(\s*)#\s*pragma\s+(?:HLS|hls)\b\s*(.*)$")
_OPTION = re.compile(r"(?<![\w:.])([A-Za-z_]\w*)\s*=(?!=)")


def lift(file: Path, text: str, first: int) -> tuple[str, list[Pragma]]:
    """Replaces the pragmas of a source file by declarations, line for line.

    Args:
        file: where the text comes from.
        text: the source.
        first: number of the first pragma.
    """
    lines = text.split("\n")
    found: list[Pragma] = []
    for position, line in enumerate(lines):
        match = _LINE.match(line)
        if match is None:
            continue
        end, body = position, match[2]
        while body.endswith("\\") and end + 1 < len(lines):
            end += 1
            body = body[:-1] + lines[end]
            lines[end] = ""
        pragma = _read(first + len(found), file, position + 1, _without_comment(body))
        found.append(pragma)
        lines[position] = match[1] + " ".join(_declarations(pragma))
    return "\n".join(lines), found


def _without_comment(text: str) -> str:
    return re.sub(r"//.*|/\*.*?\*/", " ", text).strip()


def _read(number: int, file: Path, line: int, text: str) -> Pragma:
    name, _, rest = text.partition(" ")
    grammar = PRAGMAS.get(name.upper())
    if grammar is None:
        fault = f"there is no #pragma HLS {name}"
        return Pragma(number, file, line, name.upper(), {}, (), (fault,))
    options, flags, faults = _parts(grammar, rest)
    if grammar.successor and not file.name.startswith(_FOREIGN):
        faults.append(f"is ignored; its successor is {grammar.successor}")
    faults += [f"option {word} is unknown" for word in options if word not in grammar.options()]
    faults += [f"{word} is unknown" for word in flags if not grammar.is_flag(word)]
    for group in grammar.flags:
        both = [word for word in flags if word in group]
        if len(both) > 1:
            faults.append(f"{both[1]} contradicts {both[0]}")
    for needed in grammar.required:
        if not any(option in options for option in needed.split("|")):
            faults.append(f"option {needed.replace('|', ' or ')} is missing")
    return Pragma(number, file, line, name.upper(), options, tuple(flags), tuple(faults))


def _parts(grammar: Grammar, text: str) -> tuple[dict[str, str], list[str], list[str]]:
    """Options, flags and faults; a flag may follow the value of an option."""
    matches = list(_OPTION.finditer(text))
    flags = text[: matches[0].start() if matches else len(text)].split()
    options: dict[str, str] = {}
    faults = []
    spelled = {option.lower(): option for option in grammar.options()}
    for position, match in enumerate(matches):
        end = matches[position + 1].start() if position + 1 < len(matches) else len(text)
        option = spelled.get(match[1].lower(), match[1])
        words = re.sub(r"\s*,\s*", ",", text[match.end() : end]).split()
        kept = len(words) if option in grammar.numbers else 1
        while kept == len(words) > 1 and grammar.is_flag(words[-1]):
            kept -= 1
            flags.append(words.pop())
        flags += words[kept:]
        value = " ".join(words[:kept])
        if option in options:
            faults.append(f"option {option} is given twice")
        if not value:
            faults.append(f"option {option} has no value")
        else:
            options[option] = value
    return options, flags, faults


def _declarations(pragma: Pragma) -> Iterator[str]:
    """C++ that keeps a pragma's place, and its numbers and variables."""
    name = f"{PREFIX}{pragma.number}"
    yield f"const long long {name}_place = 1;"
    grammar = pragma.grammar
    if grammar is None:
        return
    for option, value in pragma.options.items():
        if option in grammar.variables:
            for position, variable in enumerate(pragma.names(option)):
                if variable != "return":
                    declared = f"{name}_{option}_{position}"
                    yield f"const long long {declared} = (long long)sizeof({variable});"
        elif option in grammar.numbers:
            yield f"const long long {name}_{option} = (long long)({value});"


def declared_by(spelling: str) -> tuple[int, str, int] | None:
    """What a declaration stands for: the pragma's number, the option, the variable's position."""
    match = re.fullmatch(PREFIX + r"(\d+)_(\w+?)(?:_(\d+))?", spelling)
    return (int(match[1]), match[2], int(match[3] or 0)) if match else None
