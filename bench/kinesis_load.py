"""One client of `bench.kinesis`: `python -m bench.kinesis_load ADDRESS REQUEST SECONDS PERIOD`.

Says that it is ready, and is told when to start (seconds since 1970). Sends the same request again and again
over one connection for SECONDS, each PERIOD seconds after the one before, or as soon as it is answered when
PERIOD is 0. REQUEST is a file of JSON: headers and body, so that nothing is made while it measures. Prints
what was acknowledged and refused.
"""

import http.client
import json
import re
import sys
import time
from pathlib import Path

_FAILED = re.compile(rb'"FailedRecordCount":\s*(\d+)')


def main(address: str, request: str, seconds: float, period: float) -> None:
    sent = json.loads(Path(request).read_text())
    body, records = sent["body"].encode(), sent["records"]
    host, port = address.split(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=300)  # there are slow peers
    acknowledged = refused = number = 0
    latencies: list[float] = []
    connection.connect()
    print("ready", flush=True)
    start = float(sys.stdin.readline())
    _wait(start)
    while number == 0 or (number * period < seconds and time.time() < start + seconds):
        _wait(start + number * period if period else 0)
        began = time.perf_counter()
        connection.request("POST", "/", body, sent["headers"])
        answer = connection.getresponse()
        content = answer.read()
        latencies.append(time.perf_counter() - began)
        found = _FAILED.search(content)
        if answer.status != 200 or (found is None and records > 1):
            raise RuntimeError(content[:500])
        failed = int(found[1]) if found else 0
        acknowledged, refused, number = acknowledged + records - failed, refused + failed, number + 1
    took = time.time() - start
    json.dump({"acknowledged": acknowledged, "refused": refused, "seconds": took, "latencies": latencies},
              sys.stdout)  # fmt: skip


def _wait(until: float) -> None:
    if (left := until - time.time()) > 0:
        time.sleep(left)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], *map(float, sys.argv[3:5]))
