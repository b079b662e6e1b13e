"""Hundreds of small networks through the C simulation: many in one run of g++.

A network goes through hls4ml's graph and our backend as a converted Keras model does, but without
Keras: a graph needs the recurrent layer's integers and the head's, and no more. The cores of many
networks are then compiled together, each in a namespace of its own, so that the headers are read
once and equal templates are instantiated once.
"""

from __future__ import annotations

import contextlib
import ctypes
import io
import re
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hls4ml
import numpy as np
from hls4ml.model.graph import ModelGraph

from fdht_hls.conversion_model import HEAD, LSTM
from fdht_hls.csimulation import Build, compiler, unpack_results
from fdht_hls.engine import lower
from fdht_hls.equality import compare, corner_frames, reference_logits
from fdht_hls.observation import uneven_pieces
from fdht_hls.packing import packed_call, words_of
from fdht_hls.proof import Comparison
from fdht_hls.registers import IDENTITY_REGISTERS
from fdht_hls.schedule import Schedule
from fdht_models.tensor.quantized import QuantizedNetwork, frame_modes
from tests.hls.patterns import sparse_patterns
from tests.models.strategies import random_frames

#: Frames in a stream of which there are two: corner cases and noise.
FRAMES = 12
#: Of a core.
_SOURCES = ("firmware/fdht_lstm.cpp", "fdht_csim.cpp")


@dataclass(frozen=True)
class Case:
    """A network, how much of it works in a clock, and for messages how to make it again."""

    network: QuantizedNetwork
    schedule: Schedule | None = None
    note: str = ""

    @property
    def sparse(self) -> bool:
        """Does its core read sparse frames?"""
        return self.schedule is not None and self.schedule.sparse

    def __repr__(self) -> str:
        return f"Case({self.network.design_id:016x})"  # Hypothesis shows it; all of it is too much


