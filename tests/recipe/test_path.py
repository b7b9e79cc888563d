"""path.sh: which programs answer by KALDI_ROOT."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    (tmp_path / "recipe").mkdir()
    (tmp_path / "recipe/path.sh").symlink_to(ROOT / "path.sh")
    programs(tmp_path / "recipe", ".venv/bin/python3", "utils/run.pl")
    return tmp_path / "recipe"


def programs(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("#!/bin/sh\n")
        path.chmod(0o755)
    return folder


def which(recipe: Path, kaldi_root: Path, *names: str) -> list[str]:
    """Where path.sh, sourced twice as by a step that run.sh calls, finds the programs; an error is one line."""
    script = '. ./path.sh && . ./path.sh && echo "$PATH" && command -v "$@"'
    environment = os.environ | {"KALDI_ROOT": str(kaldi_root), "PATH": "/usr/bin:/bin"}
    command = ["bash", "-c", script, "test", *names]
    done = subprocess.run(command, cwd=recipe, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        assert done.stderr.count("\n") == 1
        return [done.stderr]
    path, *found = done.stdout.splitlines()
    assert path.count(str(kaldi_root / "")) == len({f for f in path.split(":") if f.startswith(str(kaldi_root / ""))})
    return found


def test_conda_environment(recipe: Path, tmp_path: Path) -> None:
    names = ("bin/compute-mfcc-feats", "bin/gmm-est", "bin/fstcompile", "bin/python3", "bin/run.pl")
    root = programs(tmp_path / "conda", *names)
    assert which(recipe, root, "gmm-est", "fstcompile", "python3", "run.pl") == [
        f"{root}/bin/gmm-est",
        f"{root}/bin/fstcompile",
        f"{recipe}/.venv/bin/python3",
        f"{recipe}/utils/run.pl",
    ]


def test_source_tree(recipe: Path, tmp_path: Path) -> None:
    names = ("src/featbin/compute-mfcc-feats", "src/chainbin/chain-make-den-fst", "tools/openfst/bin/fstcompile")
    root = programs(tmp_path / "kaldi", *names)
    assert which(recipe, root, "chain-make-den-fst", "fstcompile") == [f"{root}/{name}" for name in names[1:]]


def test_what_was_looked_for_where(recipe: Path, tmp_path: Path) -> None:
    (error,) = which(recipe, tmp_path / "nowhere", "gmm-est")
    for part in (f"{tmp_path}/nowhere holds no", "src/featbin/compute-mfcc-feats", "bin/compute-mfcc-feats"):
        assert part in error
    root = programs(tmp_path / "kaldi", "src/featbin/compute-mfcc-feats")
    (error,) = which(recipe, root, "gmm-est")
    assert "without OpenFst: there is no fstcompile in" in error and f"{root}/tools/openfst/bin" in error
