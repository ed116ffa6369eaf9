"""Devices and pods of the sentinel's benchmarks: what stands in etcd, and how it changes."""

from __future__ import annotations

import json
from collections.abc import Iterator

MOMENT = "2026-01-02 03:04:05"
_STEP = 7919  # a prime: one change and the next are about keys far apart
_EVERY = 11  # of so many changes one is a deletion; the next change of the key brings it back

Change = tuple[bytes, bytes | None]  # None: the key is deleted


def changes(keys: int, first: int, count: int) -> Iterator[Change]:
    """Changes number `first` and following of a fleet of so many keys; the first `keys` of all put each key once."""
    for number in range(first, first + count):
        key, value = _put(number * _STEP % keys, number)
        yield key, None if number >= keys and number % _EVERY == 0 else value


def pod(name: str, device: str, version: str) -> tuple[bytes, bytes]:
    """A pod's key and value."""
    value = {
        "podName": name,
        "imageName": "calibrate-camera-kube",
        "deviceNameFk": device,
        "deployedAt": MOMENT,
        "currentVersion": version,
        "latestVersion": "latest",
        "status": "0",
        "updateAt": MOMENT,
    }
    return f"/Pod/{device}/0/{name}".encode(), json.dumps(value).encode()


def _put(index: int, version: int) -> tuple[bytes, bytes]:
    """Each tenth is a device, the others are its pods."""
    device = f"edge-{index // 10:05d}"
    if index % 10:
        return pod(f"{device}-pod-{index % 10}", device, str(version))
    value = {
        "deviceName": device,
        "projectSymbolFk": "prj",
        "deviceIp": f"10.{index >> 16}.{index >> 8 & 255}.{index & 255}",
        "connectionStatus": "0",
        "os": f"Ubuntu 20.04.{version}",
        "updateAt": MOMENT,
        "macAddress": f"02:00:00:{index >> 16:02x}:{index >> 8 & 255:02x}:{index & 255:02x}",
    }
    return f"/Device/{device}/0".encode(), json.dumps(value).encode()
