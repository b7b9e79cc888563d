"""The web application: formats, partial results, enhancement, bad requests, and the page in a browser."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import shutil
import socket
import subprocess
import sys
import urllib.request
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from recipe_copy import ROOT
from waiting import wait_until

from kaldi.base.log import KaldiError
from local import cut_at_pauses
from nnet.recogniser import Recogniser
from nnet.recogniser.formats import FORMATS
from nnet.recogniser.server.live import Live

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")
pytest.importorskip("httpx2")

from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from nnet.recogniser.server.app import Limits, RequestError, make_app, received

LIMITS = Limits(megabytes=0.5, minutes=0.2, silence=5.0)
BROWSER = shutil.which("chromium") or shutil.which("google-chrome")


@pytest.fixture
def client(recogniser: Recogniser) -> Iterator[TestClient]:
    with TestClient(make_app(recogniser, LIMITS), raise_server_exceptions=False) as client:
        yield client


def test_transcribe_in_all_formats(client: TestClient, recogniser: Recogniser, recordings: list[Path]) -> None:
    content, found = recordings[1].read_bytes(), recogniser.transcribe(recordings[1])
    for form, write in FORMATS.items():
        answer = client.post(f"/transcribe?format={form}&name=a child.wav", content=content)
        assert (answer.status_code, answer.text) == (200, write("a_child", found))
    answer = client.post("/transcribe?format=all&name=x", content=content).json()
    assert answer["text"] == "FIVE NINE" and set(answer["files"]) == set(FORMATS)
    assert answer["files"]["txt"] == "x FIVE NINE\n"
    answer = client.post("/transcribe?alternatives=2", content=content).json()
    assert len(answer["pieces"][0]["alternatives"]) == 2


def test_model_and_page(client: TestClient) -> None:
    told = client.get("/model").json()
    assert told["formats"] == list(FORMATS) and told["minutes"] == LIMITS.minutes and not told["enhances"]
    page = client.get("/")
    assert "default-src 'self'" in page.headers["Content-Security-Policy"]
    for name in ("page.js", "page.css", "microphone.js"):
        assert client.get(f"/{name}").status_code == 200
    for path in (ROOT / "nnet/recogniser/server/page").iterdir():  # nothing comes from elsewhere
        assert "//" not in path.read_text().replace("// ", "").replace("}://${location.host}", "")


def test_what_is_wrong_with_a_request(client: TestClient, recordings: list[Path]) -> None:
    def refused(path: str, content: bytes) -> tuple[int, str]:
        answer = client.post(path, content=content)
        assert answer.text.count("\n") == 1
        return answer.status_code, answer.text.strip()

    recording = recordings[1].read_bytes()
    assert refused("/transcribe", b"") == (415, "recording is empty")
    assert refused("/transcribe", b"no audio") == (415, "recording is not audio that soundfile reads")
    assert refused("/transcribe", recording[:20000]) == (
        415,
        "recording is truncated, its header promises more samples",
    )
    assert refused("/transcribe", as_flac(np.zeros(500))) == (415, "recording is shorter than 100 ms")
    assert refused("/transcribe", bytes(600000)) == (413, "larger than 0.5 MB")
    assert refused("/transcribe", as_flac(np.zeros(16000 * 13))) == (413, "longer than 0.2 minutes")
    assert refused("/transcribe?format=doc", recording)[0] == 400
    assert refused("/transcribe?alternatives=x", recording)[0] == 400
    assert refused("/enhance", recording) == (404, "the model has no enhancer")
    assert client.get("/transcribe").status_code == 405 and client.get("/../app.py").status_code == 404
    for samples, rate in ((np.zeros((16000, 6)), 16000), (np.zeros(192000), 192000)):
        assert client.post("/transcribe?format=txt", content=as_flac(samples, rate)).text == "recording\n"
    assert client.post("/transcribe?format=txt", content=recording).text == "recording FIVE NINE\n"  # it goes on


def as_flac(samples: np.ndarray, rate: int = 16000) -> bytes:
    content = io.BytesIO()
    soundfile.write(content, samples, rate, format="FLAC")
    return content.getvalue()


def test_other_names_of_the_host(recogniser: Recogniser) -> None:
    """So that no page of another site reaches the server by a name of its own."""
    with TestClient(make_app(recogniser, LIMITS, ["127.0.0.1"]), base_url="http://127.0.0.1:80") as client:
        assert client.get("/model").status_code == 200
        assert client.get("/model", headers={"host": "evil.example"}).status_code == 400
        assert client.post("/transcribe", content=b"RIFF", headers={"origin": "http://evil.example"}).status_code == 403
        assert client.post("/transcribe", content=b"RIFF", headers={"origin": "http://127.0.0.1"}).status_code == 415
        with pytest.raises(WebSocketDisconnect):
            with client.websocket_connect("/live", headers={"origin": "http://evil.example"}) as live:
                live.receive_json()


def test_too_many_at_a_time(recogniser: Recogniser, recordings: list[Path]) -> None:
    limits = LIMITS._replace(waiting=-1)
    with TestClient(make_app(recogniser, limits)) as client:
        answer = client.post("/transcribe", content=recordings[1].read_bytes())
        assert (answer.status_code, answer.text) == (503, "too many recordings at a time: try again later\n")


def test_a_request_that_stops_coming() -> None:
    class Stopped:
        headers: dict[str, str] = {}

        async def stream(self) -> AsyncIterator[bytes]:
            yield b"RIFF"
            await asyncio.sleep(10)

    async def receive() -> None:
        async with received(Stopped(), LIMITS._replace(silence=0.05)):  # type: ignore[arg-type]
            pass

    with pytest.raises(RequestError, match="nothing came for 0.05 seconds") as problem:
        asyncio.run(receive())
    assert problem.value.status == 408


def test_faults_of_the_model(recogniser: Recogniser, recordings: list[Path], monkeypatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise KaldiError("the model does not fit itself")

    monkeypatch.setattr(recogniser, "transcribe", fails)
    with TestClient(make_app(recogniser, LIMITS)) as client:
        answer = client.post("/transcribe", content=recordings[1].read_bytes())
        assert (answer.status_code, answer.text) == (500, "the model does not fit itself\n")
        with client.websocket_connect("/live") as live:
            live.send_json({"rate": 16000})
            live.send_bytes(bytes(32000))
            assert live.receive_json() == {"error": "the model does not fit itself"}


def test_enhancement(recogniser: Recogniser, recordings: list[Path], monkeypatch) -> None:
    monkeypatch.setattr(recogniser, "_enhance", lambda samples: samples / 2)
    with TestClient(make_app(recogniser, LIMITS)) as client:
        assert client.get("/model").json()["enhances"]
        answer = client.post("/enhance", content=recordings[1].read_bytes())
    enhanced, rate = soundfile.read(io.BytesIO(answer.content))
    assert rate == recogniser.rate
    np.testing.assert_allclose(enhanced, soundfile.read(recordings[1])[0] / 2, atol=1e-4)


def test_partial_results(client: TestClient, recogniser: Recogniser, recordings: list[Path]) -> None:
    samples, rate = soundfile.read(recordings[1], dtype="int16")
    with client.websocket_connect("/live") as live:
        live.send_json({"rate": rate})
        live.send_bytes(samples.tobytes())
        assert live.receive_json()["partial"]["text"] == "FIVE NINE"
        live.send_bytes(np.zeros(2 * rate, np.int16).tobytes())
        assert live.receive_json()["partial"]["duration"] == pytest.approx(len(samples) / rate + 2, abs=0.01)
        live.send_text("end")
        whole = live.receive_json()["whole"]
        assert whole["text"] == "FIVE NINE" and set(whole["files"]) == set(FORMATS)


def test_live_requests_that_are_wrong(client: TestClient) -> None:
    for messages, problem in (
        ([{"text": "hello"}], "the first message is"),
        ([{"text": json.dumps({"rate": 10})}], "the first message is"),
        ([{"text": json.dumps({"rate": 16000})}, {"bytes": b"abc"}], "an even number of bytes"),
        ([{"text": json.dumps({"rate": 16000})}, {"text": "end"}], "no samples"),
        ([{"text": json.dumps({"rate": 16000})}, {"bytes": bytes(2 * 16000 * 13)}], "longer than 0.2 minutes"),
    ):
        with client.websocket_connect("/live") as live:
            for message in messages:
                live.send(message | {"type": "websocket.receive"})
            assert problem in live.receive_json()["error"]
    with client.websocket_connect("/live") as live:  # a browser that is closed
        live.send_json({"rate": 16000})
    assert client.get("/model").status_code == 200


def test_a_long_recording_is_not_decoded_again(recogniser: Recogniser, recordings: list[Path], monkeypatch) -> None:
    """Only its last piece; times are those of the whole, at whatever rate."""
    monkeypatch.setattr(cut_at_pauses, "LONGEST", 3 * cut_at_pauses.RATE)
    monkeypatch.setattr(cut_at_pauses, "SHORTEST", 1 * cut_at_pauses.RATE)
    pause = np.zeros(cut_at_pauses.RATE // 2, np.int16)
    given = [soundfile.read(recording, dtype="int16")[0] for recording in (*recordings[1:], recordings[0])]
    samples = np.repeat(np.concatenate([given[0], pause, given[1], pause, given[2]]), 2)
    decoded: list[int] = []
    original = recogniser.transcribe
    monkeypatch.setattr(recogniser, "transcribe", lambda x, rate: decoded.append(len(x)) or original(x, rate))
    live = Live(recogniser, 2 * cut_at_pauses.RATE)
    for blocks in np.array_split(samples.reshape(-1, 2), 4):
        for block in np.array_split(blocks.ravel(), 3):
            live.add(block)
        found = live.partial()
    assert live.seconds == found.duration
    assert found.duration == len(samples) / 32000 and len(found.pieces) > 1
    assert [piece.end for piece in found.pieces[:-1]] == pytest.approx([piece.start for piece in found.pieces[1:]])
    assert found.pieces[-1].end == pytest.approx(found.duration, abs=1e-3)
    assert max(decoded) <= 4.1 * cut_at_pauses.RATE < sum(decoded)
    places = {word.text: word.start for word in found.words}
    assert places["NINE"] < len(given[0]) / cut_at_pauses.RATE < places["ONE"] < found.duration
    assert live.whole().text == original(samples, 32000).text


@pytest.fixture(scope="module")
def server(packed: Path) -> Iterator[str]:
    """The program; its address."""
    command = [sys.executable, "-m", "nnet.recogniser.server", "--port", "0", str(packed)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().split()[1]
        process.terminate()


def test_program(server: str, packed: Path, recordings: list[Path]) -> None:
    request = urllib.request.Request(f"{server}transcribe?format=txt", recordings[1].read_bytes())
    with urllib.request.urlopen(request) as answer:
        assert answer.read() == b"recording FIVE NINE\n"
    port = server.strip("/").rpartition(":")[2]
    with socket.create_connection(("127.0.0.1", int(port))) as broken:  # a request that breaks off
        broken.sendall(b"POST /transcribe HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100000\r\n\r\nRIFF")
    command = [sys.executable, "-m", "nnet.recogniser.server", "--port", port, str(packed)]
    second = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert second.returncode == 1 and second.stderr.count("\n") == 1
    assert f"port {port} of 127.0.0.1 cannot be used" in second.stderr
    with urllib.request.urlopen(f"{server}model") as answer:
        assert json.load(answer)["rate"] == 16000


class Browser:
    """A headless Chromium with a microphone that plays a file, driven by Chrome's DevTools protocol."""

    def __init__(self, folder: Path, microphone: Path, page: str) -> None:
        assert BROWSER is not None
        options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0"]
        options += [f"--user-data-dir={folder}", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
        options += [f"--use-file-for-fake-audio-capture={microphone}%noloop"]
        options += ["--autoplay-policy=no-user-gesture-required"]
        nowhere = subprocess.DEVNULL
        self._process = subprocess.Popen([BROWSER, *options, page], stdout=nowhere, stderr=nowhere)
        port_file = folder / "DevToolsActivePort"
        wait_until(port_file.exists)
        port = wait_until(lambda: port_file.read_text().splitlines())[0]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/json") as answer:
            (target,) = [target for target in json.load(answer) if target["type"] == "page"]
        from websockets.sync.client import connect

        self._socket = connect(target["webSocketDebuggerUrl"], max_size=None)
        self._number = 0

    def value(self, expression: str) -> Any:
        """Of a JavaScript expression; what it promises."""
        self._number += 1
        parameters = {"expression": expression, "awaitPromise": True, "returnByValue": True}
        message = {"id": self._number, "method": "Runtime.evaluate", "params": parameters}
        self._socket.send(json.dumps(message))
        while (answer := json.loads(self._socket.recv(60))).get("id") != self._number:
            pass
        assert "exceptionDetails" not in answer["result"], answer
        return answer["result"]["result"].get("value")

    def close(self) -> None:
        self._socket.close()
        self._process.terminate()
        self._process.wait()


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="no Chromium")
def test_page_in_a_browser(server: str, recordings: list[Path], tmp_path: Path) -> None:
    """A file that is dropped, then the microphone."""
    samples, rate = soundfile.read(recordings[1])
    quiet = np.random.default_rng(1).normal(0, 1e-3, rate)
    soundfile.write(tmp_path / "microphone.wav", np.concatenate([samples, quiet]), rate, "PCM_16")
    browser = Browser(tmp_path / "profile", tmp_path / "microphone.wav", server)
    try:
        wait_until(lambda: browser.value("document.querySelector('#about')?.textContent.includes('licence')"))
        content = base64.b64encode(recordings[1].read_bytes()).decode()
        browser.value(f"""(async () => {{
            const bytes = Uint8Array.from(atob("{content}"), (letter) => letter.charCodeAt(0));
            const transfer = new DataTransfer();
            transfer.items.add(new File([bytes], "lesson.wav"));
            transfer.items.add(new File(["no audio"], "notes.wav"));
            document.dispatchEvent(new DragEvent("drop", {{ dataTransfer: transfer }}));
        }})()""")
        status = "document.querySelector('#status').textContent"
        assert "notes.wav: recording is not audio" in wait_until(
            lambda: "notes.wav: recording" in browser.value(status) and browser.value(status)
        )
        words = "[...document.querySelectorAll('article .words span')].map((word) => word.textContent)"
        assert browser.value(words) == ["FIVE", "NINE"]
        links = "[...document.querySelectorAll('.downloads a')].map((link) => link.download)"
        assert browser.value(links) == [f"lesson.{form}" for form in FORMATS]
        assert browser.value("document.querySelector('.original').src.startsWith('blob:')")

        browser.value("document.querySelector('#record').click()")
        wait_until(lambda: "NINE" in browser.value("document.querySelector('#live').textContent"))
        assert browser.value("document.querySelector('#record').textContent") == "Stop"
        browser.value("document.querySelector('#record').click()")
        wait_until(lambda: browser.value("document.querySelectorAll('article').length") == 2)
        assert {"FIVE", "NINE"} <= set(browser.value(words)[:-2])
        assert browser.value("document.querySelector('#live').textContent") == ""
    finally:
        browser.close()
    with urllib.request.urlopen(f"{server}model") as answer:
        assert answer.status == 200
