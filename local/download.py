#!/usr/bin/env python3
"""Download a file, going on where a broken download stopped, and check its size."""

from __future__ import annotations

import argparse
import shutil
import sys
import urllib.error
import urllib.request
from pathlib import Path

TIMEOUT_SECONDS = 60


def download(url: str, target: Path, size: int) -> None:
    """Fetch url into target unless it is there with its size in bytes. Raises OSError; ValueError for another size.

    A size of 0 is what the server says it is.
    """
    if not size:
        with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=TIMEOUT_SECONDS) as response:
            size = int(response.headers["Content-Length"] or 0)
        if not size:
            raise ValueError(f"the server does not say how long {url} is: fetch it by hand")
    if target.exists() and target.stat().st_size == size:
        return
    partial = target.with_name(target.name + ".part")
    target.parent.mkdir(parents=True, exist_ok=True)
    have = partial.stat().st_size if partial.exists() else 0
    if have < size:
        request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as response:
            goes_on = response.status == 206
            with partial.open("ab" if goes_on else "wb") as file:
                shutil.copyfileobj(response, file, 1 << 20)
    if partial.stat().st_size != size:
        found = partial.stat().st_size
        if found > size:
            partial.unlink()
        raise ValueError(f"{url} gave {found} bytes instead of {size}")
    partial.replace(target)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=0, help="bytes of the complete file (default: as the server says)")
    parser.add_argument("url")
    parser.add_argument("file", type=Path)
    arguments = parser.parse_args()
    try:
        download(arguments.url, arguments.file, arguments.size)
    except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
        reason = getattr(error, "reason", error)
        sys.exit(f"download.py: cannot reach {arguments.url} ({reason}); start again to go on, or give --corpus-dir")
    except (OSError, ValueError) as error:
        sys.exit(f"download.py: {error}; start again to go on")


if __name__ == "__main__":
    main()
