"""Settings for all tests: reproducible Hypothesis, and the warnings that are not ours."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

_COMMON = settings(
    deadline=None,
    database=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
# Reproducible by default; `--hypothesis-profile explore` looks elsewhere each time.
settings.register_profile("reproducible", _COMMON, derandomize=True)
settings.register_profile("explore", _COMMON, derandomize=False)
settings.load_profile("reproducible")

# TensorFlow, tf_keras and QKeras raise these about themselves.
_NOT_OURS = (
    # model.save("x.h5") works, and is what users of hls4ml do; tf_keras would rather have .keras.
    r"ignore:You are saving your model as an HDF5 file:UserWarning",
)


def pytest_configure(config: pytest.Config) -> None:
    for line in _NOT_OURS:
        config.addinivalue_line("filterwarnings", line)


@pytest.fixture
def interruptible() -> Iterator[None]:
    """SIGINT interrupts, though a shell started the tests in the background and so ignores it."""
    former = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, former)
