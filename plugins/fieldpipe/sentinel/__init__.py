"""Sentinel: devices and pods that are described in etcd, mirrored into SQL as they change, and audited."""
