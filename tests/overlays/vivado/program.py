"""The stand-in as a program that is called as Vivado is; its effects are in a JSON file.

python -m tests.overlays.vivado.program -mode batch -nojournal -nolog -notrace -source SCRIPT
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from tests.overlays.vivado.model import Effects, Vivado
from tests.overlays.vivado.session import Session


class _Lines(list[str]):
    """Output that is seen as it comes."""

    def append(self, line: str) -> None:
        print(line, flush=True)

    def __iadd__(self, lines):  # type: ignore[no-untyped-def]
        for line in lines:
            self.append(line)
        return self


def main(words: list[str]) -> int:
    expected = ["-mode", "batch", "-nojournal", "-nolog", "-notrace", "-source"]
    if words[:-1] != expected:
        print(f"ERROR: stand-in: called with {words}")
        return 1
    effects = Effects(**json.loads(Path(os.environ["STANDIN_VIVADO"]).read_text()))
    print(f"****** Vivado v{effects.version} (64-bit)", flush=True)
    lines = _Lines()
    session = Session(Vivado(effects, lines.append).call)
    session.output = lines
    return session.source(Path(words[-1]).absolute())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
