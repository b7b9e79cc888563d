"""local/install_packages.sh installs what is missing, of one file of requirements or of several."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from scripts import ROOT, write


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """A recipe whose environment has one of two packages, and a pip that writes down what it was asked for."""
    write(tmp_path / "requirements.txt", "no-such-package-a==1")
    write(tmp_path / "requirements-encoder.txt", "# more", "no-such-package-b==2")
    write(tmp_path / ".venv/installed.txt", "no-such-package-a==1")
    (tmp_path / ".venv/bin").mkdir()
    (tmp_path / ".venv/bin/python3").symlink_to(sys.executable)
    write(tmp_path / ".venv/bin/pip", "#!/bin/sh", 'echo "$@" >>asked').chmod(0o755)
    return tmp_path


def install(recipe: Path, *requirements: str) -> str:
    done = subprocess.run(
        [ROOT / "local/install_packages.sh", *requirements], cwd=recipe, capture_output=True, text=True, check=True
    )
    return done.stderr


def test_more_packages_are_added_and_stay(recipe: Path) -> None:
    assert install(recipe) == "" and install(recipe, "requirements.txt") == ""
    assert "packages of requirements.txt requirements-encoder.txt into .venv" in install(
        recipe, "requirements.txt", "requirements-encoder.txt"
    )
    asked = (recipe / "asked").read_text()
    assert asked.count("\n") == 1
    assert "--requirement=requirements.txt --requirement=requirements-encoder.txt" in asked
    for requirements in (["requirements.txt"], ["requirements.txt", "requirements-encoder.txt"]):
        assert install(recipe, *requirements) == ""


def test_what_other_commands_asked_for_stays(recipe: Path) -> None:
    write(recipe / "requirements-english.txt", "# words", "", "no-such-package-c==3; python_version > '3'", "x[y]==1")
    for requirements in ("requirements-encoder.txt", "requirements-english.txt"):
        assert "into .venv" in install(recipe, "requirements.txt", requirements)
    assert install(recipe, "requirements.txt", "requirements-encoder.txt", "requirements-english.txt") == ""
    write(recipe / "requirements.txt", "no-such-package-a==4")
    assert "into .venv" in install(recipe, "requirements.txt")
    installed = (recipe / ".venv/installed.txt").read_text().splitlines()
    assert "no-such-package-a==4" in installed and "no-such-package-a==1" not in installed
    assert install(recipe, "requirements.txt", "requirements-english.txt") == ""
