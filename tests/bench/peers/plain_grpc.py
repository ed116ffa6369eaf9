"""A service of the broker's second generation that does nothing but answer: what gRPC itself can do in this language.

python -m tests.bench.peers.plain_grpc 127.0.0.1:50051
"""

import asyncio
import sys

import grpc

ANSWER = b"\x1a\x02{}"  # a KrakenResponse with the metadata {}


async def answer(_request: bytes, _call: object) -> bytes:
    return ANSWER


async def main(address: str) -> None:
    server = grpc.aio.server()
    handler = grpc.unary_unary_rpc_method_handler(answer)
    services = {
        "kraken.KrakenService": {"ProcessKrakenRequest": handler},
        "grpc.health.v1.Health": {"Check": handler},  # so that whoever starts it sees that it serves
    }
    for name, methods in services.items():
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(name, methods),))
    server.add_insecure_port(address)
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
