"""iostat: how busy this machine's disks and processors are, for machines without the real one.

It runs as `python -I -S iostat.py ARGUMENT…`, only reads /proc/stat and /proc/diskstats, and prints the reports of
iostat(1) from sysstat 12: those of `-x`, `-d` and `-c`, the first since the machine started. What its columns mean is
in the kernel's Documentation/admin-guide/iostats.rst.
"""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Iterator, Sequence

SECTOR = 512  # bytes, whatever the disk's own are (iostats.rst)
TICKS = os.sysconf("SC_CLK_TCK")
USAGE = "Usage: iostat [ -c ] [ -d ] [ -x ] [ -k ] [ -y ] [ -z ] [ <interval> [ <count> ] ]\n"
# The kinds of request in the order of /proc/diskstats: the first field of each, and whether they may be merged.
KINDS = (("r", 3), ("w", 7), ("d", 14))

Disks = dict[str, list[int]]


def processors() -> list[float]:
    """Seconds that all processors have spent so far: user, nice, system, iowait, steal, idle."""
    with open("/proc/stat", encoding="ascii") as told:  # noqa: PTH123 - pathlib takes longer to import than all the rest
        user, nice, system, idle, waiting, irq, softirq, stolen = map(int, told.readline().split()[1:9])
    return [ticks / TICKS for ticks in (user, nice, system + irq + softirq, waiting, stolen, idle)]


def disks() -> Disks:
    """The counters of each disk, as fields of its line, numbered from 0; partitions and unused ones are left out."""
    found = {}
    with open("/proc/diskstats", encoding="ascii") as told:  # noqa: PTH123 - as above
        for line in told:
            words = line.split()
            is_disk = os.path.isdir(f"/sys/block/{words[2].replace('/', '!')}")  # noqa: PTH112 - as above
            if is_disk and any(word != "0" for word in words[3:]):
                found[words[2]] = [0, 0, 0, *(int(word) for word in words[3:]), *[0] * (20 - len(words))]
    return found


def share(parts: Sequence[float]) -> list[float]:
    """Each part in per cent of all."""
    return [100 * part / (sum(parts) or 1) for part in parts]


def extended(was: Sequence[int], now: Sequence[int], lasted: float) -> Iterator[float]:
    """The columns of `-x` for one disk, over `lasted` seconds."""
    grown = [after - before for before, after in zip(was, now, strict=True)]
    for _, first in KINDS:
        done, merged, sectors, spent = grown[first : first + 4]
        yield from (done / lasted, sectors * SECTOR / 1024 / lasted, merged / lasted)
        yield from (100 * merged / ((done + merged) or 1), spent / (done or 1), sectors * SECTOR / 1024 / (done or 1))
    yield from (grown[18] / lasted, grown[19] / (grown[18] or 1))
    yield from (grown[13] / 1000 / lasted, min(100.0, grown[12] / 10 / lasted))


def plain(was: Sequence[int], now: Sequence[int], lasted: float) -> Iterator[float]:
    """The columns without `-x`: transfers, kB of each kind in a second, kB of each kind."""
    grown = [after - before for before, after in zip(was, now, strict=True)]
    kilobytes = [grown[first + 2] * SECTOR / 1024 for _, first in KINDS]
    yield sum(grown[first] for _, first in KINDS) / lasted
    yield from (each / lasted for each in kilobytes)
    yield from kilobytes


def head(is_extended: bool) -> list[str]:
    if not is_extended:
        return ["tps", "kB_read/s", "kB_wrtn/s", "kB_dscd/s", "kB_read", "kB_wrtn", "kB_dscd"]
    columns = [
        column.replace("*", kind)
        for kind, _ in KINDS
        for column in ("*/s", "*kB/s", "*rqm/s", "%*rqm", "*_await", "*areq-sz")
    ]
    return [*columns, "f/s", "f_await", "aqu-sz", "%util"]


def report(flags: str, cpu: Sequence[float], was: Disks, now: Disks, lasted: float) -> str:
    """One report over `lasted` seconds."""
    lines = []
    if "c" in flags or "d" not in flags:
        lines += ["avg-cpu:  %user   %nice %system %iowait  %steal   %idle"]
        lines += ["        " + "".join(f"{each:8.2f}" for each in share(cpu)), ""]
    if "d" in flags or "c" not in flags:
        is_extended = "x" in flags
        lines.append("Device" + " " * 7 + "".join(f" {name:>9}" for name in head(is_extended)))
        for name, counters in now.items():
            before = was.get(name, [0] * len(counters))
            columns = (extended if is_extended else plain)(before, counters, lasted)
            if "z" not in flags or before != counters:
                lines.append(f"{name:<13}" + "".join(f" {each:9.2f}" for each in columns))
        lines.append("")
    return "\n".join(lines) + "\n"


def say(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def main(arguments: Sequence[str]) -> int:
    flags = "".join(word[1:] for word in arguments if word.startswith("-"))
    numbers = [word for word in arguments if not word.startswith("-")]
    if set(flags) - set("cdxkyz") or len(numbers) > 2 or not all(re.fullmatch(r"[1-9]\d*", each) for each in numbers):
        sys.stderr.write(USAGE)
        return 1
    interval = int(numbers[0]) if numbers else 0
    left = int(numbers[1]) if len(numbers) > 1 else -1 if numbers else 1
    with open("/proc/uptime", encoding="ascii") as told:  # noqa: PTH123 - as above
        lasted = float(told.read().split()[0])
    system = os.uname()
    count = os.cpu_count()
    date = time.strftime("%m/%d/%Y")
    say(f"{system.sysname} {system.release} ({system.nodename})\t{date}\t_{system.machine}_\t({count} CPU)\n\n")
    cpu, was = [0.0] * 6, Disks()
    skip = "y" in flags and interval
    while left:
        now, used = disks(), processors()
        if not skip:
            spent = [after - before for before, after in zip(cpu, used, strict=True)]
            say(report(flags, spent, was, now, lasted) + "\n")
            left -= 1
        skip, cpu, was, lasted = 0, used, now, float(interval)
        if left:
            time.sleep(interval)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
