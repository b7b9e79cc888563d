"""local/download.py: a broken download goes on where it stopped; a wrong size and a dead network are one line."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from data_dirs import assert_fails_in_one_line, run

CONTENT = bytes(range(256)) * 100


class Handler(BaseHTTPRequestHandler):
    """Serves CONTENT, from an offset where the request asks for a range."""

    ranges: list[str] = []

    def do_GET(self) -> None:
        asked = self.headers.get("Range")
        Handler.ranges.append(asked or "all")
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
        self.send_response(206 if asked else 200)
        self.send_header("Content-Length", str(len(CONTENT) - start))
        self.end_headers()
        self.wfile.write(CONTENT[start:])

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def url() -> Iterator[str]:
    Handler.ranges.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/file"
        server.shutdown()
        thread.join()


def test_download_resumes_and_is_not_repeated(url: str, tmp_path: Path) -> None:
    (tmp_path / "file.part").write_bytes(CONTENT[:1000])
    for _ in range(2):
        done = run("local/download.py", "--size", str(len(CONTENT)), url, tmp_path / "file")
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert Handler.ranges == ["bytes=1000-"]
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_wrong_size(url: str, tmp_path: Path) -> None:
    done = run("local/download.py", "--size", "99999", url, tmp_path / "file")
    assert_fails_in_one_line(done, url, str(len(CONTENT)), "99999")
    assert not (tmp_path / "file").exists()


def test_server_that_does_not_say_how_long(url: str, tmp_path: Path) -> None:
    assert_fails_in_one_line(run("local/download.py", url, tmp_path / "file"), url, "does not say how long")


def test_no_network(tmp_path: Path) -> None:
    done = run("local/download.py", "--size", "5", "http://127.0.0.1:9/file", tmp_path / "file")
    assert_fails_in_one_line(done, "cannot reach", "--corpus-dir")