def write_project(case: Case, directory: Path, precision: Mapping[str, str] | None = None) -> None:
    """The files that a conversion writes; `precision` changes types of the head."""
    network = case.network
    recurrence, head = network.recurrence, network.head
    config = hls4ml.utils.config.create_config(
        str(directory),
        "fdht_network",
        "FDHT",
        io_type="io_stream",
        plan=lower(network, case.schedule),
    )
    settings: dict[str, Any] = {"Strategy": "Resource", "ReuseFactor": recurrence.units}
    exact = network.logit_format.hls_type
    formats = {"weight": head.weights.format.hls_type, "bias": head.bias.format.hls_type}
    settings["Precision"] = {"result": exact, "accum": exact, **formats, **(precision or {})}
    config["HLSConfig"] = {
        "Model": {"Precision": "fixed<16,6>", "ReuseFactor": 1},
        "LayerName": {HEAD: settings},
    }
    layers: list[dict[str, Any]] = [
        {
            "class_name": "InputLayer",
            "name": "fibres",
            "input_shape": [1, *frame_modes(recurrence)],
        },
        {
            "class_name": "FdhtLstm",
            "name": LSTM,
            "inputs": ["fibres"],
            "lstm": recurrence,
            "steps": 1,
            "return_sequences": False,
            "stateful": True,
        },
        {
            "class_name": "Dense",
            "name": HEAD,
            "inputs": [LSTM],
            "n_in": recurrence.units,
            "n_out": len(network.classes),
            "weight_data": head.weights.codes * head.weights.format.scale,
            "bias_data": head.bias.codes * head.bias.format.scale,
            "weight_quantizer": None,
            "bias_quantizer": None,
        },
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        ModelGraph.from_layer_list(config, layers).write()


class ManyCores:
    """The cores of many networks in one library.

    Args:
        cases: the networks.
        directory: to work in.
        build: which integers to use.
    """

    def __init__(self, cases: Sequence[Case], directory: Path, build: Build) -> None:
        self.cases = cases
        for number, case in enumerate(cases):
            if not (directory / f"p{number}").exists():
                write_project(case, directory / f"p{number}")
        source = directory / f"{build}.cpp"
        source.write_text(_source(directory, len(cases)))
        includes = directory / "p0" / "firmware"
        define = ["-DFDHT_NATIVE_INTEGERS"] if build == "native" else []
        done = subprocess.run(
            [
                *(compiler(), "-std=c++14", "-O0", "-w", "-fPIC", "-shared", "-fno-gnu-unique"),
                *(*define, f"-I{includes}/ap_types", f"-I{includes}"),
                *(source.name, "-o", f"{build}.so"),
            ],
            cwd=directory,
            capture_output=True,
            text=True,
            timeout=1800,
            check=False,
        )
        assert done.returncode == 0, "\n".join(done.stderr.splitlines()[:5])
        self._library = ctypes.CDLL(str(directory / f"{build}.so"))

    def compare(self) -> list[Comparison]:
        """Every core against the reference: corner cases and noise, in uneven pieces.

        Of those that read sparse frames: corner cases and patterns of sparsity.
        """
        return [self.compare_one(number, case.network) for number, case in enumerate(self.cases)]

    def compare_one(self, number: int, network: QuantizedNetwork) -> Comparison:
        """Core `number` against the reference of a network."""
        corners = corner_frames(network, FRAMES)
        make = sparse_patterns if self.cases[number].sparse else random_frames
        noise = make(network, FRAMES, number).astype(corners.dtype)
        streams = np.stack([corners, noise])
        found = np.stack(
            [self._run(number, network, stream, seed) for seed, stream in enumerate(streams)]
        )
        return compare(reference_logits(network, streams), found)

    def _run(
        self, number: int, network: QuantizedNetwork, stream: np.ndarray, seed: int
    ) -> np.ndarray:
        sparse = self.cases[number].sparse
        name = "fdht_csim_run_sparse" if sparse else "fdht_csim_run"
        function = getattr(self._library, f"{name}_{number}")
        identity = (ctypes.c_uint32 * len(IDENTITY_REGISTERS))()
        parts = []
        for piece in uneven_pieces(len(stream), seed):
            frames, ends = packed_call(network, stream[piece], sparse=sparse)
            results = np.zeros((piece.stop - piece.start) * network.result_bytes, np.uint8)
            function(
                ctypes.c_void_p(frames.ctypes.data),
                ctypes.c_void_p(results.ctypes.data),
                piece.stop - piece.start,
                int(piece.start == 0),
                *([words_of(ends)] if sparse else []),
                identity,
            )
            parts.append(unpack_results(network, results))
        assert identity[1] == network.design_id & 0xFFFFFFFF, "it is the core of this network"
        return np.concatenate(parts)


def _source(directory: Path, count: int) -> str:
    """One translation unit of all cores."""
    projects = [f"p{number}" for number in range(count)]
    own = [
        *("fdht_csim_run", "fdht_csim_run_clips", "fdht_lstm"),
        *("fdht_csim_run_sparse", "fdht_csim_run_sparse_clips"),
        *("fdht_csim_observe", "fdht_csim_observed"),
    ]
    lines = [f"#include {name}" for name in _shared(directory / name for name in projects)]
    for number, project in enumerate(projects):
        lines += [f"#define {name} {name}_{number}" for name in own]
        lines += [f"namespace {project} {{"]
        lines += [f'#include "{project}/{name}"' for name in _SOURCES]
        lines += ["}", *(f"#undef {name}" for name in (*own, *_guards(directory / project)))]
    return "\n".join(lines) + "\n"


def _shared(projects: Iterable[Path]) -> list[str]:
    """What the cores include and is not their own: to be read once, outside of all namespaces."""
    found = ["<cstdint>", "<vector>"]
    for project in projects:
        for name in ("parameters.h", "fdht_lstm.h", "fdht_lstm.cpp", "fdht_network.h", "defines.h"):
            text = (project / "firmware" / name).read_text()
            found += re.findall(r'#include ("(?:nnet_utils/|ap_|hls_).*"|<.*>)', text)
    return list(dict.fromkeys(found))


def _guards(project: Path) -> list[str]:
    """Include guards of the headers that each project has of its own."""
    headers = [*(project / "firmware").glob("*.h"), *(project / "firmware" / "weights").glob("*.h")]
    found = []
    for header in headers:
        match = re.search(r"#ifndef (\w+)", header.read_text())
        assert match is not None, header
        found.append(match[1])
    return found
