"""The order of the tests: files that take minutes come first, so that all cores have work until the end."""

from __future__ import annotations

import pytest

LONGEST = ["test_run.py", "test_ligru_steps.py", "test_steps.py", "test_segan_programs.py", "test_segan_scripts.py"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: LONGEST.index(item.path.name) if item.path.name in LONGEST else len(LONGEST))
