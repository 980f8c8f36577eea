"""No orphans: a child is killed by the kernel when its parent dies, however the parent dies.

Imports the standard library alone, because `launcher` runs this very file with an interpreter that sees nothing else.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Sequence

_PR_SET_PDEATHSIG = 1


def die_with_parent(parent: int) -> None:
    """Tie this process to the process `parent`, its parent; ends at once when that one is already gone."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    # The parent may have died between fork and prctl; then no signal will ever come.
    if os.getppid() != parent:
        os._exit(1)


def launcher(command: Sequence[str]) -> list[str]:
    """The command line that runs `command`, a program of any kind, tied to the calling process."""
    return [sys.executable, "-I", "-S", __file__, str(os.getpid()), *command]


if __name__ == "__main__":
    die_with_parent(int(sys.argv[1]))
    try:
        os.execvp(sys.argv[2], sys.argv[2:])
    except OSError as error:
        sys.exit(f"cannot run {sys.argv[2]}: {error.strerror}")
