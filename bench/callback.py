"""How long a platform that pushes waits for its answer: checked, stored on disk, answered, about 100 a second."""

from __future__ import annotations

import hashlib
import http.client
import json
import statistics
import threading
import time
from urllib.parse import urlencode

from aggregator.sandbox.world import World
from bench.figures import Figure
from bench.stage import stage

PER_SECOND = 100
SECONDS = 15.0
CLIENTS = 8


def measure() -> list[Figure]:
    with stage() as (daemon, world):
        daemon.start()
        time.sleep(2)
        platform = _Platform(daemon.port, world)
        platform.run(2.0)  # warm
        platform.took.clear()
        platform.run(SECONDS)
        took = platform.took
        return [
            Figure("answered a second", len(took) / SECONDS),
            Figure("refused", platform.refused, "", "≤ 0"),
            Figure("p50", statistics.median(took), "ms"),
            Figure("p99", statistics.quantiles(took, n=100)[-1], "ms"),
            Figure("slowest", max(took), "ms"),
        ]


class _Platform:
    """Weibo's fan service, from CLIENTS connections that stay open; each call at its time, late or not."""

    def __init__(self, port: int, world: World) -> None:
        self._port = port
        self._secret = world.weibo.options()["app_secret"]
        self._uid = world.weibo.options()["uid"]
        self._lock = threading.Lock()
        self._number = 0
        self.took: list[float] = []
        self.refused = 0

    def run(self, seconds: float) -> None:
        began = time.perf_counter()
        threads = [
            threading.Thread(target=self._client, args=(began + n / PER_SECOND, began + seconds))
            for n in range(CLIENTS)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _client(self, at: float, until: float) -> None:
        client = http.client.HTTPConnection("127.0.0.1", self._port, timeout=10)
        while at < until:
            with self._lock:
                self._number += 1
                number = self._number
            path, body = self._push(number)
            time.sleep(max(at - time.perf_counter(), 0))
            began = time.perf_counter()
            client.request("POST", path, body, {"Content-Type": "application/json"})
            answer = client.getresponse()
            answer.read()
            took = (time.perf_counter() - began) * 1000
            with self._lock:
                self.took.append(took)
                self.refused += answer.status != 200
            at += CLIENTS / PER_SECOND
        client.close()

    def _push(self, number: int) -> tuple[str, bytes]:
        stamp, nonce = str(int(time.time())), str(number)
        words = "".join(sorted((self._secret, stamp, nonce)))
        query = {
            "signature": hashlib.sha1(words.encode()).hexdigest(),
            "timestamp": stamp,
            "nonce": nonce,
        }
        body = {
            "type": "text",
            "receiver_id": int(self._uid),
            "sender_id": 3_000_000_000 + number,
            "created_at": time.strftime("%a %b %d %H:%M:%S +0000 %Y", time.gmtime()),
            "text": f"你们的客服电话一直打不通，申请退款五天了还没到账 {number}",
            "data": {},
        }
        return f"/callbacks/weibo_demo?{urlencode(query)}", json.dumps(body).encode()
