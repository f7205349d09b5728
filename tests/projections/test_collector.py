"""A worker's memory while its code leaves cycles behind."""

from __future__ import annotations

import subprocess
import sys

CYCLES = 2_500_000
CYCLES_AT_ONCE_MAX = 1_800_000
"""What may be left of them at any time: some hundred megabytes."""
LEFT_BEHIND = f"""
import gc
from collections import deque
from projections.collector import calm_the_collector

calm_the_collector()
recent = deque(maxlen=200_000)  # so long does each live that it has grown old when it is left
most = 0
for number in range({CYCLES}):
    cycle = []
    cycle.append(cycle)
    recent.append(cycle)
    if number % 500_000 == 0:
        most = max(most, sum(map(len, (gc.get_objects(each) for each in range(3)))))
print(most)
"""


def test_cycles_do_not_pile_up() -> None:
    """However many are left, and however old they are then, most are gone before the next ones come."""
    told = subprocess.run([sys.executable, "-c", LEFT_BEHIND], capture_output=True, check=True, text=True)
    assert int(told.stdout) < CYCLES_AT_ONCE_MAX
