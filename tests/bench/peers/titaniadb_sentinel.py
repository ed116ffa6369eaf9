"""titaniadb-sentinel's way, on clients that can be installed today, to be held against ours.

    python titaniadb_sentinel.py        MY_ETCD_HOST, MY_ETCD_PORT, MY_MYSQL_*, DEVICE_INTERVAL, POD_INTERVAL

Four threads. Two watch a prefix, from whatever revision etcd is at: for each put a connection, an upsert, a commit; a
deletion is told only. Two list a prefix every so many seconds and upsert each row, with a commit of its own. Said in
its favour: values are parameters, so that nothing breaks it, and a listing may be larger than gRPC's 4 MB, above which
the original ends.
"""

import json
import os
import threading
import time
from collections.abc import Mapping
from contextlib import closing
from typing import Any, NoReturn

import grpc
import pymysql
from pyetcd import etcdrpc

FIRST_PASS = 5.0  # seconds after the start
TABLES = {
    "/Device": ("Device.device", ("deviceName", "projectSymbolFk", "deviceIp", "connectionStatus", "os"), 30),
    "/Pod": (
        "Pod.pod",
        ("podName", "deviceNameFk", "imageName", "currentVersion", "latestVersion", "deployedAt", "status"),
        5,
    ),
}


def main() -> None:
    """Until one of the threads ends."""
    address = f"{os.environ['MY_ETCD_HOST']}:{os.environ['MY_ETCD_PORT']}"
    channel = grpc.insecure_channel(address, options=[("grpc.max_receive_message_length", -1)])
    for prefix in TABLES:
        threading.Thread(target=watch, args=(channel, prefix), daemon=True).start()
    time.sleep(FIRST_PASS)
    passes = [threading.Thread(target=upsert_all, args=(channel, prefix), daemon=True) for prefix in TABLES]
    for thread in passes:
        thread.start()
    for thread in passes:
        thread.join()


def watch(channel: grpc.Channel, prefix: str) -> None:
    """Each put becomes a row."""
    create = etcdrpc.WatchCreateRequest(key=prefix.encode(), range_end=behind(prefix))
    done = threading.Event()

    def requests() -> Any:
        yield etcdrpc.WatchRequest(create_request=create)
        done.wait()

    for answer in etcdrpc.WatchStub(channel).Watch(requests()):
        for event in answer.events:
            print(event.kv.key.decode(), flush=True)
            if event.type == 0:
                with closing(connect()) as connection:
                    upsert(connection, prefix, json.loads(event.kv.value))


def upsert_all(channel: grpc.Channel, prefix: str) -> NoReturn:
    """Each key becomes a row, again and again."""
    interval = int(os.environ.get(f"{prefix[1:].upper()}_INTERVAL", TABLES[prefix][2]))
    while True:
        request = etcdrpc.RangeRequest(key=prefix.encode(), range_end=behind(prefix))
        with closing(connect()) as connection:
            for pair in etcdrpc.KVStub(channel).Range(request).kvs:
                value = json.loads(pair.value)
                if pair.key.decode().split("/")[3] == "1":
                    value["connectionStatus" if prefix == "/Device" else "status"] = 1
                upsert(connection, prefix, value)
        print(f"all of {prefix}", flush=True)
        time.sleep(interval)


def upsert(connection: pymysql.Connection, prefix: str, value: Mapping[str, Any]) -> None:
    """One row, one commit."""
    table, columns, _ = TABLES[prefix]
    row = [None if value.get(column) == "" else value.get(column) for column in columns]
    wanted = ", ".join(f"{column} = %s" for column in columns)
    statement = f"INSERT INTO {table} SET {wanted} ON DUPLICATE KEY UPDATE {wanted}"
    with connection.cursor() as cursor:
        cursor.execute(statement, row + row)
    connection.commit()


def connect() -> pymysql.Connection:
    """A connection of its own."""
    host, port, user, password = (os.environ[f"MY_MYSQL_{name}"] for name in ("HOST", "PORT", "USER", "PASSWORD"))
    # As fast as the C client of the original: the other one would read all certificates of the machine first.
    return pymysql.connect(host=host, port=int(port), user=user, password=password, ssl_disabled=True)


def behind(prefix: str) -> bytes:
    """The end of a prefix's range."""
    return prefix[:-1].encode() + bytes([ord(prefix[-1]) + 1])


if __name__ == "__main__":
    main()
