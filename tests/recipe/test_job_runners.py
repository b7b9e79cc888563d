"""utils/run.pl, queue.pl and slurm.pl: one interface, the same logs. The queues are stood in for by small scripts."""

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

UTILS = Path(__file__).resolve().parents[2] / "utils"

QSUB = """#!/bin/bash
echo "$@" >qsub.arguments
while [ $# -gt 1 ]; do case $1 in -t) range=$2; shift ;; -o) log=$2; shift ;; esac; shift; done
for task in $(seq "${range%:*}" "${range#*:}"); do
  [ "$task" = "$LOSE" ] || SGE_TASK_ID=$task bash "$1" >>"$log" 2>&1 &
done
echo "Your job-array 77.$range:1 (\\"x\\") has been submitted"
"""
SBATCH = """#!/bin/bash
echo "$@" >sbatch.arguments
for last; do [[ $last != --array=* ]] || range=${last#--array=}; done
range=${range%%%*}
for task in $(seq "${range%-*}" "${range#*-}"); do SLURM_ARRAY_TASK_ID=$task bash "$last" & done >/dev/null 2>&1
echo "Submitted batch job 77"
"""


@pytest.fixture
def queues(tmp_path: Path) -> dict[str, str]:
    """An environment with qsub, qstat, sbatch, squeue that run the tasks at once, on this machine."""
    programs = {"qsub": QSUB, "sbatch": SBATCH, "qstat": "#!/bin/bash\nexit 1\n", "squeue": "#!/bin/bash\n"}
    (tmp_path / "bin").mkdir()
    for name, text in programs.items():
        (tmp_path / "bin" / name).write_text(text)
        (tmp_path / "bin" / name).chmod(0o755)
    return dict(os.environ, PATH=f"{tmp_path}/bin:{os.environ['PATH']}", QUEUE_PATIENCE_SECONDS="2")


def submit(runner: str, *arguments: str, env: dict[str, str], cwd: Path) -> subprocess.CompletedProcess:
    return subprocess.run([UTILS / runner, *arguments], env=env, cwd=cwd, capture_output=True, text=True)


runners = pytest.mark.parametrize("runner", ["run.pl", "queue.pl", "slurm.pl"])


