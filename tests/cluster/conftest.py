"""The schedulers of these tests, each started once. tests/cluster/run.sh installs their packages."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from schedulers import GridEngine, Scheduler, Slurm

# Each scheduler's tests go to one process, which starts it once.
SCHEDULERS = [
    pytest.param(scheduler, id=name, marks=pytest.mark.xdist_group(name))
    for name, scheduler in (("slurm", Slurm), ("grid_engine", GridEngine))
]


@pytest.fixture(scope="session", params=SCHEDULERS)
def scheduler(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scheduler]:
    if os.geteuid() != 0:
        pytest.skip("only root starts the daemons of a scheduler")
    if missing := request.param.missing():
        pytest.skip(f"there is no {', '.join(missing)}: tests/cluster/run.sh installs them")
    started = request.param(tmp_path_factory.mktemp("scheduler"))
    try:
        started.start()
        yield started
    finally:
        started.stop()
