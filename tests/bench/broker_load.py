"""Collectors that send readings as fast as they are acknowledged, or a number a second, in a process of their own.

python -m tests.bench.broker_load ADDRESS SECONDS AT_ONCE PACE: a line of JSON with what was seen. PACE 0: as fast.
"""

import asyncio
import json
import sys
import time

import grpc

from tests.broker.collectors import PROCESS, request_v2

WARM_UP = 1.0  # seconds that do not count
CHANNELS = 8  # connections; the original's collectors have one for each reading
PAYLOAD = b'{"id":"101", "name":"env-sensor", "temp":"25.6", "hum":"52.4"}'


async def main(address: str, seconds: float, at_once: int, pace: float) -> dict[str, float]:
    """Calls per second, and how long they took in milliseconds."""
    options = [("grpc.use_local_subchannel_pool", 1)]
    channels = [grpc.aio.insecure_channel(address, options=options) for _ in range(min(CHANNELS, at_once))]
    begin = time.perf_counter() + WARM_UP
    end = begin + seconds
    took: list[float] = []

    async def send(number: int) -> None:
        call = channels[number % len(channels)].unary_unary(PROCESS)
        request = request_v2("webhook", "application/json", "{}", PAYLOAD)
        turn = time.perf_counter() + number / pace if pace else 0.0
        while (before := time.perf_counter()) < end:
            if turn > before:
                await asyncio.sleep(turn - before)
                before = time.perf_counter()
            await call(request)
            turn += at_once / pace if pace else 0.0
            if before >= begin:
                took.append(time.perf_counter() - before)

    await asyncio.gather(*(send(number) for number in range(at_once)))
    for channel in channels:
        await channel.close()
    took.sort()
    return {
        "rate": len(took) / seconds,
        "median": 1000 * took[len(took) // 2],
        "p99": 1000 * took[int(len(took) * 0.99)],
    }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(sys.argv[1], float(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])))))
