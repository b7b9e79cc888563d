"""utils/run.pl, queue.pl and slurm.pl: one interface, the same logs. The queues are stood in for by small scripts."""

import fcntl
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from waiting import wait_until

UTILS = Path(__file__).resolve().parents[2] / "utils"

# A queue whose tasks are processes of this machine. $QUEUE/<task> holds the process of a task that runs; $QUEUE/away:
# the queue cannot be reached; LOSE=<task>: that one ends without a word; SLOW=<seconds>: a submission's answer is late.
QUEUE = """#!/bin/bash
program=$(basename "$0")
if [ -e "$QUEUE/away" ]; then echo "error: Unable to contact slurm controller or qmaster" >&2; exit 1; fi
case $program in
  sbatch | qsub)
    echo "$@" > "$QUEUE/arguments"
    while [ $# -gt 1 ]; do
      case $1 in
        -t) range=$2 ;;
        --array=*) range=${1#*=} ;;
        -o) output=${2%.*} ;;
        -pe) echo "localhost $3 all.q@localhost" > "$QUEUE/hosts" ;;
        --output=*) output=${1#*=}; output=${output%.*} ;;
      esac
      shift
    done
    range=${range%%%*}
    for task in $(seq "${range%-*}" "${range#*-}"); do
      [ "$task" != "$LOSE" ] || continue
      export PE_HOSTFILE=$QUEUE/hosts SGE_TASK_ID=$task SLURM_ARRAY_TASK_ID=$task
      setsid env -i $(env | grep -E '^(PE_HOSTFILE|SGE_|SLURM_)') PATH=/usr/bin:/bin bash "$1" > "$output.$task" 2>&1 &
      echo $! > "$QUEUE/$task"
    done
    case $program in
      sbatch) echo "Submitted batch job 77" ;;
      qsub) echo "Your job-array 77.$range:1 (\"x\") has been submitted" ;;
    esac
    touch "$QUEUE/submitted"
    sleep "${SLOW-0}" ;;
  srun)
    tasks=${1#--ntasks=}
    while [[ $1 == --* ]]; do shift; done
    for task in $(seq 0 $((tasks - 1))); do SLURM_PROCID=$task "$@" & done
    for task in $(seq "$tasks"); do wait -n || exit; done ;;
  qrsh) shift 3; exec bash -c "$*" ;;
  squeue | qstat)
    [[ " $* " != *" -j "* ]] || exit 1
    for file in "$QUEUE"/[0-9]*; do
      if kill -0 "$(cat "$file")" 2> /dev/null; then
        task=$(basename "$file")
        case $program in
          squeue) echo "$task RUNNING None" ;;
          qstat) echo "job-ID prior ..."; echo "77 0.5 x user r 11/29/2026 15:01:10 all.q@localhost 1 $task" ;;
        esac
      fi
    done ;;
  qacct) printf 'failed 37 : qmaster enforced h_rt limit\nexit_status 137\n' ;;
  scancel | qdel) for file in "$QUEUE"/[0-9]*; do kill -TERM -- -"$(cat "$file")"; done ;;
esac
"""


@pytest.fixture
def queues(tmp_path: Path) -> Iterator[dict[str, str]]:
    """An environment with the commands of both queues."""
    for name in ("bin", "queue"):
        (tmp_path / name).mkdir()
    for name in ("sbatch", "srun", "squeue", "scancel", "qsub", "qrsh", "qstat", "qdel", "qacct"):
        (tmp_path / "bin" / name).write_text(QUEUE)
        (tmp_path / "bin" / name).chmod(0o755)
    yield dict(
        os.environ,
        PATH=f"{tmp_path}/bin:{os.environ['PATH']}",
        QUEUE=f"{tmp_path}/queue",
        QUEUE_PATIENCE_SECONDS="1",
        QUEUE_RETRY_SECONDS="1",
    )


def submit(runner: str, *arguments: str, env: dict[str, str], cwd: Path) -> subprocess.CompletedProcess:
    return subprocess.run([UTILS / runner, *arguments], env=env, cwd=cwd, capture_output=True, text=True)


