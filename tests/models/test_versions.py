from pathlib import Path

import numpy as np
import pytest

from fdht_models import versions
from fdht_models.errors import ToolError
from fdht_models.versions import package_version, package_versions, version_text


def test_packages_that_are_installed() -> None:
    assert package_version("numpy") == np.__version__
    assert package_version("no-such-package") is None
    assert package_versions("numpy", "no-such-package") == {"numpy": np.__version__}


def test_what_a_program_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "program"
    program.write_text('#!/bin/sh\necho "out $1"\necho err >&2\nexit 3\n')
    program.chmod(0o755)
    assert version_text(program) == "out --version\nerr\n"
    with pytest.raises(ToolError, match="cannot be started"):
        version_text(tmp_path / "none")
    program.write_text("#!/bin/sh\nexec sleep 60\n")
    monkeypatch.setattr(versions, "_TIMEOUT", 0.2)
    with pytest.raises(ToolError, match="did not finish within"):
        version_text(program)
