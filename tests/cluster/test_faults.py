"""utils/slurm.pl and utils/queue.pl on real schedulers: what goes wrong is noticed, said, and leaves nothing."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from schedulers import GridEngine, Scheduler, Slurm
from waiting import wait_until

UTILS = Path(__file__).resolve().parents[2] / "utils"
pytestmark = pytest.mark.slow


class Runner:
    """The scheduler's runner in a folder."""

    def __init__(self, scheduler: Scheduler, folder: Path) -> None:
        self.scheduler = scheduler
        self.folder = folder
        self.processes: list[subprocess.Popen] = []

    def start(self, *arguments: str, **variables: str) -> subprocess.Popen:
        process = subprocess.Popen(
            ["env", "--default-signal=INT", UTILS / self.scheduler.runner, *arguments],
            env=self.scheduler.env | {"QUEUE_PATIENCE_SECONDS": "5"} | variables,
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.processes.append(process)
        return process

    def run(self, *arguments: str, **variables: str) -> tuple[int, str]:
        return self.result(self.start(*arguments, **variables))

    def result(self, process: subprocess.Popen) -> tuple[int, str]:
        assert process.stdout
        output = process.stdout.read()
        process.wait(10)
        assert not list(self.folder.rglob("q/*")), output
        wait_until(lambda: self.scheduler.jobs() == [])
        return process.returncode, output

    def wait_for(self, *names: str) -> None:
        wait_until(lambda: all((self.folder / name).exists() for name in names))


@pytest.fixture
def runner(scheduler: Scheduler, tmp_path: Path) -> Iterator[Runner]:
    runner = Runner(scheduler, tmp_path)
    yield runner
    for process in runner.processes:
        if process.poll() is None:
            process.terminate()
            process.wait(60)
    wait_until(lambda: scheduler.jobs() == [])


def test_results_and_logs(runner: Runner) -> None:
    status, output = runner.run(
        "--mem",
        "200M",
        "--num-threads",
        "2",
        "--max-jobs-run",
        "2",
        "JOB=1:3",
        "log/x.JOB.log",
        *"echo JOB > out.JOB".split(),
    )
    assert (status, output) == (0, "")
    assert [(runner.folder / f"out.{n}").read_text() for n in (1, 2, 3)] == ["1\n", "2\n", "3\n"]
    log = (runner.folder / "log/x.2.log").read_text().splitlines()
    assert log[2].startswith("# Running on ") and "threads=2" in log[-2] and "(code 0)" in log[-1]


def test_environment_of_the_job(runner: Runner) -> None:
    """A login shell's profile changes PATH; the rest of what a step sets does not arrive by itself."""
    (runner.folder / "bin").mkdir()
    program = runner.folder / "bin/only-here"
    program.write_text("#!/bin/sh\necho found\n")
    program.chmod(0o755)
    (runner.folder / "path.sh").write_text(
        "export PYTHONHASHSEED=0 LC_ALL=C; PATH=$PWD/bin:$PATH; export SOURCED=yes\n"
    )
    set_by_step = {"OMP_NUM_THREADS": "3", "KALDI_ROOT": "/a folder", "PYTHONPATH": "/it's"}
    status, output = runner.run(
        "x.log", *"only-here && echo $SOURCED $OMP_NUM_THREADS $KALDI_ROOT $PYTHONPATH $LC_ALL".split(), **set_by_step
    )
    assert status == 0, output
    assert "\nfound\nyes 3 /a folder /it's C\n" in (runner.folder / "x.log").read_text()


def test_several_machines(runner: Runner) -> None:
    """Two nodes of Slurm, two slots of GridEngine. When the command of one fails, the other's is ended."""
    options = [*runner.scheduler.several, "--num-nodes", "2", "--num-threads", "2", "x.log"]
    meet = "touch $NODE_RANK-$MASTER_ADDR-$MASTER_PORT; until ls 0-* && ls 1-*; do sleep 0.1; done".split()
    assert runner.run(*options, *meet) == (0, "")
    first, second = sorted(file.name for file in runner.folder.glob("[01]-*"))
    assert first[2:] == second[2:] and first.count("-") == 2
    options[-1:] = ["--max-retries", "1", "y.log"]
    fail_twice = (
        "echo $BASHPID > pid.$NODE_RANK.$MASTER_PORT; [ $NODE_RANK = 1 ] || exec sleep 60; "
        "until [ -e pid.0.$MASTER_PORT ]; do sleep 0.1; done; [ ! -e again ] || exit 7; touch again; kill -9 $BASHPID"
    )
    status, output = runner.run(*options, *fail_twice.split())
    log = (runner.folder / "y.log").read_text()
    assert status == 1 and "attempt 2 of 2" in output and "(code 137)" in log and "(code 7)" in log
    others = [file.read_text().strip() for file in runner.folder.glob("pid.0.*")]
    wait_until(lambda: not any(Path("/proc", process).exists() for process in others))


@pytest.mark.parametrize("code", [1, 99, 100])
def test_a_task_that_fails(runner: Runner, code: int) -> None:
    """GridEngine takes 99 for 'again' and 100 for 'stop the job'."""
    status, output = runner.run("JOB=1:2", "x.JOB.log", "[", "JOB", "-ne", "2", "]", "||", "exit", str(code))
    assert status == 1 and "1 of 2 jobs failed (2), log is in x.2.log" in output
    assert f"(code {code})" in (runner.folder / "x.2.log").read_text()


@pytest.mark.parametrize("name", ["a b", "[x]{y}", 'it\'s "q" $HOME', "%a:\\n"])
def test_odd_paths(runner: Runner, name: str) -> None:
    runner.folder /= name
    runner.folder.mkdir()
    status, output = runner.run("JOB=1:2", f"{name}/1 x.JOB.log", *"echo JOB > out.JOB && [ JOB -eq 1 ]".split())
    assert status == 1 and f"1 of 2 jobs failed (2), log is in {name}/1 x.2.log" in output
    assert (runner.folder / "out.1").read_text() == "1\n"


def test_the_jobs_number_in_the_logs_folder(runner: Runner) -> None:
    assert runner.run("JOB=1:2", "JOB/log/x.log", "true") == (0, "")
    assert all("(code 0)" in (runner.folder / f"{n}/log/x.log").read_text() for n in (1, 2))


def test_two_runners_with_one_log(runner: Runner) -> None:
    first = runner.start("x.log", *"touch started; sleep 6; false".split())
    runner.wait_for("started")
    second = runner.start("x.log", *"sleep 1; true".split())
    assert second.wait(60) == 0
    assert first.wait(60) == 1


def test_a_runner_was_killed(runner: Runner) -> None:
    """The next one ends what it left, instead of taking its results for its own."""
    killed = runner.start("JOB=1:2", "x.JOB.log", *"touch started.JOB; sleep 5; touch wrong.JOB".split())
    runner.wait_for("started.1", "started.2")
    killed.kill()
    killed.wait()
    status, output = runner.run("JOB=1:2", "x.JOB.log", *"sleep 6; touch right.JOB; [ JOB -eq 1 ]".split())
    assert "an earlier run with the log x.JOB.log was killed" in output
    assert status == 1 and "failed (2)" in output
    assert (runner.folder / "right.2").exists() and not list(runner.folder.glob("wrong.*"))


@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_leave_nothing(runner: Runner, signal_number: signal.Signals) -> None:
    process = runner.start("JOB=1:2", "x.JOB.log", *"touch started.JOB; sleep 60".split())
    runner.wait_for("started.1", "started.2")
    process.send_signal(signal_number)
    output = process.communicate(timeout=60)[0]
    assert process.returncode == -signal_number and f"stopped by SIG{signal_number.name[3:]}" in output
    wait_until(lambda: runner.scheduler.jobs() == [])
    assert not (runner.folder / "q").exists()


def test_ctrl_c_while_submitting(runner: Runner) -> None:
    """The submission's answer comes late, and Ctrl-C goes to the whole process group."""
    submit = runner.scheduler.programs[-1]
    (runner.folder / "late").write_text(f'#!/bin/bash\n{submit} "$@"; touch submitted; sleep 2\n')
    (runner.folder / "late").chmod(0o755)
    export = "-v PATH -cwd -S /bin/bash -j y" if submit == "qsub" else ""
    (runner.folder / "conf").write_text(f"command ./late {export}\n")
    process = runner.start("--config", "conf", "x.log", "sleep", "60")
    runner.wait_for("submitted")
    os.killpg(process.pid, signal.SIGINT)
    output = process.communicate(timeout=60)[0]
    assert process.returncode == -signal.SIGINT, output
    wait_until(lambda: runner.scheduler.jobs() == [])


def test_a_task_is_killed(runner: Runner) -> None:
    """Script and all, by kill -9; said within 15 s."""
    command = "[ JOB -eq 2 ] || exit 0; echo $$ > pid; sleep 60".split()
    process = runner.start("JOB=1:2", "x.JOB.log", *command, QUEUE_PATIENCE_SECONDS="10")
    runner.wait_for("pid")
    time.sleep(0.5)
    start = time.monotonic()
    os.kill(int((runner.folder / "pid").read_text()), signal.SIGKILL)
    assert process.stdout
    first_line = process.stdout.readline()
    assert time.monotonic() - start < 15
    status, output = runner.result(process)
    assert "task 2 of job " in first_line and status == 1 and "failed (2)" in output
    assert re.search("^# .*: task 2 of job ", (runner.folder / "x.2.log").read_text(), re.MULTILINE)


def test_the_command_is_killed(runner: Runner) -> None:
    status, output = runner.run("x.log", *"kill -9 $BASHPID".split())
    assert status == 1 and "died of signal 9" in output and "(code 137)" in (runner.folder / "x.log").read_text()


def test_a_task_is_deleted(runner: Runner) -> None:
    command = "touch started.JOB; [ JOB -eq 1 ] || sleep 60".split()
    process = runner.start("JOB=1:2", "x.JOB.log", *command, QUEUE_PATIENCE_SECONDS="10")
    runner.wait_for("started.1", "started.2")
    start = time.monotonic()
    runner.scheduler.end_task(runner.scheduler.jobs()[0], 2)
    assert process.stdout
    first_line = process.stdout.readline()
    assert time.monotonic() - start < 15
    status, output = runner.result(process)
    assert "task 2 of job " in first_line and status == 1 and "failed (2)" in output


def test_retries(runner: Runner) -> None:
    die_once = "test -e once.JOB || { touch once.JOB; kill -9 $BASHPID; }".split()
    status, output = runner.run("--max-retries", "1", "JOB=1:2", "x.JOB.log", *die_once)
    assert status == 0 and output.count("; attempt 2 of 2") == 2
    log = (runner.folder / "x.2.log").read_text()
    assert "(code 137)" in log and "# Attempt 2 of 2\n" in log and log.endswith("seconds\n")
    status, output = runner.run("--max-retries", "1", "y.log", "echo once >> tries; false")
    assert status == 1 and "attempt" not in output  # it failed by itself


def test_time_limit(runner: Runner) -> None:
    """Slurm's are whole minutes."""
    limit = "1" if isinstance(runner.scheduler, Slurm) else "0:0:3"
    status, output = runner.run("--time", limit, "x.log", "sleep", "200")
    assert status == 1 and re.search(r"task 1 of job \d+: .*(time limit|h_rt|killed)", output), output


def test_a_job_that_waits(runner: Runner) -> None:
    """The scheduler's reason is said after a minute."""
    hold = ["-b", "now+1hour"] if isinstance(runner.scheduler, Slurm) else ["-l", "gpu=1"]
    process = runner.start(*hold, "x.log", "true")
    assert process.stdout and select.select([process.stdout], [], [], 90)[0]
    assert re.search(r"job \d+ waits in the queue: .*(BeginTime|gpu)", process.stdout.readline())


def test_too_much_memory(runner: Runner) -> None:
    limit = ["--mem", "100M"] if isinstance(runner.scheduler, Slurm) else ["-l", "h_vmem=100M"]
    eat = "python3 -c 'import time; a = bytearray(400_000_000); time.sleep(20)'"
    status, output = runner.run(*limit, "x.log", "bash", "-c", f'"{eat}"'.strip('"'))
    assert status == 1, output
    assert re.search("out of memory|OUT_OF_MEMORY|MemoryError|exceeded", output, re.IGNORECASE), output


def test_a_log_that_cannot_be_written(runner: Runner) -> None:
    (runner.folder / "x.2.log").mkdir()
    status, output = runner.run("JOB=1:2", "x.JOB.log", "true")
    assert status == 1 and "failed (2)" in output and "x.2.log: Is a directory" in output


def test_the_folder_of_the_logs_cannot_be_made(runner: Runner) -> None:
    (runner.folder / "log").write_text("a file")
    status, output = runner.run("log/x.log", "true")
    assert status == 1 and len(output.splitlines()) == 1 and "cannot make the directory log" in output


def test_controller_restarts(runner: Runner) -> None:
    process = runner.start("JOB=1:2", "x.JOB.log", *"touch started.JOB; sleep 10".split())
    runner.wait_for("started.1", "started.2")
    runner.scheduler.stop_controller()
    runner.scheduler.start_controller()
    assert runner.result(process)[0] == 0


def test_controller_is_away(runner: Runner) -> None:
    """Longer than the job, and longer than the patience with its tasks: it is not taken for lost."""
    process = runner.start("JOB=1:2", "x.JOB.log", *"touch started.JOB; sleep 12; echo JOB > out.JOB".split())
    runner.wait_for("started.1", "started.2")
    runner.scheduler.stop_controller()
    try:
        assert process.wait(60) == 0
        assert (runner.folder / "out.2").exists()
        late = runner.start("y.log", "true", QUEUE_RETRY_SECONDS="4")
        time.sleep(8)
        assert late.poll() is None
    finally:
        runner.scheduler.start_controller()
    output = late.communicate(timeout=60)[0]
    assert late.returncode == 0 and "cannot be reached to submit" in output


def test_controller_is_away_for_two_minutes(runner: Runner) -> None:
    """While the tasks run: that is said, and waited for."""
    process = runner.start("JOB=1:2", "x.JOB.log", *"touch started.JOB; sleep 130".split())
    runner.wait_for("started.1", "started.2")
    runner.scheduler.stop_controller()
    time.sleep(120)
    runner.scheduler.start_controller()
    status, output = runner.result(process)
    assert status == 0 and "the queue has not answered for" in output


def test_node_daemon_is_away_for_half_a_minute(runner: Runner) -> None:
    process = runner.start("JOB=1:2", "x.JOB.log", *"touch started.JOB; sleep 40".split())
    runner.wait_for("started.1", "started.2")
    runner.scheduler.stop_node()
    time.sleep(30)
    runner.scheduler.start_node()
    assert runner.result(process)[0] == 0


def test_bad_input_is_one_line(runner: Runner) -> None:
    (runner.folder / "bad.conf").write_text("command sbatch\noptoin mem=* --mem $0\n")
    for arguments, message in [
        (["--nosuch", "1", "x.log", "true"], "option --nosuch has no rule"),
        (["--config", "nosuch.conf", "x.log", "true"], "cannot read the configuration nosuch.conf"),
        (["--config", "bad.conf", "x.log", "true"], "bad.conf line 2"),
        (["JOB=3:1", "x.JOB.log", "true"], "bad job range JOB=3:1"),
        (["-p" if isinstance(runner.scheduler, Slurm) else "-q", "nosuch", "x.log", "true"], "submission failed"),
    ]:
        status, output = runner.run(*arguments)
        assert status == 1 and len(output.splitlines()) == 1 and message in output, output


def test_a_job_in_error_state(runner: Runner) -> None:
    if not isinstance(runner.scheduler, GridEngine):
        pytest.skip("GridEngine's")
    status, output = runner.run("-wd", "/nosuch", "x.log", "true")
    assert status == 1 and "can't chdir to /nosuch" in output


# The forms of the rules in Kaldi's configurations.
KALDIS = {
    "slurm.pl": """# a comment
command sbatch --export=PATH  --ntasks-per-node=1
option mem=* --mem-per-cpu $0
option mem=0          # nothing
option num_threads=* --cpus-per-task $0 --ntasks-per-node=1
option num_threads=1 --cpus-per-task 1  --ntasks-per-node=1 # again a comment
default gpu=0
option gpu=0
option gpu=* -p gpu --gres=gpu:$0 --time 4:0:0
""",
    "queue.pl": """command qsub -v PATH -cwd -S /bin/bash -j y -l arch=*64*
option mem=* -l mem_free=$0,ram_free=$0
option mem=0          # nothing
option num_threads=* -pe smp $0
option num_threads=1  # nothing
default gpu=0
option gpu=0
option gpu=* -l gpu=$0 -q '*.q'
""",
}


def test_kaldis_configuration(runner: Runner) -> None:
    (runner.folder / "conf").mkdir()
    (runner.folder / "conf" / runner.scheduler.runner.replace(".pl", ".conf")).write_text(
        KALDIS[runner.scheduler.runner]
    )
    options = ["--mem", "100M", "--num-threads", "2", "--max-jobs-run", "1", "--gpu", "0"]
    assert runner.run(*options, "JOB=1:2", "x.JOB.log", "true") == (0, "")
    if isinstance(runner.scheduler, GridEngine):
        assert runner.run(*"-V -sync y -pe smp 2 -l mem_free=100M -q all.q y.log true".split()) == (0, "")
        assert "threads=2" in (runner.folder / "y.log").read_text()
