"""A process that changes etcd: one change a revision, many on their way at once, at a rate or as fast as it goes.

    python -m tests.bench.sentinel_writer PORT KEYS FIRST COUNT RATE FILE

Changes FIRST and following, COUNT of them, of a fleet of KEYS keys. RATE changes per second; 0: as fast as it goes.
FILE gets a line for each change that etcd has taken: its revision, and when it was sent, in seconds of the monotonic
clock.

Everything that can be done before is done before; what is left is gRPC without protobuf's classes, as the writer shares
the cores with what is measured.
"""

import sys
import threading
import time
from functools import partial
from pathlib import Path

import grpc
from pyetcd import etcdrpc

from tests.bench.sentinel_fleet import changes

ON_THEIR_WAY = 64  # at once, so that etcd syncs many to disk together
SECONDS = 60.0


def main(port: int, keys: int, first: int, count: int, rate: int, file: Path) -> None:
    requests = [_request(key, value) for key, value in changes(keys, first, count)]
    answers: list[tuple[float, bytes]] = []
    room = threading.Semaphore(ON_THEIR_WAY)

    def answered(sent: float, call: grpc.Future) -> None:
        answers.append((sent, call.result()))
        room.release()

    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        grpc.channel_ready_future(channel).result(SECONDS)
        methods = [channel.unary_unary(f"/etcdserverpb.KV/{name}") for name in ("Put", "DeleteRange")]
        begin = time.monotonic()
        for number, (deletes, request) in enumerate(requests):
            if rate and (early := begin + number / rate - time.monotonic()) > 0:
                time.sleep(early)
            if not room.acquire(timeout=SECONDS):
                raise TimeoutError("etcd does not answer")
            sent = time.monotonic()
            methods[deletes].future(request, timeout=SECONDS).add_done_callback(partial(answered, sent))
        for _ in range(ON_THEIR_WAY):
            room.acquire()
    # A PutResponse and a DeleteRangeResponse begin with the same header.
    revisions = sorted((etcdrpc.PutResponse.FromString(answer).header.revision, sent) for sent, answer in answers)
    file.write_text("".join(f"{revision} {sent}\n" for revision, sent in revisions))


def _request(key: bytes, value: bytes | None) -> tuple[bool, bytes]:
    if value is None:
        return True, etcdrpc.DeleteRangeRequest(key=key).SerializeToString()
    return False, etcdrpc.PutRequest(key=key, value=value).SerializeToString()


if __name__ == "__main__":
    port, keys, first, count, rate = map(int, sys.argv[1:6])
    main(port, keys, first, count, rate, Path(sys.argv[6]))
