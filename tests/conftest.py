"""The order of the tests: files that take minutes come first, so that all cores have work until the end."""

from __future__ import annotations

import pytest

FIRST = ["test_run.py", "test_ligru_steps.py", "test_steps.py"]
# pytest-xdist lets a file wait behind each worker's first one, where no other takes it: a short one behind the longest.
FIRST += ["test_whole_file.py", "test_segan_programs.py", "test_segan_scripts.py"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: FIRST.index(item.path.name) if item.path.name in FIRST else len(FIRST))
