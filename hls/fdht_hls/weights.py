"""Weights that are loaded at run time: which table lies where in one buffer of 64-bit words.

Word 0 says whose weights these are: the 64-bit digest of their network. Behind it the tables lie in
the order in which the core reads them. A row is what the core reads in one clock; it starts at a
word, and its codes fill words from the lowest bits on: as many whole codes as a word holds.

Needs NumPy and nothing else: the host packs weights on the board.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fdht_hls.engine.engine_plan import BIAS, HEAD_BIAS, HEAD_WEIGHTS, EnginePlan
from fdht_hls.engine.lower import lower
from fdht_hls.schedule import Schedule
from fdht_hls.shapes import loop_order
from fdht_hls.weight_tables import WeightLayout, WeightTable
from fdht_models.artifacts import digest_of, read_json, write_json
from fdht_models.errors import ArtifactError, ConfigError, ShapeError, shortened
from fdht_models.records import JsonRecord, differences, first_difference, read_record
from fdht_models.tensor.arrays import QuantizedArray
from fdht_models.tensor.fixedpoint import Codes, FixedPoint
from fdht_models.tensor.quantized import Head, QuantizedNetwork

Words = npt.NDArray[np.uint64]
#: Characters of a value that an error shows.
_SHOWN = 60
#: Wide enough for a number of each code of a network.
_NUMBERS = FixedPoint(48, 0)
_REMEDY = "only weights may differ: convert and build it as a design of its own"


def pack_weights(plan: EnginePlan) -> Words:
    """Its weights as a core of this plan reads them: uint64[layout.words].

    Raises:
        ConfigError: the core has no loadable weights.
    """
    if plan.layout is None:
        raise ConfigError(
            "has no loadable stage",
            field="schedule",
            remedy='give stages "weights": "loadable", as fdht tune --loadable does',
        )
    words = np.zeros(plan.layout.words, np.uint64)
    words[0] = plan.design.design_id
    for table, array in zip(plan.layout.tables, plan.tables.values(), strict=True):
        words[table.first : table.first + table.words] = _packed(table, array.codes)
    return words


def _packed(table: WeightTable, codes: Codes) -> Words:
    padded = np.zeros((table.rows, table.row_words * table.codes_a_word), np.uint64)
    mask = np.uint64((1 << table.width) - 1)
    padded[:, : table.columns] = codes.astype(np.uint64) & mask
    shifts = np.arange(table.codes_a_word, dtype=np.uint64) * np.uint64(table.width)
    parts = padded.reshape(table.words, table.codes_a_word) << shifts
    packed: Words = np.bitwise_or.reduce(parts, axis=1)
    return packed


def unpack_weights(network: QuantizedNetwork, plan: EnginePlan, words: Words) -> QuantizedNetwork:
    """The network that a core computes once it has loaded a buffer: the inverse of `pack_weights`.

    Args:
        network: that of the core, with all that is not loaded.
        plan: of the core.
        words: uint64[layout.words].

    Raises:
        ShapeError: the buffer is of another size.
    """
    layout = plan.layout
    if layout is None or words.size != layout.words:
        raise ShapeError(
            f"the core takes {layout.words if layout else 0} words",
            field="weights",
            value=words.size,
            remedy="pack them for this core",
        )
    found = {table.name: _unpacked(table, words) for table in layout.tables}
    recurrence, head = network.recurrence, network.head
    cores = {name: core.codes.copy() for name, core in recurrence.cores.items()}
    # Where each code of a row comes from: the same rows of a network of numbered codes.
    numbered = replace(
        recurrence,
        cores={
            name: QuantizedArray(_NUMBERS, np.arange(codes.size).reshape(codes.shape))
            for name, codes in cores.items()
        },
    )
    for path, stages in (
        (numbered.input_path, plan.input),
        (numbered.hidden_path, plan.hidden),
    ):
        for position, stage in enumerate(stages):
            if stage.table:
                numbers, _ = loop_order(numbered, path, position)
                places = replace(stage.design, core=numbers).rows(stage.schedule).codes
                cores[path.cores[position]].flat[places] = found[stage.name]
    return replace(
        network,
        recurrence=replace(
            recurrence,
            cores={
                name: QuantizedArray(recurrence.cores[name].format, codes)
                for name, codes in cores.items()
            },
            cell=replace(recurrence.cell, bias=_of(recurrence.cell.bias, found[BIAS].T.ravel())),
        ),
        head=Head(_of(head.weights, found[HEAD_WEIGHTS]), _of(head.bias, found[HEAD_BIAS][0])),
    )


def _of(array: QuantizedArray, codes: Codes) -> QuantizedArray:
    return QuantizedArray(array.format, codes)


def _unpacked(table: WeightTable, words: Words) -> Codes:
    """Codes of a table [rows, columns]."""
    own = words[table.first : table.first + table.words, None]
    shifts = np.arange(table.codes_a_word, dtype=np.uint64) * np.uint64(table.width)
    mask = np.uint64((1 << table.width) - 1)
    bits = ((own >> shifts) & mask).astype(np.int64).reshape(table.rows, -1)[:, : table.columns]
    sign = 1 << (table.width - 1)
    codes: Codes = (bits ^ sign) - sign if table.signed else bits
    return codes


@dataclass(frozen=True, eq=False)
class LoadableWeights(JsonRecord):
    """What a host must know to load another network's weights into a core.

    Args:
        schedule: of the core: it decides what a row is.
        layout: where the tables lie.
        structure: all of the core's network but its loadable weights, which every network to be
            loaded must share; see `structure_of`.
    """

    schedule: Schedule = field(metadata={"read": Schedule.from_json})
    layout: WeightLayout = field(metadata={"read": WeightLayout.from_json})
    structure: Mapping[str, Any] = field(metadata={"read": lambda value: _structure(value)})

    @staticmethod
    def of(network: QuantizedNetwork, plan: EnginePlan) -> LoadableWeights | None:
        """Those of a network's core; None if it has none."""
        if plan.layout is None:
            return None
        return LoadableWeights(plan.schedule, plan.layout, structure_of(network, plan.schedule))

    def pack(self, network: QuantizedNetwork) -> Words:
        """A network's weights as the core reads them: uint64[layout.words].

        Raises:
            ConfigError: it differs from the core's in more than loadable weights; names the first
                field that does.
        """
        own = {key: value for key, value in self.structure.items() if key != "constant"}
        found = structure_of(network, self.schedule)
        constant = found.pop("constant")
        others = sorted(differences(own, found, "network"), key=lambda one: one[0])
        for path, wanted, value in others:
            raise ConfigError(
                f"the core was built for {shortened(str(wanted), _SHOWN)}",
                field=path,
                value=value,
                remedy=_REMEDY,
            )
        for path, _, _ in differences(self.structure["constant"], constant, "network"):
            raise ConfigError(
                "differs from what the core holds for good",
                field=path,
                remedy="build the core with loadable weights in the stages that use it",
            )
        plan = lower(network, self.schedule)
        if plan.layout != self.layout:
            raise ConfigError(
                "does not follow from schedule and network", field="layout", remedy=_REMEDY
            )
        return pack_weights(plan)

    @staticmethod
    def from_json(value: object) -> LoadableWeights:
        """The inverse of `to_json`.

        Raises:
            ArtifactError: it is not that.
        """
        return read_record(LoadableWeights, value, error=ArtifactError)

    def save(self, path: Path) -> None:
        """Writes it as JSON, atomically."""
        write_json(path, self.to_json())

    @staticmethod
    def load(path: Path) -> LoadableWeights:
        """Reads what `save` wrote.

        Raises:
            ArtifactError: it is missing or damaged.
        """
        remedy = "run fdht convert and fdht build again"
        value = read_json(path, remedy)
        try:
            found = LoadableWeights.from_json(value)
            differs = first_difference(value, found.to_json())
            if differs is not None:
                raise ArtifactError("is missing", field=differs)
        except ArtifactError as error:
            raise ArtifactError(
                f"does not describe weights: {error.problem}",
                field=f"{path}: {error.field}",
                value=error.value,
                remedy=remedy,
            ) from error
        return found


