"""Unary gRPC calls over one HTTP/2 connection, as little of RFC 9113 as that needs.

One call costs this client a write, a read and some slicing: about a tenth of the processor time
of the general library, which at a few hundred calls a second was the gateway's largest expense
(ADR 5). The peer is told to keep no header table, so a header block always means
the same and is decoded once.
"""

import asyncio
import struct
from collections import deque
from collections.abc import Mapping
from typing import cast
from urllib.parse import unquote

import hpack

from dataplane.gateway.errors import DEADLINE_EXCEEDED, UNAVAILABLE, UNKNOWN, TritonError
from dataplane.gateway.inference import varint

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS = 0, 1, 3, 4
PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 6, 7, 8, 9
END_STREAM, ACK, END_HEADERS, PADDED, PRIORITY = 0x1, 0x1, 0x4, 0x8, 0x20
HEADER_TABLE_SIZE, ENABLE_PUSH, MAX_STREAMS, INITIAL_WINDOW, MAX_FRAME = 1, 2, 3, 4, 5
CANCEL = 8

WINDOW_MAX = 2**31 - 1
WINDOW_DEFAULT = 65_535
FRAME_DEFAULT = 16_384
FRAME_ACCEPTED = 1_048_576
LAST_STREAM = 2**30
REMEMBERED_BLOCKS = 256
PONG_S = 2.0

_FRAME = struct.Struct(">HBBBI")
_SETTING = struct.Struct(">HI")
_MESSAGE = struct.Struct(">BI")


class Stream:
    """One call under way. `unsent` waits for the peer's flow control."""

    __slots__ = ("data", "headers", "heard_at", "number", "reply", "timer", "unsent", "window")

    def __init__(self, number: int, window: int, reply: "asyncio.Future[bytes]") -> None:
        self.number = number
        self.window = window
        self.reply = reply
        self.unsent = b""
        self.data = b""
        self.headers: dict[str, str] = {}
        self.heard_at = 0
        self.timer: asyncio.TimerHandle | None = None