runners = pytest.mark.parametrize("runner", ["run.pl", "queue.pl", "slurm.pl"])
queued = pytest.mark.parametrize("runner", ["queue.pl", "slurm.pl"])


@runners
def test_array_and_log(runner: str, queues: dict[str, str], tmp_path: Path) -> None:
    options = "--mem 2G JOB=1:3 --num-threads 2".split()
    pipe = ["echo", "two words JOB", "|", "sed", 's/two/2 & "quoted" JOB/', ">", "out.JOB"]
    done = submit(runner, *options, "log/x.JOB.log", *pipe, env=queues, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out.2").read_text() == '2 two "quoted" 2 words 2\n'
    log = (tmp_path / "log/x.2.log").read_text().splitlines()
    assert log[0].startswith("# echo ") and "JOB" not in log[0]
    assert log[1].startswith("# Started at ") and log[2].startswith("# Running on ") and log[3] == "#"
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
    assert {"mem_free=4G,ram_free=4G", "gpu=1", "-tc", "1-4"} <= set((tmp_path / "queue/arguments").read_text().split())
    assert submit("slurm.pl", *options, env=queues, cwd=tmp_path).returncode == 0
    assert {"--gres=gpu:1", "--mem", "--array=1-4%2"} <= set((tmp_path / "queue/arguments").read_text().split())


def test_flags_with_one_dash_are_for_the_queue(queues: dict[str, str], tmp_path: Path) -> None:
    options = ["-V", "-l", "mem_free=1G", "-tc", "2", "-pe", "smp", "2", "JOB=1:4", "x.JOB.log", "echo", "JOB"]
    for runner in ("run.pl", "queue.pl"):
        assert submit(runner, *options, env=queues, cwd=tmp_path).returncode == 0
    assert "-tc 2 -V -l mem_free=1G -pe smp 2 " in (tmp_path / "queue/arguments").read_text()


def test_queue_configuration(queues: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "site.conf").write_text("command qsub -q mine   # ours\noption mem=* -l m=$0\ndefault mem=1G\n")
    arguments = ["--config", "site.conf", "JOB=1:1", "x.JOB.log", "true"]
    assert submit("queue.pl", *arguments, env=queues, cwd=tmp_path).returncode == 0
    assert (tmp_path / "queue/arguments").read_text().startswith("-q mine -l m=1G ")
    done = submit("queue.pl", "--time", "1h", *arguments, env=queues, cwd=tmp_path)
    assert done.returncode != 0 and "--time has no rule in site.conf" in done.stderr


@queued
def test_what_a_step_sets_reaches_its_jobs(runner: str, queues: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "path.sh").write_text("export SOURCED=yes\n")
    set_by_step = {"OMP_NUM_THREADS": "3", "KALDI_ROOT": "/it's a folder"}
    show = "echo $SOURCED $OMP_NUM_THREADS $KALDI_ROOT > out; echo $PATH >> out".split()
    assert submit(runner, "x.log", *show, env=queues | set_by_step, cwd=tmp_path).returncode == 0
    assert (tmp_path / "out").read_text() == f"yes 3 /it's a folder\n{queues['PATH']}\n"


@runners
@pytest.mark.parametrize("name", ["a b", "[x]{y}", 'it\'s "q" $HOME'])
def test_odd_paths(runner: str, name: str, queues: dict[str, str], tmp_path: Path) -> None:
    folder = tmp_path / name
    foreign = folder / "log/q/x.done.1"
    foreign.parent.mkdir(parents=True)
    foreign.touch()
    command = "echo JOB > out.JOB && [ JOB -eq 1 ]".split()
    done = submit(runner, "JOB=1:2", "log/1 x.JOB.log", *command, env=queues, cwd=folder)
    assert done.returncode == 1 and "1 of 2 jobs failed (2), log is in log/1 x.2.log" in done.stderr
    assert (folder / "out.1").read_text() == "1\n" and list(foreign.parent.iterdir()) == [foreign]


@runners
def test_the_jobs_number_in_the_logs_folder(runner: str, queues: dict[str, str], tmp_path: Path) -> None:
    assert submit(runner, "JOB=1:2", "JOB/log/x.log", "true", env=queues, cwd=tmp_path).returncode == 0
    assert all("(code 0)" in (tmp_path / f"{n}/log/x.log").read_text() for n in (1, 2))
    assert not (tmp_path / "JOB").exists()


@runners
def test_long_command(runner: str, queues: dict[str, str], tmp_path: Path) -> None:
    words = " ".join(["word"] * 25_000)
    assert submit(runner, "x.log", "echo", words, ">", "out", env=queues, cwd=tmp_path).returncode == 0
    assert (tmp_path / "out").read_text() == f"{words}\n"


@runners
def test_retries(runner: str, queues: dict[str, str], tmp_path: Path) -> None:
    die_once = "test -e once.JOB || { touch once.JOB; kill -9 $BASHPID; }".split()
    options = ["--max-retries", "1", "JOB=1:2"]
    done = submit(runner, *options, "x.JOB.log", *die_once, env=queues, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    log = (tmp_path / "x.2.log").read_text()
    assert "(code 137)" in log and "# Attempt 2 of 2\n" in log and "(code 0)" in log
    always = "[ JOB -eq 1 ] || kill -9 $BASHPID".split()
    assert submit(runner, *options, "y.JOB.log", *always, env=queues, cwd=tmp_path).returncode == 1
    assert (tmp_path / "y.2.log").read_text().count("(code 137)") == 2
    by_itself = submit(runner, "--max-retries", "1", "z.log", "false", env=queues, cwd=tmp_path)
    assert by_itself.returncode == 1 and "Attempt" not in (tmp_path / "z.log").read_text()


@queued
def test_several_machines(runner: str, queues: dict[str, str], tmp_path: Path) -> None:
    folder = tmp_path / "it's a folder"
    folder.mkdir()
    options = ["--num-nodes", "2", "--num-threads", "3"]
    found = "echo $MASTER_ADDR $MASTER_PORT $PWD > out.$NODE_RANK ; echo said".split()
    done = submit(runner, *options, "x.log", *found, env=queues, cwd=folder)
    assert done.returncode == 0, done.stderr
    address, port, where = (folder / "out.0").read_text().split(maxsplit=2)
    assert address and int(port) and where == f"{folder}\n"
    assert (folder / "out.1").read_text() == (folder / "out.0").read_text()
    assert (folder / "x.log").read_text().count("\nsaid") == 2
    flags = {"queue.pl": "-pe nodes 6 ", "slurm.pl": "--nodes 2 --cpus-per-task 3 "}[runner]
    assert flags in (tmp_path / "queue/arguments").read_text()


@queued
def test_one_of_several_machines_fails(runner: str, queues: dict[str, str], tmp_path: Path) -> None:
    options = "--num-nodes 2 --max-retries 1 x.log".split()
    die_once = "test -e once.$NODE_RANK || { touch once.$NODE_RANK; [ $NODE_RANK = 0 ] || kill -9 $BASHPID; }".split()
    done = submit(runner, *options, *die_once, env=queues, cwd=tmp_path)
    assert done.returncode == 0 and "(code 137)" in (tmp_path / "x.log").read_text(), done.stderr
    done = submit(runner, *options, *"exit $NODE_RANK".split(), env=queues, cwd=tmp_path)
    assert done.returncode == 1 and "(code 1)" in (tmp_path / "x.log").read_text()


def test_machines_that_are_not_there(queues: dict[str, str], tmp_path: Path) -> None:
    done = submit("run.pl", "--num-nodes", "2", "x.log", "true", env=queues, cwd=tmp_path)
    assert done.returncode == 1 and "this is one machine" in done.stderr
    (tmp_path / "site.conf").write_text("command qsub -pe smp 4\noption num_nodes=* -q x\n")
    options = ["--config", "site.conf", "--num-nodes", "2", "--num-threads", "3"]
    done = submit("queue.pl", *options, "x.log", "true", env=queues, cwd=tmp_path)
    assert done.returncode == 1 and "2 machines of 3, but GridEngine gave: localhost 4." in done.stderr


@queued
def test_two_runners_with_one_log(runner: str, queues: dict[str, str], tmp_path: Path) -> None:
    arguments = [UTILS / runner, "x.log", "sleep", "0.5;"]
    fails = subprocess.Popen([*arguments, "false"], env=queues, cwd=tmp_path, stderr=subprocess.DEVNULL)
    assert subprocess.run([*arguments, "true"], env=queues, cwd=tmp_path).returncode == 0
    assert fails.wait(10) == 1 and not (tmp_path / "q").exists()


@queued
def test_the_job_of_a_killed_runner_is_cancelled(runner: str, queues: dict[str, str], tmp_path: Path) -> None:
    killed = subprocess.Popen([UTILS / runner, "x.log", *"sleep 1; touch wrong".split()], env=queues, cwd=tmp_path)
    wait_until((tmp_path / "queue/submitted").exists, 10)
    killed.kill()
    killed.wait()
    done = submit(runner, "x.log", *"sleep 1.5; false".split(), env=queues, cwd=tmp_path)
    assert done.returncode == 1 and "an earlier run with the log x.log was killed" in done.stderr
    assert not (tmp_path / "wrong").exists() and not (tmp_path / "q").exists()


@queued
def test_a_queue_that_cannot_be_reached_is_waited_for(runner: str, queues: dict[str, str], tmp_path: Path) -> None:
    away = tmp_path / "queue/away"
    away.touch()
    command = "touch started; sleep 3; false".split()  # longer than the patience with a lost task
    process = subprocess.Popen(
        [UTILS / runner, "x.log", *command], env=queues, cwd=tmp_path, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr and "the queue cannot be reached to submit" in process.stderr.readline()
    away.unlink()
    wait_until((tmp_path / "started").exists, 10)
    away.touch()
    output = process.communicate(timeout=20)[1]
    assert process.returncode == 1 and "left the queue" not in output


@queued
def test_ctrl_c_while_submitting(runner: str, queues: dict[str, str], tmp_path: Path) -> None:
    process = subprocess.Popen(
        ["env", "--default-signal=INT", UTILS / runner, "x.log", *"sleep 1.5; touch wrong".split()],
        env=queues | {"SLOW": "0.5"},
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    wait_until((tmp_path / "queue/submitted").exists, 10)
    os.killpg(process.pid, signal.SIGINT)
    assert "stopped by SIGINT; cancelled the job of x.log" in process.communicate(timeout=10)[1]
    assert process.returncode == -signal.SIGINT and not (tmp_path / "q").exists()
    time.sleep(1.5)
    assert not (tmp_path / "wrong").exists()


@queued
def test_bad_input_is_one_line(runner: str, queues: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "bad.conf").write_text("command sbatch\n\noptoin mem=* --mem $0\n")
    (tmp_path / "elsewhere.conf").write_text("command nosuchprogram\n")
    (tmp_path / "file").touch()
    for arguments, message in [
        (["--nosuch", "1", "x.log", "true"], "option --nosuch has no rule"),
        (["--config", "nosuch.conf", "x.log", "true"], "cannot read the configuration nosuch.conf"),
        (["--config", "bad.conf", "x.log", "true"], "bad.conf line 3: cannot read 'optoin mem=* --mem $0'"),
        (["--config", "elsewhere.conf", "x.log", "true"], "there is no nosuchprogram on this machine"),
        (["JOB=3:1", "x.JOB.log", "true"], "bad job range JOB=3:1"),
        (["file/x.log", "true"], "cannot make the directory file"),
    ]:
        done = submit(runner, *arguments, env=queues, cwd=tmp_path)
        assert done.returncode == 1 and message in done.stderr and len(done.stderr.splitlines()) == 1, done.stderr
    assert not (tmp_path / "queue/arguments").exists()


def test_limit_without_a_rule(queues: dict[str, str], tmp_path: Path) -> None:
    """Slurm's is a part of the array's range; without a rule, GridEngine's is ignored. The runner waits by itself."""
    for runner, program, limit in (("slurm.pl", "sbatch", "%2"), ("queue.pl", "qsub", "-t 1-4 ")):
        (tmp_path / "site.conf").write_text(f"command {program}\n")
        options = ["--config", "site.conf", "--max-jobs-run", "2", "JOB=1:4", "x.JOB.log", "true"]
        assert submit(runner, *options, env=queues, cwd=tmp_path).returncode == 0
        assert limit in (tmp_path / "queue/arguments").read_text()
    assert submit("queue.pl", *"-sync y -pe smp 3 x.log true".split(), env=queues, cwd=tmp_path).returncode == 0
    assert "sync" not in (tmp_path / "queue/arguments").read_text()
    assert "threads=3" in (tmp_path / "x.log").read_text()


@queued
def test_a_lost_task_is_noticed(runner: str, queues: dict[str, str], tmp_path: Path) -> None:
    done = submit(runner, "JOB=1:2", "x.JOB.log", "true", env=queues | {"LOSE": "2"}, cwd=tmp_path)
    why = {"queue.pl": "qmaster enforced h_rt limit", "slurm.pl": "left the queue without an exit code"}[runner]
    assert done.returncode == 1 and f"task 2 of job 77: {why}" in done.stderr
    assert f"# {runner}: task 2 of job 77: {why}\n" in (tmp_path / "x.2.log").read_text()


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


def test_gpus_that_grid_engine_only_counts(queues: dict[str, str], tmp_path: Path) -> None:
    first = 10 * os.getpid()  # of this test alone: the locks are the machine's
    nvidia_smi = tmp_path / "bin" / "nvidia-smi"
    nvidia_smi.write_text(f'#!/bin/bash\nfor gpu in {first} {first + 1} {first + 2}; do echo "GPU $gpu: a"; done\n')
    nvidia_smi.chmod(0o755)
    show = "echo $CUDA_VISIBLE_DEVICES > gpu.JOB".split()
    wait = "until [ -e gpu.1 ] && [ -e gpu.2 ]; do sleep 0.1; done".split()
    options = ["--gpu", "1", "JOB=1:2", "x.JOB.log"]
    assert submit("queue.pl", *options, *show, ";", *wait, env=queues, cwd=tmp_path).returncode == 0
    gpus = {int((tmp_path / f"gpu.{n}").read_text()) for n in (1, 2)}
    assert len(gpus) == 2 and gpus < {first, first + 1, first + 2}
    assert submit("queue.pl", "--gpu", "3", "JOB=1:1", "x.JOB.log", *show, env=queues, cwd=tmp_path).returncode == 0
    assert (tmp_path / "gpu.1").read_text() == f"{first},{first + 1},{first + 2}\n"
    with Path(f"/tmp/queue.pl.gpu{first + 1}").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = submit("queue.pl", "--gpu", "3", "x.log", "true", env=queues, cwd=tmp_path)
    assert done.returncode == 1 and "--gpu 3, but on" in done.stderr and "only 2 are free" in done.stderr
    for number in range(3):
        Path(f"/tmp/queue.pl.gpu{first + number}").unlink()


def test_a_signal_ends_the_jobs(tmp_path: Path) -> None:
    jobs = "JOB=1:2 --max-jobs-run 2 x.JOB.log echo $BASHPID > pid.JOB ; exec sleep 60"
    process = subprocess.Popen([UTILS / "run.pl", *jobs.split()], cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    wait_until(lambda: sum(f.stat().st_size > 0 for f in tmp_path.glob("pid.*")) == 2, 10)
    process.send_signal(signal.SIGTERM)
    assert "stopped by SIGTERM" in process.communicate(timeout=10)[1]
    assert process.returncode == -signal.SIGTERM
    stats = [Path(f"/proc/{file.read_text().strip()}/stat") for file in tmp_path.glob("pid.*")]
    # A busy machine takes its time to end a process.
    wait_until(lambda: not any(stat.exists() and stat.read_text().split()[2] != "Z" for stat in stats), 5)
