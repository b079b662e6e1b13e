"""The hls4ml backend `FDHT`: Vitis with our layers, and a project whose top is the IP core."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hls4ml.backends import VitisBackend, VivadoBackend
from hls4ml.model.flow import get_flow, register_flow
from hls4ml.model.optimizer import ModelOptimizerPass

from fdht_hls.cpp_text import TEMPLATES
from fdht_hls.exact import check_exact, state_types
from fdht_hls.parsing import PLAN, ExpandFdhtLstm, StreamUnits
from fdht_models.errors import ConversionError

#: Header files of the kernels.
INCLUDE = Path(__file__).parent / "include"


class FdhtBackend(VitisBackend):
    """Vitis HLS backend for quantised tensorized LSTMs."""

    def __init__(self) -> None:
        # VitisBackend's own constructor would take its name, so the one above it is called.
        super(VivadoBackend, self).__init__(name="FDHT")
        for template in TEMPLATES:
            self.register_template(template)
        for header in sorted(INCLUDE.glob("*.h")):
            self.register_source(header)
        for own in (state_types, check_exact):
            self.register_pass(own.__name__, ModelOptimizerPass(own.__name__, own))
        self.register_pass("expand_fdht_lstm", ExpandFdhtLstm)
        self.register_pass("stream_units", StreamUnits)
        self._register_layer_attributes()
        self._register_flows()

    def _register_flows(self) -> None:
        """Vitis' flow, with types first, then the expansion, and last our templates and writer."""
        types = register_flow("state_types", ["fdht:state_types"], backend=self.name)
        check = register_flow("check_exact", ["fdht:check_exact"], backend=self.name)
        expand = register_flow(
            "expand",
            ["fdht:expand_fdht_lstm", "fdht:stream_units"],
            requires=["convert"],
            backend=self.name,
        )
        templates = register_flow(
            "apply_templates",
            self._get_layer_templates,
            requires=["vivado:init_layers"],
            backend=self.name,
        )
        requirements = get_flow("vitis:ip").requires.copy()
        requirements.insert(requirements.index("vivado:init_layers"), expand)
        requirements.insert(requirements.index("vivado:apply_templates") + 1, templates)
        requirements = [types, *requirements, check]
        self._default_flow = register_flow("ip", None, requires=requirements, backend=self.name)
        self._writer_flow = register_flow(
            "write",
            ["fdht:check_exact", "make_stamp", "fdht:write_hls"],
            requires=["fdht:ip"],
            backend=self.name,
        )

    def create_initial_config(self, **settings: Any) -> dict[str, Any]:
        """Vitis' configuration; weights are compiled in, because the IP core holds them.

        Args:
            **settings: those of the Vitis backend; `plan`, an `EnginePlan` of the core; or, without
                one, `schedule`, the parallelism of the stages as `Schedule.to_json` gives it.

        Raises:
            ConversionError: another io_type than io_stream.
        """
        io_type = settings.setdefault("io_type", "io_stream")
        if io_type != "io_stream":
            raise ConversionError(
                "frames are streamed", field="io_type", value=io_type, remedy="use 'io_stream'"
            )
        settings["write_weights_txt"] = False
        schedule, plan = settings.pop("schedule", None), settings.pop("plan", None)
        config: dict[str, Any] = super().create_initial_config(**settings)
        config["Schedule"], config[PLAN] = schedule, plan
        return config