class Connection(asyncio.Protocol):
    """One connection; it is finished when `usable` turns False, and never comes back."""

    def __init__(self) -> None:
        self.usable = True
        self._loop = asyncio.get_running_loop()
        self._buffer = b""
        self._streams: dict[int, Stream] = {}
        self._next = 1
        self._window = WINDOW_DEFAULT
        self._peer_window = WINDOW_DEFAULT
        self._peer_frame = FRAME_DEFAULT
        self._peer_streams = LAST_STREAM
        self._received = 0
        self._heard = 0
        self._waiting: deque[Stream] = deque()
        self._block = b""
        self._block_stream, self._block_ends = 0, False
        self._decoder = hpack.Decoder()
        self._decoder.header_table_size = 0
        self._decoder.max_allowed_table_size = 0
        self._blocks: dict[bytes, dict[str, str]] = {}
        self._pong: asyncio.TimerHandle | None = None
        self._readers = {
            DATA: self._on_data,
            HEADERS: self._on_headers,
            CONTINUATION: self._on_continuation,
            RST_STREAM: self._on_reset,
            SETTINGS: self._on_settings,
            PING: self._on_ping,
            GOAWAY: self._on_goaway,
            WINDOW_UPDATE: self._on_window,
        }

    async def call(self, block: bytes, message: bytes, seconds: float) -> bytes:
        """One unary call: header block and message out, message in. Raises TritonError."""
        return await self.answered(self.send(block, message, seconds))

    def send(self, block: bytes, message: bytes, seconds: float) -> Stream:
        """Send a call now; `answered` is to await it. Raises TritonError when none is taken."""
        if not self.usable or len(self._streams) >= self._peer_streams:
            raise TritonError(UNAVAILABLE, "the connection takes no more calls")
        stream = self._open(block, _MESSAGE.pack(0, len(message)) + message)
        stream.timer = self._loop.call_later(seconds, self._expire, stream)
        return stream

    async def answered(self, stream: Stream) -> bytes:
        """The message that came back. Raises TritonError."""
        try:
            return await stream.reply
        finally:
            if stream.timer is not None:
                stream.timer.cancel()
            if stream.number in self._streams:  # the caller was cancelled
                self._abandon(stream)

    def close(self) -> None:
        """Take no more calls; close when those under way are answered."""
        self.usable = False
        if not self._streams:
            self._transport.close()

    # What the transport calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        settings = (
            (HEADER_TABLE_SIZE, 0),
            (ENABLE_PUSH, 0),
            (INITIAL_WINDOW, WINDOW_MAX),
            (MAX_FRAME, FRAME_ACCEPTED),
        )
        payload = b"".join(_SETTING.pack(*each) for each in settings)
        grow = struct.pack(">I", WINDOW_MAX - WINDOW_DEFAULT)
        self._transport.write(
            PREFACE + _frame(SETTINGS, 0, 0, payload) + _frame(WINDOW_UPDATE, 0, 0, grow)
        )

    def connection_lost(self, exc: Exception | None) -> None:
        self.usable = False
        if self._pong is not None:
            self._pong.cancel()
        for stream in tuple(self._streams.values()):
            self._fail(stream, UNAVAILABLE, "the connection was lost")

    def data_received(self, data: bytes) -> None:
        self._heard += 1
        if self._buffer:
            data = self._buffer + data
        at, size = 0, len(data)
        while size - at >= 9:
            high, low, kind, flags, number = _FRAME.unpack_from(data, at)
            end = at + 9 + (high << 8 | low)
            if end - at > FRAME_ACCEPTED + 9:
                self._transport.abort()
                return
            if end > size:
                break
            reader = self._readers.get(kind)
            if reader is not None:
                reader(flags, number & WINDOW_MAX, data[at + 9 : end])
            at = end
        self._buffer = data[at:]

    # Sending

    def _open(self, block: bytes, body: bytes) -> Stream:
        stream = Stream(self._next, self._peer_window, self._loop.create_future())
        stream.heard_at = self._heard
        self._streams[stream.number] = stream
        self._next += 2
        if self._next > LAST_STREAM:
            self.usable = False
        head = _frame(HEADERS, END_HEADERS, stream.number, block)
        size = len(body)
        if size <= self._peer_frame and size <= min(self._window, stream.window):
            self._window -= size
            self._transport.write(head + _frame(DATA, END_STREAM, stream.number, body))
        else:
            self._transport.write(head)
            stream.unsent = body
            self._waiting.append(stream)
            self._send_waiting()
        return stream

    def _send_waiting(self) -> None:
        """Send what flow control lets through, in the order of the calls."""
        for _ in range(len(self._waiting)):
            stream = self._waiting.popleft()
            while stream.unsent:
                size = min(len(stream.unsent), self._peer_frame, self._window, stream.window)
                if size <= 0:
                    self._waiting.append(stream)
                    break
                piece, stream.unsent = stream.unsent[:size], stream.unsent[size:]
                self._window -= size
                stream.window -= size
                flags = 0 if stream.unsent else END_STREAM
                self._transport.write(_frame(DATA, flags, stream.number, piece))

    def _abandon(self, stream: Stream) -> None:
        """Tell the peer that nobody waits any more."""
        self._drop(stream)
        if not self._transport.is_closing():
            reason = struct.pack(">I", CANCEL)
            self._transport.write(_frame(RST_STREAM, 0, stream.number, reason))

    def _expire(self, stream: Stream) -> None:
        """The deadline passed. A peer that is silent altogether is asked whether it is there."""
        if stream.heard_at == self._heard and self._pong is None and self.usable:
            self._transport.write(_frame(PING, 0, 0, b"are you?"))
            self._pong = self._loop.call_later(PONG_S, self._transport.abort)
        self._abandon(stream)
        if not stream.reply.done():
            stream.reply.set_exception(TritonError(DEADLINE_EXCEEDED, "the deadline passed"))

    # Receiving

    def _on_data(self, flags: int, number: int, payload: bytes) -> None:
        self._received += len(payload)
        if self._received > WINDOW_MAX // 2:
            grow = struct.pack(">I", self._received)
            self._transport.write(_frame(WINDOW_UPDATE, 0, 0, grow))
            self._received = 0
        stream = self._streams.get(number)
        if stream is None:
            return
        if flags & PADDED:
            payload = payload[1 : len(payload) - payload[0]]
        stream.data = stream.data + payload if stream.data else payload
        if flags & END_STREAM:
            self._finish(stream)

    def _on_headers(self, flags: int, number: int, payload: bytes) -> None:
        if flags & PADDED:
            payload = payload[1 : len(payload) - payload[0]]
        if flags & PRIORITY:
            payload = payload[5:]
        self._block, self._block_stream = payload, number
        self._block_ends = bool(flags & END_STREAM)
        if flags & END_HEADERS:
            self._end_block()

    def _on_continuation(self, flags: int, number: int, payload: bytes) -> None:
        self._block += payload
        if len(self._block) > FRAME_ACCEPTED:
            self._transport.abort()
        elif flags & END_HEADERS:
            self._end_block()

    def _end_block(self) -> None:
        headers = self._decode(self._block)
        stream = self._streams.get(self._block_stream)
        if stream is None or headers is None:
            return
        stream.headers = {**stream.headers, **headers} if stream.headers else headers
        if self._block_ends:
            self._finish(stream)

    def _decode(self, block: bytes) -> dict[str, str] | None:
        """The block's headers; one that cannot be read ends the connection."""
        known = self._blocks.get(block)
        if known is None:
            try:
                known = {str(name): str(value) for name, value in self._decoder.decode(block)}
            except hpack.HPACKError:
                self._transport.abort()
                return None
            if len(self._blocks) < REMEMBERED_BLOCKS:
                self._blocks[block] = known
        return known

    def _on_reset(self, flags: int, number: int, payload: bytes) -> None:
        stream = self._streams.get(number)
        if stream is not None:
            self._fail(stream, UNAVAILABLE, "the server reset the call")

    def _on_settings(self, flags: int, number: int, payload: bytes) -> None:
        if flags & ACK:
            return
        for key, value in _SETTING.iter_unpack(payload):
            if key == INITIAL_WINDOW:
                for stream in self._streams.values():
                    stream.window += value - self._peer_window
                self._peer_window = value
            elif key == MAX_FRAME:
                self._peer_frame = value
            elif key == MAX_STREAMS:
                self._peer_streams = value
        self._transport.write(_frame(SETTINGS, ACK, 0, b""))
        self._send_waiting()

    def _on_ping(self, flags: int, number: int, payload: bytes) -> None:
        if not flags & ACK:
            self._transport.write(_frame(PING, ACK, 0, payload))
        elif self._pong is not None:
            self._pong.cancel()
            self._pong = None

    def _on_goaway(self, flags: int, number: int, payload: bytes) -> None:
        """The server is leaving: what it will not answer fails now, the rest is awaited."""
        last = int.from_bytes(payload[:4], "big") & WINDOW_MAX
        for stream in tuple(self._streams.values()):
            if stream.number > last:
                self._fail(stream, UNAVAILABLE, "the server is shutting down")
        self.close()

    def _on_window(self, flags: int, number: int, payload: bytes) -> None:
        grow = int.from_bytes(payload[:4], "big") & WINDOW_MAX
        if number == 0:
            self._window += grow
        elif number in self._streams:
            self._streams[number].window += grow
        if self._waiting:
            self._send_waiting()

    def _finish(self, stream: Stream) -> None:
        status = stream.headers.get("grpc-status")
        if status == "0" and len(stream.data) >= 5:
            self._drop(stream)
            if not stream.reply.done():
                stream.reply.set_result(stream.data[5:])
            return
        self._fail(stream, *_status_of(stream.headers))

    def _fail(self, stream: Stream, status: int, detail: str) -> None:
        self._drop(stream)
        if not stream.reply.done():
            stream.reply.set_exception(TritonError(status, detail))

    def _drop(self, stream: Stream) -> None:
        self._streams.pop(stream.number, None)
        stream.unsent = b""
        if not self.usable and not self._streams:
            self._transport.close()


