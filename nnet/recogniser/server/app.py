"""The web application.

    GET /             the page: microphone, files, words with their confidence, downloads
    GET /model        what model.json says, the formats and the limits
    POST /transcribe  the bytes of a recording to JSON; ?format=srt to another format, ?format=all to all of them
    POST /enhance     the bytes of a recording to a WAV file, enhanced by the model's SEGAN
    WebSocket /live   {"rate": R}, samples of 16 bits, "end": a partial result every half second, then the whole one

What is wrong with a request is one line with a status: 400 options, 403 another site, 404 no enhancer, 408 it stopped
coming, 413 too large or too long, 415 not audio, 503 too many at a time.
"""

from __future__ import annotations

import asyncio
import io
import json
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlsplit

import anyio.to_thread
import numpy as np
import soundfile
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from kaldi.base.log import KaldiError
from local.audio import AudioError
from local.cut_at_pauses import mono_blocks
from nnet.recogniser.formats import FORMATS
from nnet.recogniser.recogniser import Recogniser
from nnet.recogniser.result import Transcription
from nnet.recogniser.server.live import Live

PAGE = Path(__file__).parent / "page"
# Nothing but this server's own files is loaded, whatever the page is made to show.
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; media-src 'self' blob:; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
PARTIAL_SECONDS = 0.5  # between partial results
LOWEST_RATE, HIGHEST_RATE = 4000, 192000  # of live samples, in Hz
CLOSED_BY_LIMIT, CLOSED_BY_REQUEST, CLOSED_BY_FAULT = 1009, 1008, 1011  # of WebSockets (RFC 6455)

T = TypeVar("T")


class Limits(NamedTuple):
    """megabytes and minutes of a recording; seconds without a byte after which a request is given up; jobs recognised
    at a time, and requests that wait for them."""

    megabytes: float = 200.0
    minutes: float = 30.0
    silence: float = 30.0
    jobs: int = 1
    waiting: int = 8


class RequestError(Exception):
    """What is wrong with a request, with the HTTP status."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class Recognition:
    """A recogniser behind requests: so many work at a time, in threads, and so many wait."""

    def __init__(self, recogniser: Recogniser, limits: Limits) -> None:
        self.recogniser, self.limits = recogniser, limits
        self._limiter = anyio.CapacityLimiter(limits.jobs)
        self._given = 0

    async def run(self, function: Callable[[], T]) -> T:
        """Raises RequestError, and what the function does."""
        if self._given >= self.limits.jobs + self.limits.waiting:
            raise RequestError(503, "too many recordings at a time: try again later")
        self._given += 1
        try:
            return await anyio.to_thread.run_sync(function, limiter=self._limiter)
        finally:
            self._given -= 1

    def read(self, content: Path) -> np.ndarray:
        """The samples of a file, at the model's rate. Raises RequestError."""
        blocks, longest = [], self.limits.minutes * 60 * self.recogniser.rate
        try:
            for block in mono_blocks(content, self.recogniser.rate):
                blocks.append(block)
                longest -= len(block)
                if longest < 0:
                    raise RequestError(413, f"longer than {self.limits.minutes:g} minutes")
        except AudioError as error:
            raise RequestError(415, str(error).replace(f": {content}", "")) from None
        return np.concatenate(blocks)

    def transcribe(self, content: Path, alternatives: int) -> Transcription:
        """Raises RequestError, KaldiError."""
        try:
            return self.recogniser.transcribe(self.read(content), self.recogniser.rate, alternatives=alternatives)
        except AudioError as error:
            raise RequestError(415, str(error).removesuffix(": samples")) from None

    def enhance(self, content: Path) -> bytes:
        """A WAV file. Raises RequestError."""
        wav, rate = io.BytesIO(), self.recogniser.rate
        soundfile.write(wav, self.recogniser.enhance(self.read(content), rate), rate, "PCM_16", format="WAV")
        return wav.getvalue()


def is_foreign(connection: HTTPConnection) -> bool:
    """Whether a page of another site asks, as browsers say."""
    origin = connection.headers.get("origin")
    return origin is not None and urlsplit(origin).netloc != connection.headers.get("host")


@asynccontextmanager
async def received(request: Request, limits: Limits) -> AsyncIterator[Path]:
    """The body in a temporary file. Raises RequestError, ClientDisconnect."""
    if is_foreign(request):
        raise RequestError(403, "asked by a page of another site")
    largest, size = int(limits.megabytes * 1e6), 0
    with tempfile.NamedTemporaryFile(prefix="recording") as file:
        chunks = request.stream()
        while True:
            try:
                chunk = await asyncio.wait_for(anext(chunks, None), limits.silence)
            except asyncio.TimeoutError:
                raise RequestError(408, f"nothing came for {limits.silence:g} seconds") from None
            if chunk is None:
                break
            size += len(chunk)
            if size > largest:
                raise RequestError(413, f"larger than {limits.megabytes:g} MB")
            file.write(chunk)
        file.flush()
        yield Path(file.name)


