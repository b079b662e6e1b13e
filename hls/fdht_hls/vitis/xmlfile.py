"""Reading the tools' XML reports: numbers or a clear refusal, never a guess."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path

from fdht_models.errors import ArtifactError

Element = ElementTree.Element
#: What the tools write where they do not know a number.
_UNKNOWN = {"", "-", "?", "NA", "N/A", "undef"}
#: A report is a few megabytes at most.
_LARGEST = 256 << 20


class Report:
    """An XML report of AMD's tools, whose root is `profile`.

    Args:
        path: the file.
        wanted: tag that only this kind of report has below its root.
        kind: of the report, for messages.
        step: what writes it, for messages.

    Raises:
        ArtifactError: it cannot be read, is not XML (damaged, truncated), or is another report.
    """

    def __init__(self, path: Path, wanted: str, kind: str, step: str) -> None:
        self.path, self.step = path, step
        try:
            if path.stat().st_size > _LARGEST:
                raise self.error("is too large for a report")
            data = path.read_bytes()
        except OSError as error:
            raise self.error(f"cannot be read ({error.strerror})") from error
        # Reports have no document type; one that has could expand without end.
        if b"<!DOCTYPE" in data or b"<!ENTITY" in data:
            raise self.error(f"is not {kind}: it has a document type")
        try:
            self.root = ElementTree.fromstring(data)
        except ElementTree.ParseError as error:
            raise self.error(f"is not whole XML ({error})") from error
        if self.root.tag != "profile" or self.root.find(wanted) is None:
            raise self.error(f"is not {kind}: it has no {wanted}")

    def error(self, problem: str) -> ArtifactError:
        """An error about this file."""
        return ArtifactError(
            problem, field=str(self.path), remedy=f"delete it and run the step {self.step} again"
        )

    def required(self, element: Element, path: str) -> Element:
        """An element that must be there."""
        found = element.find(path)
        if found is None:
            raise self.error(f"has no {path}")
        return found

    def text(self, element: Element, tag: str) -> str:
        """The text of a tag that must be there."""
        value = (element.findtext(tag) or "").strip()
        if not value:
            raise self.error(f"has no {tag}")
        return value

    def number(self, element: Element, tag: str) -> float:
        """A number that must be there, not negative."""
        text = self.text(element, tag)
        try:
            value = float(text)
        except ValueError:
            value = -1.0
        if not 0 <= value < float("inf"):
            raise self.error(f"has {text!r} as {tag}")
        return value

    def count(self, element: Element, tag: str) -> int:
        """A whole number that must be there, not negative."""
        value = self.number(element, tag)
        if value != int(value):
            raise self.error(f"has {value!r} as {tag}")
        return int(value)

    def clocks(self, element: Element, *tags: str) -> int | None:
        """The most clocks that the first of the tags states; None where the tool knows none.

        A range is written "3196 ~ 3198".
        """
        for tag in tags:
            text = element.findtext(tag)
            if text is None:
                continue
            last = text.split("~")[-1].strip()
            if last in _UNKNOWN:
                return None
            if not last.isdecimal():
                raise self.error(f"has {text!r} as {tag}")
            return int(last)
        return None

    def resources(self, element: Element) -> dict[str, float]:
        """LUT, FF, DSP and block RAM, the last in units of 36 kbit.

        Raises:
            ArtifactError: one of them is not stated.
        """
        # Both count blocks of 18 kbit: Vivado's export states 730 for an xc7a200t, which has 365.
        bram = "BRAM_18K" if element.find("BRAM_18K") is not None else "BRAM"
        return {
            "lut": self.count(element, "LUT"),
            "ff": self.count(element, "FF"),
            "dsp": self.count(element, "DSP"),
            "bram36": self.count(element, bram) / 2,
        }
