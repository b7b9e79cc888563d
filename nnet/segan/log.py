"""Messages of the programs: plain lines on stderr, and one without a traceback where bad input or Ctrl-C ends one."""

from __future__ import annotations

import functools
import logging
import sys
from collections.abc import Callable

from nnet.signals import Stopped

log = logging.getLogger("segan")


def stop_on_errors(*errors: type[Exception]) -> Callable:
    """Decorate a program's main: any of the errors is printed as one line and ends it with status 1.

    What stopped because of a signal ends as shells report it, with 130 or 143.
    """

    def decorate(main: Callable[[], None]) -> Callable[[], int]:
        @functools.wraps(main)
        def run() -> int:
            logging.basicConfig(format="%(levelname)s %(message)s", level=logging.WARNING)
            log.setLevel(logging.INFO)
            try:
                main()
            except errors as error:
                print(f"{sys.argv[0]}: error: {error}", file=sys.stderr)
                return 1
            except Stopped as stopped:
                print(f"{sys.argv[0]}: {stopped}", file=sys.stderr)
                return stopped.status
            except KeyboardInterrupt:
                print(f"{sys.argv[0]}: stopped", file=sys.stderr)
                return 130
            return 0

        return run

    return decorate
