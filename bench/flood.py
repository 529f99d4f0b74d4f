"""The load of bench.callback, in a process of its own: each call at its time, however late the one before is.

`python -m bench.flood PLAN` reads a plan (JSON) from the file and writes to standard output one line a call:
kind, milliseconds from its time to its answer, status, when the answer was there (monotonic seconds), nonce.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha1
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

MOST = 200  # connections of a kind; where all are busy the call waits, and its time runs
FRESH_S = 2.0  # a connection that was not used for so long is not used again
Open = tuple[asyncio.StreamReader, asyncio.StreamWriter, float]
BODY = "你们的客服电话一直打不通，申请退款五天了还没到账"


@dataclass(frozen=True, slots=True)
class Stream:
    """`per_second` calls to one account; `right`: signed with the secret."""

    kind: str
    per_second: float
    right: bool


class Load:
    def __init__(self, plan: dict[str, Any]) -> None:
        self._plan = plan
        self._idle: dict[str, list[Open]] = {}
        self.lines: list[str] = []

    async def run(self) -> None:
        streams = [Stream(*one) for one in self._plan["streams"]]
        began = time.monotonic() + 0.2
        await asyncio.gather(*(self._stream(one, began) for one in streams))

    async def _stream(self, stream: Stream, began: float) -> None:
        self._idle[stream.kind] = []
        room = asyncio.Semaphore(MOST)
        calls = []
        for number in range(int(stream.per_second * self._plan["seconds"])):
            at = began + number / stream.per_second
            head, body, nonce = self._request(stream, number)
            if (wait := at - time.monotonic()) > 0:
                await asyncio.sleep(wait)
            calls.append(asyncio.create_task(self._call(stream, room, at, head + body, nonce)))
        await asyncio.gather(*calls)

    async def _call(
        self, stream: Stream, room: asyncio.Semaphore, at: float, request: bytes, nonce: str
    ) -> None:
        async with room:
            idle = self._idle[stream.kind]
            try:
                reader, writer = await self._connection(idle)
                writer.write(request)
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0])
                await reader.readexactly(length)
                status = int(head.split(b" ", 2)[1])
                done = time.monotonic()
                idle.append((reader, writer, done))
            except (OSError, asyncio.IncompleteReadError):
                status, done = 0, time.monotonic()
        took = (done - at) * 1000
        self.lines.append(f"{stream.kind} {took:.3f} {status} {done:.6f} {nonce}")

    async def _connection(
        self, idle: list[Open]
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """The one that was used last; none that the server may be about to close."""
        while idle:
            reader, writer, used = idle.pop()
            if time.monotonic() - used < FRESH_S:
                return reader, writer
            writer.close()
        return await asyncio.open_connection("127.0.0.1", self._plan["port"])

    def _request(self, stream: Stream, number: int) -> tuple[bytes, bytes, str]:
        stamp, nonce = str(int(time.time())), f"{stream.kind}{self._plan['run']}n{number}"
        words = "".join(sorted((self._plan["secret"], stamp, nonce)))
        signature = sha1(words.encode(), usedforsecurity=False).hexdigest()
        if not stream.right:
            signature = signature[::-1]
        query = urlencode({"signature": signature, "timestamp": stamp, "nonce": nonce})
        body = json.dumps(
            {
                "type": "text",
                "receiver_id": int(self._plan["uid"]),
                "sender_id": 3_000_000_000 + number,
                "created_at": time.strftime("%a %b %d %H:%M:%S +0000 %Y", time.gmtime()),
                "text": f"{BODY} {nonce}",
                "data": {},
            }
        ).encode()
        head = (
            f"POST /callbacks/weibo_demo?{query} HTTP/1.1\r\nHost: bench\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        return head.encode(), body, nonce


def lines(plan: Path) -> Iterator[str]:
    load = Load(json.loads(plan.read_text("utf-8")))
    asyncio.run(load.run())
    yield from load.lines


if __name__ == "__main__":
    for line in lines(Path(sys.argv[1])):
        sys.stdout.write(f"{line}\n")