def request_block(path: str, authority: str, *, scheme: str = "http") -> bytes:
    """The header block of a unary call, to which `timeout_header` may be appended."""
    encoder = hpack.Encoder()
    encoder.header_table_size = 0
    headers = [
        (":method", "POST"),
        (":scheme", scheme),
        (":path", path),
        (":authority", authority),
        ("te", "trailers"),
        ("content-type", "application/grpc"),
    ]
    return bytes(encoder.encode([hpack.NeverIndexedHeaderTuple(*each) for each in headers]))


def timeout_header(seconds: float) -> bytes:
    """grpc-timeout as one more literal of a header block."""
    value = b"%dm" % max(1, int(seconds * 1_000))
    return b"\x00\x0cgrpc-timeout" + bytes((len(value),)) + value


def header(name: bytes, value: bytes) -> bytes:
    """One more literal of a header block; the name has at most 126 bytes."""
    size = len(value)
    length = bytes((size,)) if size < 0x7F else b"\x7f" + varint(size - 0x7F)
    return b"\x00" + bytes((len(name),)) + name + length + value


def _status_of(headers: Mapping[str, str]) -> tuple[int, str]:
    status = headers.get("grpc-status", "")
    if not status.isdigit():
        return UNAVAILABLE, f"HTTP status {headers.get(':status', 'unknown')} without gRPC status"
    if status == "0":
        return UNKNOWN, "OK without a message"
    return int(status), unquote(headers.get("grpc-message", ""))


def _frame(kind: int, flags: int, number: int, payload: bytes) -> bytes:
    size = len(payload)
    return _FRAME.pack(size >> 8, size & 0xFF, kind, flags, number) + payload
