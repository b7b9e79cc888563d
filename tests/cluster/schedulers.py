"""A Slurm and a GridEngine of one machine, Debian's, on the loopback interface, each in a folder of its own."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from pathlib import Path

from waiting import wait_until

HOST = socket.gethostname().split(".")[0]
SLOTS = 8


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Scheduler:
    """What both have."""

    runner = ""
    programs: tuple[str, ...] = ()
    several: tuple[str, ...] = ()  # flags for a job of several machines

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.env = {k: v for k, v in os.environ.items() if not k.startswith(("SLURM", "SGE"))}
        self.daemons: dict[str, subprocess.Popen] = {}

    @classmethod
    def missing(cls) -> list[str]:
        return [p for p in cls.programs if not shutil.which(p)]

    def call(self, *command: str | Path, check: bool = True) -> str:
        done = subprocess.run(command, env=self.env, cwd=self.folder, capture_output=True, text=True, timeout=120)
        if check and done.returncode != 0:
            raise RuntimeError(f"{command}: {done.stdout}{done.stderr}")
        return done.stdout + done.stderr

    def start_daemon(self, name: str, *command: str) -> None:
        log = (self.folder / f"{name}.out").open("ab")
        self.daemons[name] = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", *command],  # they end with the tests, however those end
            env=self.env,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )

    def stop_daemon(self, name: str, how: signal.Signals = signal.SIGTERM) -> None:
        daemon = self.daemons.pop(name, None)
        if daemon is not None:
            daemon.send_signal(how)
            try:
                daemon.wait(20)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()

    def stop(self) -> None:
        for name in list(self.daemons)[::-1]:
            self.stop_daemon(name)


class Slurm(Scheduler):
    runner = "slurm.pl"
    programs = ("slurmctld", "slurmd", "sbatch")
    several = ("-p", "pair")

    def start(self) -> None:
        controller, node, second = free_port(), free_port(), free_port()
        (self.folder / "state").mkdir()
        (self.folder / "slurm.conf").write_text(f"""ClusterName=test
SlurmctldHost={HOST}(127.0.0.1)
SlurmctldPort={controller}
SlurmdPort={node}
SlurmUser=root
AuthType=auth/none
CredType=cred/none
StateSaveLocation={self.folder}/state
SlurmdSpoolDir={self.folder}/spool.%n
SlurmctldPidFile={self.folder}/slurmctld.pid
SlurmdPidFile={self.folder}/slurmd.%n.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SlurmdParameters=config_overrides
DefMemPerCPU=500
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=1
JobAcctGatherParams=OverMemoryKill
ReturnToService=2
KillWait=2
SchedulerParameters=batch_sched_delay=0,sched_interval=1
MessageTimeout=3
NodeName={HOST} NodeAddr=127.0.0.1 CPUs={SLOTS} RealMemory=16000 State=UNKNOWN
NodeName=second NodeHostname={HOST} NodeAddr=127.0.0.1 Port={second} CPUs={SLOTS} RealMemory=16000 State=UNKNOWN
PartitionName=main Nodes={HOST} Default=YES MaxTime=INFINITE State=UP
PartitionName=pair Nodes={HOST},second MaxTime=INFINITE State=UP
""")
        self.env["SLURM_CONF"] = str(self.folder / "slurm.conf")
        self.start_controller()
        self.start_node()
        self.start_daemon("second", "slurmd", "-D", "-N", "second")
        wait_until(lambda: self.call("sinfo", "--noheader", "--Node", check=False).count("idle") == 3)

    def start_controller(self) -> None:
        self.start_daemon("controller", "slurmctld", "-D")

    def stop_controller(self) -> None:
        self.stop_daemon("controller")

    def start_node(self) -> None:
        self.start_daemon("node", "slurmd", "-D")

    def stop_node(self) -> None:
        self.stop_daemon("node", signal.SIGKILL)

    def jobs(self) -> list[str]:
        """The numbers of the jobs of the tasks that wait or run."""
        return self.call("squeue", "--noheader", "--array", "--format=%F").split()

    def end_task(self, job: str, task: int) -> None:
        self.call("scancel", f"{job}_{task}")


class GridEngine(Scheduler):
    runner = "queue.pl"
    programs = ("sge_qmaster", "sge_execd", "qsub")
    SHARE = Path("/usr/share/gridengine")
    LIBRARY = Path("/usr/lib/gridengine")

    def start(self) -> None:
        common, spool = self.folder / "default/common", self.folder / "spool"
        for directory in (common, spool / "qmaster/job_scripts", spool / "execd"):
            directory.mkdir(parents=True)
        (self.folder / "util").symlink_to(self.SHARE / "util")
        (self.folder / "utilbin").mkdir()
        (self.folder / "utilbin/lx-amd64").symlink_to(self.LIBRARY)  # where qrsh looks for its other half
        self.env |= {
            "SGE_ROOT": str(self.folder),
            "SGE_CELL": "default",
            "SGE_QMASTER_PORT": str(free_port()),
            "SGE_EXECD_PORT": str(free_port()),
            "SGE_ND": "1",  # in the foreground
        }
        spooling = f"{common};{spool}/qmaster"
        (common / "bootstrap").write_text(f"""admin_user none
