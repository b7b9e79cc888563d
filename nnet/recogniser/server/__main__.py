"""Serve a packed model: python -m nnet.recogniser.server --help."""

from __future__ import annotations

import argparse
import socket
import sys
from pathlib import Path

DESCRIPTION = """A page in the browser to try a model that local/pack_model.sh made: record from the microphone or drop
files, see the words with their confidence, hear the recording and, where SEGAN belongs to the model, its enhanced
version, download every format. POST /transcribe answers programs, the WebSocket /live gives partial results. Nothing
is kept, and nothing is loaded from or sent to another machine."""

MESSAGE_BYTES, CONNECTIONS = 1 << 20, 100


def main() -> int:
    parser = argparse.ArgumentParser(prog="local/serve.sh", description=DESCRIPTION)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at (default: %(default)s, this machine)")
    parser.add_argument("--port", type=int, default=8000, help="(default: %(default)s)")
    parser.add_argument("--megabytes", type=float, default=200, help="of a recording, at most (default: %(default)s)")
    parser.add_argument("--minutes", type=float, default=30, help="of a recording, at most (default: %(default)s)")
    parser.add_argument("--jobs", type=int, default=1, help="recordings that are recognised at a time (default: 1)")
    parser.add_argument("--encoder", metavar="DIR", help="where the encoder of the features lies, if not in the model")
    parser.add_argument("model", type=Path, metavar="<model>")
    arguments = parser.parse_args()
    if min(arguments.megabytes, arguments.minutes, arguments.jobs) <= 0:
        parser.error("--megabytes, --minutes, --jobs: more than 0")
    try:
        import uvicorn

        from nnet.recogniser import KaldiError, Recogniser
        from nnet.recogniser.server.app import Limits, make_app
    except ModuleNotFoundError as error:
        return _fail(f"the package {error.name} is not installed: pip install -r requirements-serve.txt")
    try:
        family = socket.AF_INET6 if ":" in arguments.host else socket.AF_INET
        listener = socket.create_server((arguments.host, arguments.port), family=family)
    except (OSError, OverflowError) as error:
        return _fail(f"port {arguments.port} of {arguments.host} cannot be used ({error}): give another by --port")
    with listener:
        try:
            recogniser = Recogniser(arguments.model, encoder=arguments.encoder)
        except (OSError, ValueError, KaldiError) as error:
            return _fail(error)
        port = listener.getsockname()[1]
        limits = Limits(arguments.megabytes, arguments.minutes, jobs=arguments.jobs)
        hosts = [arguments.host, "localhost"] if arguments.host in ("127.0.0.1", "localhost") else None
        config = uvicorn.Config(
            make_app(recogniser, limits, hosts),
            log_level="warning",
            ws="websockets-sansio",
            ws_max_size=MESSAGE_BYTES,
            limit_concurrency=CONNECTIONS,
        )
        print(f"{arguments.model}: http://{arguments.host}:{port}/ (Ctrl-C ends it)", flush=True)
        uvicorn.Server(config).run([listener])
    return 0


def _fail(problem: Exception | str) -> int:
    print(f"local/serve.sh: {problem}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
