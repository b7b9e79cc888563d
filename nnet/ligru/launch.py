"""torchrun, with the exit code of its processes: python3 -m nnet.ligru.launch <options and arguments of torchrun>.

torchrun's own is 1 whatever happened. Job runners begin anew what a signal ended, and a training that has saved itself
after one says so by its exit code.
"""

from __future__ import annotations

import sys

from torch.distributed import run
from torch.distributed.elastic.multiprocessing import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError


def main(argv: list[str] | None = None) -> int:
    """0; the exit code of the process that failed first; 128 and its number for a signal, as shells do."""
    try:
        run.main(argv)
    except ChildFailedError as failed:
        code = failed.get_first_failure()[1].exitcode
        return code if code > 0 else 128 - code
    except SignalException as stopped:
        return 128 + stopped.sigval
    return 0


if __name__ == "__main__":
    sys.exit(main())