def make_app(recogniser: Recogniser, limits: Limits, hosts: list[str] | None = None) -> Starlette:
    """hosts: names under which the server may be addressed, all without; so that no other site's name leads to it."""
    recognition = Recognition(recogniser, limits)

    async def model(request: Request) -> Response:
        told = {name: recogniser.description.get(name) for name in ("name", "corpus", "licence", "word_error_rates")}
        return JSONResponse(
            told
            | {"enhances": recogniser.enhances, "rate": recogniser.rate, "formats": list(FORMATS)}
            | {"megabytes": limits.megabytes, "minutes": limits.minutes}
        )

    async def transcribe(request: Request) -> Response:
        name = "_".join(Path(request.query_params.get("name", "recording")).stem.split()) or "recording"
        form = request.query_params.get("format", "json")
        if form not in (*FORMATS, "all"):
            raise RequestError(400, f"format {form}: one of {', '.join(FORMATS)}, all")
        count = request.query_params.get("alternatives", "0")
        if not count.isdecimal() or int(count) > 100:
            raise RequestError(400, f"alternatives {count}: a number up to 100")
        async with received(request, limits) as content:
            found = await recognition.run(partial(recognition.transcribe, content, int(count)))
        if form == "all":
            return JSONResponse(in_all_formats(name, found))
        kind = "application/json" if form == "json" else "text/plain"
        return Response(FORMATS[form](name, found), media_type=f"{kind}; charset=utf-8")

    async def enhance(request: Request) -> Response:
        if not recogniser.enhances:
            raise RequestError(404, "the model has no enhancer")
        async with received(request, limits) as content:
            wav = await recognition.run(partial(recognition.enhance, content))
        return Response(wav, media_type="audio/wav")

    async def live(socket: WebSocket) -> None:
        if is_foreign(socket):
            await socket.close(CLOSED_BY_REQUEST)
            return
        await socket.accept()
        try:
            await _live(socket, recognition)
        except WebSocketDisconnect:
            pass  # the browser was closed
        except KaldiError as error:
            await socket.send_json({"error": str(error)})
            await socket.close(CLOSED_BY_FAULT)
        except RequestError as error:
            await socket.send_json({"error": str(error)})
            await socket.close(CLOSED_BY_LIMIT if error.status == 413 else CLOSED_BY_REQUEST)

    pages = [Route("/", _file("index.html")), *(Route(f"/{name}", _file(name)) for name in ("page.js", "page.css"))]
    return Starlette(
        routes=[
            *pages,
            Route("/microphone.js", _file("microphone.js")),
            Route("/model", model),
            Route("/transcribe", transcribe, methods=["POST"]),
            Route("/enhance", enhance, methods=["POST"]),
            WebSocketRoute("/live", live),
        ],
        exception_handlers={RequestError: _refused, KaldiError: _failed, ClientDisconnect: _gone},
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=hosts or ["*"])],
    )


def in_all_formats(name: str, found: Transcription) -> dict[str, Any]:
    """As JSON has it, and the text of each file."""
    content = json.loads(FORMATS["json"](name, found))
    return content | {"files": {form: write(name, found) for form, write in FORMATS.items()}}


async def _live(socket: WebSocket, recognition: Recognition) -> None:
    """Raises WebSocketDisconnect, RequestError."""
    limits = recognition.limits
    rate = await _first_message(socket, limits)
    recording = Live(recognition.recogniser, rate)
    ended = asyncio.Event()

    async def receive() -> None:
        while not ended.is_set():
            message = await _message(socket, limits)
            if message.get("bytes"):
                if len(message["bytes"]) % 2:
                    raise RequestError(400, "samples of 16 bits have an even number of bytes")
                recording.add(np.frombuffer(message["bytes"], "<i2"))
                if recording.seconds > 60 * limits.minutes:
                    raise RequestError(413, f"longer than {limits.minutes:g} minutes")
            elif message.get("text") == "end":
                ended.set()

    receiver = asyncio.create_task(receive())
    told = 0.0
    try:
        while not ended.is_set():
            await asyncio.wait([receiver], timeout=PARTIAL_SECONDS)
            if receiver.done():
                receiver.result()
            elif recording.seconds > told:
                told = recording.seconds
                found = await recognition.run(recording.partial)
                if not ended.is_set():
                    await socket.send_json({"partial": json.loads(FORMATS["json"]("live", found))})
    finally:
        receiver.cancel()
    try:
        found = await recognition.run(recording.whole)
    except AudioError as error:
        raise RequestError(415, str(error).removesuffix(": samples")) from None
    await socket.send_json({"whole": in_all_formats("live", found)})
    await socket.close()


async def _first_message(socket: WebSocket, limits: Limits) -> int:
    try:
        rate = json.loads((await _message(socket, limits)).get("text") or "")["rate"]
    except (ValueError, KeyError, TypeError):
        rate = None
    if type(rate) is not int or not LOWEST_RATE <= rate <= HIGHEST_RATE:
        raise RequestError(400, f'the first message is {{"rate": R}} with R from {LOWEST_RATE} to {HIGHEST_RATE}')
    return rate


async def _message(socket: WebSocket, limits: Limits) -> Any:
    try:
        message = await asyncio.wait_for(socket.receive(), limits.silence)
    except asyncio.TimeoutError:
        raise RequestError(408, f"nothing came for {limits.silence:g} seconds") from None
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect
    return message


def _file(name: str) -> Callable[[Request], Awaitable[Response]]:
    async def send(request: Request) -> Response:
        return FileResponse(PAGE / name, headers=HEADERS)

    return send


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestError)
    return PlainTextResponse(f"{error}\n", error.status)


async def _failed(request: Request, error: Exception) -> Response:
    return PlainTextResponse(f"{error}\n", 500)


async def _gone(request: Request, error: Exception) -> Response:
    return PlainTextResponse("", 400)  # which nobody reads: the browser was closed
