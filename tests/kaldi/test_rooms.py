"""The house of kaldi/: a room imports only from the rooms below it, and no modules import each other in a circle."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
from text_files import write_files

from kaldi.compile import does_without_numba

ROOT = Path(__file__).resolve().parents[2]
# From the ground to the roof, in the names of Kaldi's src/. What lies in kaldi/ itself and the programs are the roof.
ROOMS = "base util matrix feat fstext hmm lm gmm lat transform tree chain decoder".split()


def modules(folder: Path) -> dict[str, Path]:
    """The file of each module of a package, by its dotted name."""
    names = {}
    for path in folder.rglob("*.py"):
        parts = path.relative_to(folder.parent).with_suffix("").parts
        names[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return names


def imports(path: Path, known: dict[str, Path]) -> set[str]:
    """The modules among `known` that a file imports, wherever in the file."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    packages = {name for name, file in known.items() if file.name == "__init__.py"}
    inner = {
        name for name in found & known.keys() if not any(other.startswith(f"{name}.") for other in found & known.keys())
    }
    return inner - packages | {name for name in inner & packages if name.count(".")}


def floor(module: str) -> int:
    """How high a module of kaldi/ lies."""
    room = module.split(".")[1] if "." in module else ""
    return ROOMS.index(room) if room in ROOMS else len(ROOMS)


def upward_imports(folder: Path) -> list[str]:
    """`module imports module` for each import from a higher room."""
    known = modules(folder)
    return [
        f"{name} imports {other}"
        for name, path in sorted(known.items())
        for other in sorted(imports(path, known))
        if floor(other) > floor(name)
    ]


def circle(folder: Path) -> list[str]:
    """Modules that import each other in a circle; empty if none do."""
    known = modules(folder)
    try:
        TopologicalSorter({name: imports(path, known) - {name} for name, path in known.items()}).prepare()
    except CycleError as error:
        return error.args[1]
    return []


def test_rooms_import_only_from_below() -> None:
    assert upward_imports(ROOT / "kaldi") == []


def test_every_room_is_named_and_says_what_it_holds() -> None:
    rooms = {
        path.parent.name: ast.get_docstring(ast.parse(path.read_text())) for path in ROOT.glob("kaldi/*/__init__.py")
    }
    assert sorted(rooms) == sorted([*ROOMS, "programs"])
    assert all(text and "Kaldi" in text for name, text in rooms.items() if name in ROOMS)


@pytest.mark.parametrize("package", ["kaldi", "nnet", "local"])
def test_no_modules_import_each_other_in_a_circle(package: str) -> None:
    assert circle(ROOT / package) == []


def test_what_the_tests_above_would_find(tmp_path: Path) -> None:
    contents = {
        "kaldi/__init__.py": "",
        "kaldi/util/__init__.py": "",
        "kaldi/util/io.py": "def read():\n    from kaldi.hmm import posterior\n",
        "kaldi/hmm/__init__.py": "",
        "kaldi/hmm/posterior.py": "from kaldi.util.io import read\n",
    }
    write_files(tmp_path, contents)
    assert upward_imports(tmp_path / "kaldi") == ["kaldi.util.io imports kaldi.hmm.posterior"]
    assert set(circle(tmp_path / "kaldi")) == {"kaldi.util.io", "kaldi.hmm.posterior"}


def test_kaldi_needs_only_its_own_packages() -> None:
    """What kaldi/README.md says that another recipe has to install."""
    wanted = set()
    for path in (ROOT / "kaldi").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            wanted |= {name.partition(".")[0] for name in names}
    assert wanted - sys.stdlib_module_names == {"kaldi", "numpy", "scipy", "numba", "llvmlite", "kaldifst"}


def test_compiled_cores_are_loaded_without_numba() -> None:
    """Which would be most of the start of every program that aligns or decodes."""
    subprocess.run([sys.executable, "-m", "kaldi.compile"], cwd=ROOT, capture_output=True, check=True)
    cores = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in ROOT.glob("kaldi/*/*_core.py")]
    assert len(cores) > 5 and does_without_numba(", ".join(cores))


def test_the_line_of_the_readme_from_a_foreign_directory(tmp_path: Path) -> None:
    line = next(line for line in (ROOT / "kaldi/README.md").read_text().splitlines() if "export PATH=" in line)
    command = line.strip().replace("/path/to/am_gan", str(ROOT))
    (tmp_path / "feats.txt").write_text("a  [\n  1 2\n  3 4 ]\n")
    done = subprocess.run(
        ["bash", "-c", f"{command}; copy-feats ark,t:feats.txt ark:- | feat-to-len ark:- ark,t:-"],
        cwd=tmp_path,
        env={"PATH": os.pathsep.join([str(Path(sys.executable).parent), "/usr/bin", "/bin"])},
        capture_output=True,
        text=True,
    )
    assert done.stdout.split() == ["a", "2"], done.stderr