@runners
def test_array_and_log(runner: str, queues: dict[str, str], tmp_path: Path) -> None:
    options = "--mem 2G JOB=1:3 --num-threads 2".split()
    pipe = ["echo", "two words JOB", "|", "sed", 's/two/2 & "quoted" JOB/', ">", "out.JOB"]
    done = submit(runner, *options, "log/x.JOB.log", *pipe, env=queues, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out.2").read_text() == '2 two "quoted" 2 words 2\n'
    log = (tmp_path / "log/x.2.log").read_text().splitlines()
    assert log[0].startswith("# echo ") and "JOB" not in log[0]
    assert log[1].startswith("# Started at ") and log[2] == "#"
    assert re.fullmatch(r"# Accounting: time=\d+ threads=2", log[-2])
    assert re.fullmatch(r"# Ended \(code 0\) at .*, elapsed time \d+ seconds", log[-1])


@runners
def test_failure_shows_the_log(runner: str, queues: dict[str, str], tmp_path: Path) -> None:
    command = ["echo", "reason JOB", *"&& [ JOB -ne 3 ]".split()]
    done = submit(runner, "JOB=1:3", "log/x.JOB.log", *command, env=queues, cwd=tmp_path)
    assert done.returncode == 1
    assert "1 of 3 jobs failed (3), log is in log/x.3.log" in done.stderr and "reason 3" in done.stderr


@runners
def test_every_part_of_a_pipe_must_succeed(runner: str, queues: dict[str, str], tmp_path: Path) -> None:
    done = submit(runner, "JOB=1:1", "log/x.JOB.log", "false", "|", "cat", env=queues, cwd=tmp_path)
    assert done.returncode == 1 and "job failed, log is in log/x.1.log" in done.stderr


@runners
def test_one_log_for_many_jobs_is_refused(runner: str, queues: dict[str, str], tmp_path: Path) -> None:
    done = submit(runner, "JOB=1:2", "log/x.log", "true", env=queues, cwd=tmp_path)
    assert done.returncode != 0 and "would share the log" in done.stderr


def test_flags_of_the_queues(queues: dict[str, str], tmp_path: Path) -> None:
    options = ["--mem", "4G", "--gpu", "1", "--max-jobs-run", "2", "JOB=1:4", "x.JOB.log", "true"]
    assert submit("queue.pl", *options, env=queues, cwd=tmp_path).returncode == 0
    assert {"mem_free=4G,ram_free=4G", "gpu=1", "-tc", "1:4"} <= set((tmp_path / "qsub.arguments").read_text().split())
    assert submit("slurm.pl", *options, env=queues, cwd=tmp_path).returncode == 0
    assert {"--gres=gpu:1", "--mem", "--array=1-4%2"} <= set((tmp_path / "sbatch.arguments").read_text().split())


def test_flags_with_one_dash_are_for_the_queue(queues: dict[str, str], tmp_path: Path) -> None:
    options = ["-V", "-l", "mem_free=1G", "-tc", "2", "-pe", "smp", "2", "JOB=1:4", "x.JOB.log", "echo", "JOB"]
    for runner in ("run.pl", "queue.pl"):
        assert submit(runner, *options, env=queues, cwd=tmp_path).returncode == 0
    assert "-tc 2 -V -l mem_free=1G -pe smp 2 " in (tmp_path / "qsub.arguments").read_text()


def test_queue_configuration(queues: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "site.conf").write_text("command qsub -q mine   # ours\noption mem=* -l m=$0\ndefault mem=1G\n")
    arguments = ["--config", "site.conf", "JOB=1:1", "x.JOB.log", "true"]
    assert submit("queue.pl", *arguments, env=queues, cwd=tmp_path).returncode == 0
    assert (tmp_path / "qsub.arguments").read_text().startswith("-q mine -l m=1G ")
    done = submit("queue.pl", "--time", "1h", *arguments, env=queues, cwd=tmp_path)
    assert done.returncode != 0 and "--time has no rule in site.conf" in done.stderr


def test_a_lost_task_is_noticed(queues: dict[str, str], tmp_path: Path) -> None:
    done = submit("queue.pl", "JOB=1:2", "x.JOB.log", "true", env=dict(queues, LOSE="2"), cwd=tmp_path)
    assert done.returncode == 1 and "task 2 of job 77 left the queue" in done.stderr


def test_max_jobs_run(queues: dict[str, str], tmp_path: Path) -> None:
    count = "mkdir running.JOB; ls -d running.* | wc -l > seen.JOB; sleep 0.2; rmdir running.JOB"
    done = submit(
        "run.pl", "--max-jobs-run", "2", "JOB=1:5", "x.JOB.log", "bash", "-c", count, env=queues, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert max(int(file.read_text()) for file in tmp_path.glob("seen.*")) <= 2


def test_gpus_in_turn(queues: dict[str, str], tmp_path: Path) -> None:
    nvidia_smi = tmp_path / "bin" / "nvidia-smi"
    nvidia_smi.write_text("#!/bin/bash\necho 'GPU 0: a'\necho 'GPU 1: b'\n")
    nvidia_smi.chmod(0o755)
    queues.pop("CUDA_VISIBLE_DEVICES", None)
    job = ["JOB=1:2", "x.JOB.log", "echo", "gpu-${CUDA_VISIBLE_DEVICES:-none}", ">", "gpu.JOB"]
    assert submit("run.pl", "--gpu", "1", *job, env=queues, cwd=tmp_path).returncode == 0
    assert {(tmp_path / f"gpu.{n}").read_text() for n in (1, 2)} == {"gpu-0\n", "gpu-1\n"}
    assert submit("run.pl", *job, env=queues, cwd=tmp_path).returncode == 0
    assert (tmp_path / "gpu.1").read_text() == "gpu-none\n"
    assert submit("run.pl", "--gpu", "2", "--max-jobs-run", "2", *job, env=queues, cwd=tmp_path).returncode == 0
    assert {(tmp_path / f"gpu.{n}").read_text() for n in (1, 2)} == {"gpu-0,1\n"}
    done = submit("run.pl", "--gpu", "3", *job, env=queues, cwd=tmp_path)
    assert done.returncode != 0 and "--gpu 3, but this machine has only 2" in done.stderr


def test_a_signal_ends_the_jobs(tmp_path: Path) -> None:
    jobs = "JOB=1:2 --max-jobs-run 2 x.JOB.log echo $BASHPID > pid.JOB ; exec sleep 60"
    process = subprocess.Popen([UTILS / "run.pl", *jobs.split()], cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    deadline = time.time() + 10
    while sum(f.stat().st_size > 0 for f in tmp_path.glob("pid.*")) < 2 and time.time() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    assert "stopped by SIGTERM" in process.communicate(timeout=10)[1]
    assert process.returncode == -signal.SIGTERM
    time.sleep(0.2)
    for file in tmp_path.glob("pid.*"):
        status = Path(f"/proc/{file.read_text().strip()}/stat")
        assert not status.exists() or status.read_text().split()[2] == "Z"
