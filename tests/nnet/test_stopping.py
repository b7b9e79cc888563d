"""The lock of a directory, and signals that ask a training to save and stop."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from nnet.lock import locked
from nnet.signals import Stopped, StopSignals


def test_a_directory_is_locked_once_and_again_after_it(tmp_path: Path) -> None:
    with locked(tmp_path / "exp"):
        with (
            pytest.raises(ValueError, match=rf"exp: process {os.getpid()} on .* works in it: wait for its end"),
            locked(tmp_path / "exp"),
        ):
            pass
        done = subprocess.run([sys.executable, "-m", "nnet.lock", tmp_path / "exp"], capture_output=True, check=False)
        assert done.returncode == 1 and b"exp: process" in done.stderr and done.stderr.count(b"\n") == 1
    with locked(tmp_path / "exp"):
        pass


def test_a_killed_process_leaves_no_lock_behind(tmp_path: Path) -> None:
    program = f"""
import time
from pathlib import Path
from nnet.lock import locked
with locked(Path("{tmp_path}")):
    print("locked", flush=True)
    time.sleep(60)
"""
    environment = os.environ | {"PYTHONPATH": str(Path.cwd())}
    with subprocess.Popen([sys.executable, "-c", program], env=environment, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"locked\n"
        with pytest.raises(ValueError, match=f"process {process.pid} on"), locked(tmp_path):
            pass
        process.kill()
    with locked(tmp_path):
        pass


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_first_signal_is_noted_and_the_second_acts(number: int, status: int) -> None:
    before = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}
    acted = []
    signal.signal(number, lambda *_: acted.append(True))
    try:
        with StopSignals() as signals:
            assert signals.received == 0
            signal.raise_signal(number)
            assert (signals.received, acted) == (number, [])
            signal.raise_signal(number)
            assert acted == [True]
        assert Stopped(signals.received, "saved").status == status
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def test_torchrun_passes_on_what_its_processes_have_got_already(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    with StopSignals() as signals:
        for _ in range(2):
            signal.raise_signal(signal.SIGTERM)
        assert signals.received == signal.SIGTERM


def test_an_ignored_signal_stays_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with StopSignals() as signals:
            signal.raise_signal(signal.SIGINT)
            assert signals.received == 0
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
