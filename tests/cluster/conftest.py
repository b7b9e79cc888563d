"""The schedulers of these tests, each started once. tests/cluster/run.sh installs their packages."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from schedulers import GridEngine, Scheduler, Slurm
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

SCHEDULERS = {"slurm": Slurm, "grid_engine": GridEngine}


class ByScheduler(LoadScopeScheduling):
    """The tests of a file with one scheduler go to one process, which starts it once."""

    def _split_scope(self, nodeid: str) -> str:
        file, _, test = nodeid.partition("::")
        return "::".join([file, *(name for name in SCHEDULERS if name in test)])


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> ByScheduler:
    return ByScheduler(config, log)


@pytest.fixture(scope="session", params=SCHEDULERS.values(), ids=SCHEDULERS)
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
