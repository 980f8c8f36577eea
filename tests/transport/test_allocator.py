from __future__ import annotations

import platform
import subprocess
import sys

import pytest

from hansa.transport.allocator import keep_freed_memory

PAGES = """
import resource
from hansa.transport.allocator import keep_freed_memory
if {keep}:
    assert keep_freed_memory()
def faults():
    for _ in range(20):
        b"".join([bytes(1 << 20) for _ in range(8)])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        b"".join([bytes(1 << 20) for _ in range(8)])
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print(faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc's allocator can be told")
def test_freed_memory_is_used_again_instead_of_fetched_from_the_kernel() -> None:
    def faults(keep: bool) -> int:
        ran = subprocess.run([sys.executable, "-c", PAGES.format(keep=keep)], capture_output=True, text=True, check=True)
        return int(ran.stdout)

    assert faults(True) < faults(False) / 20


def test_another_allocator_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    keep_freed_memory.cache_clear()
    try:
        assert not keep_freed_memory()
    finally:
        keep_freed_memory.cache_clear()
