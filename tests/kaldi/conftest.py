"""What the tests of the embedded Kaldi share: running its programs, and the outputs of real Kaldi to compare with."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from embedded import BIN, Run, unpack_golden


@pytest.fixture(scope="session")
def kaldi() -> Run:
    """kaldi(command, cwd, **variables) runs a shell command with the embedded programs on PATH; its output is bytes."""

    def run(command: str, cwd: Path, **variables: object) -> subprocess.CompletedProcess:
        path = os.pathsep.join([str(BIN), str(Path(sys.executable).parent), os.environ["PATH"]])
        environment = {**os.environ, "PATH": path, "LC_ALL": "C", **{k: str(v) for k, v in variables.items()}}
        return subprocess.run(
            ["bash", "-c", f"set -e -o pipefail; {command}"], cwd=cwd, env=environment, capture_output=True, timeout=300
        )

    return run


@pytest.fixture(scope="session")
def golden(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The golden folder, unpacked."""
    target = tmp_path_factory.mktemp("golden")
    unpack_golden(target)
    return target
