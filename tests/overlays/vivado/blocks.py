"""Blocks of a design by their table (blocks.toml): which pins and interfaces a cell has."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fdht_models.documents import tomllib
from tests.overlays.vivado.table import RefusalError

BLOCKS: dict[str, dict[str, Any]] = tomllib.loads(
    (Path(__file__).parent / "blocks.toml").read_text()
)


@dataclass(frozen=True)
class Pin:
    """A pin; `kind` is a role and a direction, as "clock in"."""

    name: str
    kind: str

    @property
    def drives(self) -> bool:
        return self.kind.endswith("out")

    @property
    def role(self) -> str:
        return self.kind.split()[0]


@dataclass(frozen=True)
class Interface:
    """An AXI interface; protocol "any" and width 0 adapt themselves.

    `segments`: name, offset, size of the memory behind a slave.
    """

    name: str
    mode: str
    protocol: str
    width: int
    clock: str
    segments: tuple[tuple[str, int, int], ...] = ()
    space: str | None = None


@dataclass
class Cell:
    """An instance: its block and the properties that were set."""

    name: str
    block: dict[str, Any]
    properties: dict[str, str] = field(default_factory=dict)
    _pins: dict[str, Pin] = field(default_factory=dict)
    _interfaces: dict[str, Interface] = field(default_factory=dict)

    def allowed(self, key: str) -> str | list[str] | None:
        """Default of a property, or the values that it can have; None: there is none."""
        for pattern, kind in self.block.get("properties", {}).items():
            if any(pattern.replace("{n}", str(n)) == key for n in range(6)):
                return kind
        return None

    def set(self, key: str, value: str) -> None:
        kind = self.allowed(key)
        guide = self.block.get("guide", "its packager")
        if kind is None:
            raise RefusalError(f"{self.name} has no property CONFIG.{key} ({guide})")
        if isinstance(kind, list) and value not in kind:
            raise RefusalError(f"{self.name}: '{value}' is no value of CONFIG.{key} ({guide})")
        self.properties[key] = value
        self._pins, self._interfaces = {}, {}

    def get(self, key: str) -> str:
        kind = self.allowed(key)
        assert kind is not None, key
        return self.properties.get(key, kind if isinstance(kind, str) else kind[0])

    def pins(self) -> dict[str, Pin]:
        if not self._pins:
            self._pins = {row["name"]: Pin(row["name"], row["kind"]) for row in self._rows("pins")}
        return self._pins

    def interfaces(self) -> dict[str, Interface]:
        if self._interfaces:
            return self._interfaces
        found = self._interfaces
        for row in self._rows("interfaces"):
            width = row["width"]
            segments = tuple(
                ("/".join([row.get("path", row["name"]), name]), offset, size)
                for name, offset, size, *when in row.get("segments", ())
                if not when or self.get(when[0]) == "1"
            )
            found[row["name"]] = Interface(
                row["name"],
                row["mode"],
                row["protocol"],
                int(self.get(width)) if isinstance(width, str) else width,
                row["clock"],
                segments,
                row.get("space"),
            )
        return found

    def external(self) -> list[str]:
        """Interfaces that must leave the device."""
        found: list[str] = self.block.get("external", [])
        return found

    def spaces(self) -> dict[str, tuple[int, int]]:
        """Address spaces: what lies within reach, as offset and size."""
        if "space" in self.block:
            name, offset, size = self.block["space"]
            return {name: (offset, size)}
        return {
            interface.space: (0, 1 << 64)
            for interface in self.interfaces().values()
            if interface.space is not None
        }

    def _rows(self, what: str) -> Iterator[dict[str, Any]]:
        for row in self.block.get(what, ()):
            for number in row.get("each", [0]):
                filled = _fill(row, number, number + row.get("shift", 0))
                when = filled.get("when")
                few = filled.get("fewer")
                if when is not None and self.get(when[0]) != when[1]:
                    continue
                if few is not None and number >= int(self.get(few)):
                    continue
                yield filled


def _fill(value: Any, number: int, shifted: int) -> Any:
    if isinstance(value, str):
        text = value.replace("{nn}", f"{number:02d}").replace("{n}", str(number))
        return text.replace("{m}", str(shifted))
    if isinstance(value, list):
        return [_fill(item, number, shifted) for item in value]
    if isinstance(value, dict):
        return {key: _fill(item, number, shifted) for key, item in value.items()}
    return value


def core_block(kind: str, vlnv: str, masters: list[str], width: int = 64) -> dict[str, Any]:
    """A packaged core of ours, as it is seen in a design; `kind` "hls" or "rtl"."""
    prefix = "Data_" if kind == "hls" else ""
    interfaces = [
        {
            "name": "s_axi_control",
            "mode": "slave",
            "protocol": "AXI4LITE",
            "width": 32,
            "clock": "ap_clk",
            "segments": [["Reg", 0, 0x10000]],
        }
    ]
    interfaces += [
        {
            "name": name,
            "mode": "master",
            "protocol": "AXI4",
            "width": width,
            "clock": "ap_clk",
            "space": prefix + name,
        }
        for name in masters
    ]
    pins = [
        {"name": "ap_clk", "kind": "clock in"},
        {"name": "ap_rst_n", "kind": "reset in"},
        {"name": "interrupt", "kind": "interrupt out"},
    ]
    return {"vlnv": vlnv, "pins": pins, "interfaces": interfaces}
