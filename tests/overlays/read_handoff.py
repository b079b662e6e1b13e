"""Prints as JSON what the pynq of this interpreter reads in hand-off files: name -> its views.

Run as a program, so that other versions of pynq than the one of the tests can be asked too.
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path


def main(paths: list[str]) -> None:
    warnings.simplefilter("ignore")
    import pynq
    from pynq.pl_server.embedded_device import bit2bin, parse_bit_header
    from pynqmetadata.frontends import Metadata

    try:
        from pynqmetadata.views.runtime import RuntimeMetadataParser
    except ImportError:
        from pynq.metadata.runtime_metadata_parser import RuntimeMetadataParser

    found = {"version": pynq.__version__}
    for path in paths:
        if path.endswith(".bit"):
            contents = Path(path).read_bytes()
            header = parse_bit_header(contents)
            del header["data"]
            found[path] = {**header, "binary": bit2bin(contents).hex()}
            continue
        parser = RuntimeMetadataParser(Metadata(input=path))
        found[path] = {
            "ps": parser.ps_name,
            "family": parser.family_ps,
            "ip": {
                name: {**ip, "interrupts": sorted(ip["interrupts"]), "driver": None, "device": None}
                for name, ip in parser.ip_dict.items()
            },
            "clocks": dict(parser.clock_dict),
            "interrupt_controllers": dict(parser.interrupt_controllers),
            "interrupt_pins": dict(parser.interrupt_pins),
            "memories": sorted(parser.mem_dict),
            "gpio": dict(parser.gpio_dict),
            "hierarchies": sorted(parser.hierarchy_dict),
            "wires": sorted(wires(parser.md)),
        }
    print(json.dumps(found))


def wires(design: object) -> set[str]:
    """Every connection between two ports, as "core.port -> core.port"."""
    return {
        f"{block.name}.{port.name} -> {other.parent().parent().name}.{other.name}"
        for block in design.blocks.values()
        for port in block.ports.values()
        for signal in port.signals.values()
        for other in signal._connections.values()
    }


if __name__ == "__main__":
    main(sys.argv[1:])
