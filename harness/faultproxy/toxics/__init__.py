"""Toxics: one kind of fault per file, each with settings and a `pipe` through which one connection's data run."""

from __future__ import annotations

from collections.abc import Mapping

from harness.faultproxy.stage import Toxic
from harness.faultproxy.toxics.bandwidth import Bandwidth
from harness.faultproxy.toxics.latency import Latency
from harness.faultproxy.toxics.limit_data import LimitData
from harness.faultproxy.toxics.noop import Noop
from harness.faultproxy.toxics.reset_peer import ResetPeer
from harness.faultproxy.toxics.slicer import Slicer
from harness.faultproxy.toxics.slow_close import SlowClose
from harness.faultproxy.toxics.timeout import Timeout

KINDS: Mapping[str, type[Toxic]] = {
    "bandwidth": Bandwidth,
    "latency": Latency,
    "limit_data": LimitData,
    "noop": Noop,
    "reset_peer": ResetPeer,
    "slicer": Slicer,
    "slow_close": SlowClose,
    "timeout": Timeout,
}
