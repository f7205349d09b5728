"""The machine in general terms: what a reader needs to judge the figures, and nothing that names it."""

from __future__ import annotations

import platform
from pathlib import Path

import psutil

CPU_INFO = Path("/proc/cpuinfo")
OS_RELEASE = Path("/etc/os-release")


def describe() -> str:
    """One line: cores, CPU model, memory, operating system, Python."""
    cores = psutil.cpu_count() or 1
    memory_gib = psutil.virtual_memory().total / 2**30
    return (
        f"{cores} core{'s' if cores > 1 else ''} ({_cpu_model()}), {memory_gib:.0f} GiB of memory, "
        f"{_operating_system()}, {platform.python_implementation()} {platform.python_version()}"
    )


def _cpu_model() -> str:
    return _value(CPU_INFO, "model name", separator=":") or platform.machine()


def _operating_system() -> str:
    name = _value(OS_RELEASE, "PRETTY_NAME", separator="=") or platform.system()
    return f"{name}, {platform.system()} {'.'.join(platform.release().split('.')[:2])}"


def _value(path: Path, key: str, *, separator: str) -> str | None:
    """The first value of that key in a file of lines `key<separator>value`, without quotes."""
    if not path.exists():
        return None
    for line in path.read_text().splitlines():
        name, _, value = line.partition(separator)
        if name.strip() == key:
            return value.strip().strip('"')
    return None
