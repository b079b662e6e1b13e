"""The hls4ml plug-in: backend and writer `FDHT`, found by the entry point `hls4ml.backends`."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from types import ModuleType
from typing import Any

from fdht_models.tensor.cells.kinds import KINDS

#: Keras layers that are converted, by the names of their classes.
LAYERS = ("QFDHTLSTM", *(f"QTensor{name.upper()}" for name in KINDS))


def register(register_backend: Callable[..., None], register_writer: Callable[..., None]) -> None:
    """Registers writer, backend, layers and handler; hls4ml calls it once, when it is imported."""
    from hls4ml.model.layers import register_layer

    with _whole_modules():
        from fdht_hls.backend import FdhtBackend
        from fdht_hls.nodes import FdhtCell, FdhtContraction, FdhtHead, FdhtLstm
        from fdht_hls.writer import FdhtWriter

    layers: tuple[Any, ...] = (FdhtLstm, FdhtContraction, FdhtCell, FdhtHead)
    for layer in layers:
        register_layer(layer.__name__, layer)
    register_writer("FDHT", FdhtWriter)
    register_backend("FDHT", FdhtBackend)
    if not register_handler():
        sys.meta_path.insert(0, _WhenConvertersAreThere())


@contextmanager
def _whole_modules() -> Iterator[None]:
    """Lets our modules be imported whole, also if one of them is what imported hls4ml.

    That one is only half there: what it defines below its imports is missing. So it is put aside,
    and a fresh one is made of it. `sys.modules` then holds the fresh one, and an import gives what
    `sys.modules` holds at its end (see importlib's reference on modules that replace themselves).
    """
    half = {
        name: module
        for name, module in sys.modules.items()
        if name.startswith("fdht_hls.") and getattr(module.__spec__, "_initializing", False)
    }
    for name in half:
        del sys.modules[name]
    try:
        yield
    finally:
        for name, module in half.items():
            sys.modules.setdefault(name, module)


def register_handler() -> bool:
    """Registers the Keras handler; False while hls4ml's converters are only half imported."""
    converters = sys.modules.get("hls4ml.converters.keras_v2_to_hls")
    register_keras_handler = getattr(converters, "register_keras_v2_layer_handler", None)
    if register_keras_handler is None:
        return False
    from fdht_hls.parsing import parse_layer

    for name in LAYERS:
        if name not in getattr(converters, "layer_handlers", {}):
            register_keras_handler(name, parse_layer)
    _ask_before_reading(converters)
    return True


def _ask_before_reading(converters: Any) -> None:
    """Lets our backend refuse a Keras model before hls4ml's handlers read it.

    They fail on much that they do not know, in ways that say nothing of the model: a missing bias
    is an AttributeError. Without this the backend refuses as well, but behind them.
    """
    read = converters.get_model_arch
    if hasattr(read, "__wrapped__"):
        return

    @functools.wraps(read)
    def asked(config: Mapping[str, Any]) -> Any:
        if str(config.get("Backend")).upper() == "FDHT":
            from fdht_hls.accepted import accepted_steps, check_settings

            check_settings(config)
            accepted_steps(config.get("KerasModel"))
        return read(config)

    converters.get_model_arch = asked


class _WhenConvertersAreThere(MetaPathFinder):
    """Registers the handler at the first import for which it can, and goes.

    hls4ml 1.3 loads plug-ins while `hls4ml.converters` is still being imported, when handlers
    cannot be registered yet. The imports that follow - it imports its own handlers next - are the
    first moment at which they can. This finder finds nothing itself.
    """

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> None:
        """Called at each import; registers as soon as possible."""
        if register_handler():
            sys.meta_path.remove(self)