default_domain none
ignore_fqdn true
spooling_method classic
spooling_lib libspoolc
spooling_params {spooling}
binary_path {self.LIBRARY}
qmaster_spool_dir {spool}/qmaster
security_mode none
listener_threads 2
worker_threads 2
scheduler_threads 1
""")
        (common / "host_aliases").write_text(f"localhost {socket.gethostname()}\n")
        (common / "act_qmaster").write_text("localhost\n")
        # Jobs start by a login shell, whose profile is not to be that of whoever runs the tests.
        (self.folder / "home").mkdir()
        (self.folder / "home/.bash_profile").write_text("PATH=/usr/bin:/bin LC_ALL=C.UTF-8\n")
        (common / "sge_request").write_text(f"-v HOME={self.folder}/home\n")
        settings = {"execd_spool_dir": spool / "execd", "mailer": "/bin/true", "min_uid": 0, "min_gid": 0}
        lines = (self.SHARE / "default-configuration").read_text().splitlines()
        lines = [
            f"{line.split()[0]} {settings[line.split()[0]]}"
            if line.split()[:1] and line.split()[0] in settings
            else line
            for line in lines
        ]
        (common / "configuration").write_text("\n".join(lines) + "\n")
        self.call(self.LIBRARY / "spoolinit", "classic", "libspoolc", spooling, "init")
        for what in (
            ("complexes", self.SHARE / "util/resources/centry"),
            ("usersets", self.SHARE / "util/resources/usersets"),
            ("managers", "root"),
        ):
            self.call(self.LIBRARY / "spooldefaults", *what)
        self.start_controller()
        self.configure()
        self.start_node()
        wait_until(lambda: "lx-amd64" in self.call("qhost", "-h", "localhost", check=False))

    def configure(self) -> None:
        """A queue with parallel environments, and the resources that Kaldi's configuration asks for.

        The one for several machines gives slots of this one, there being no other.
        """
        self.call("qconf", "-as", "localhost")
        self.file_call("-Ahgrp", "group_name @allhosts\nhostlist localhost\n")
        smp = (self.SHARE / "util/resources/pe/smp").read_text()
        for name in ("smp", "nodes"):
            self.file_call("-Ap", smp.replace("smp", name))
        queue = dict(line.split(maxsplit=1) for line in self.call("qconf", "-sq").splitlines())
        queue |= dict(
            qname="all.q", hostlist="@allhosts", slots=str(SLOTS), pe_list="smp nodes", load_thresholds="NONE"
        )
        self.file_call("-Aq", "".join(f"{k} {v}\n" for k, v in queue.items()))
        schedule = dict(line.split(maxsplit=1) for line in self.call("qconf", "-ssconf").splitlines())
        schedule |= dict(schedule_interval="0:0:1", flush_submit_sec="1", flush_finish_sec="1")
        self.file_call("-Msconf", "".join(f"{k} {v}\n" for k, v in schedule.items()))
        resources = self.call("qconf", "-sc") + "ram_free ram_free MEMORY <= YES YES 0 0\ngpu gpu INT <= YES YES 0 0\n"
        self.file_call("-Mc", resources)
        self.call("qconf", "-rattr", "exechost", "complex_values", "ram_free=16G,gpu=0", "localhost", check=False)

    def file_call(self, flag: str, text: str) -> None:
        (self.folder / "settings").write_text(text)
        self.call("qconf", flag, "settings")

    def start_controller(self) -> None:
        self.start_daemon("controller", "sge_qmaster")
        wait_until(lambda: "unable" not in self.call("qconf", "-ss", check=False))

    def stop_controller(self) -> None:
        self.stop_daemon("controller", signal.SIGKILL)  # it writes all down at once, and takes 10 s to end

    def start_node(self) -> None:
        self.start_daemon("node", "sge_execd")

    def stop(self) -> None:
        self.stop_node()
        self.stop_controller()

    def stop_node(self) -> None:
        self.stop_daemon("node", signal.SIGKILL)

    def jobs(self) -> list[str]:
        """The numbers of the jobs of the tasks that wait or run."""
        lines = self.call("qstat", "-g", "d", "-u", "*").splitlines()[2:]
        return [line.split()[0] for line in lines]

    def end_task(self, job: str, task: int) -> None:
        self.call("qdel", job, "-t", str(task))