@dataclass(frozen=True)
class _Structure:
    """What `structure_of` gives, as far as a core's does not depend on the network's format."""

    schema: int
    classes: tuple[str, ...]
    recurrence: Mapping[str, Any]
    head: Mapping[str, Any]
    constant: Mapping[str, str]


def _structure(value: object) -> Any:
    """A structure as it was read; a difference to a network's names the path, see `pack`."""
    read_record(_Structure, value, error=ArtifactError)
    return value


def structure_of(network: QuantizedNetwork, schedule: Schedule) -> dict[str, Any]:
    """A network without its name, preprocessing and loadable weights, as JSON.

    Of the weights there are formats and shapes. Under "constant" stand digests of the numbers that
    are in the hardware for good: truth tables, and cores that a stage holds as constants.
    """
    value = network.to_json()
    del value["name"], value["preprocessing"]  # the host's affair: inputs are in the recurrence
    recurrence, constant = value["recurrence"], {}
    fixed = {
        core
        for path, stages in (
            (network.recurrence.input_path, schedule.input),
            (network.recurrence.hidden_path, schedule.hidden),
        )
        for core, stage in zip(path.cores, stages, strict=False)  # it may be of another network
        if stage.weights != "loadable"
    }
    arrays = {f"cores.{name}": entry for name, entry in recurrence["cores"].items()}
    arrays |= {f"cell.{name}": entry for name, entry in recurrence["cell"].items()}
    for name, entry in arrays.items():
        if not isinstance(entry, dict) or "codes" not in entry:
            continue
        codes = _without_codes(entry)
        kind, _, short = name.partition(".")
        if short in fixed if kind == "cores" else short != "bias":
            constant[f"recurrence.{name}.codes"] = digest_of(codes)
    for entry in value["head"].values():
        _without_codes(entry)
    return {**value, "constant": constant}


def _without_codes(entry: dict[str, Any]) -> Any:
    codes = entry.pop("codes")
    entry["shape"] = list(np.shape(codes))
    return codes
