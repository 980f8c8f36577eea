"""Commands as processes of their own without the second that imports take: this program imports once and forks for each command.

A line of JSON on stdin (words, environment, files for both outputs, room on disk) runs one command; its exit code comes back as a line.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import threading

import hansa.cli.main
import hansa.sdk


def main() -> None:
    for line in sys.stdin:
        order = json.loads(line)
        if threading.active_count() != 1:
            sys.exit("a thread was started by an import; forking would be unsafe")
        child = os.fork()
        if child == 0:
            run(order)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def run(order: dict[str, object]) -> None:
    """Become the command; does not return."""
    for number, path in ((1, order["out"]), (2, order["err"])):
        os.dup2(os.open(str(path), os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.environ.clear()
    os.environ.update(order["environment"])  # type: ignore[call-overload]
    if order["room"] is not None:
        # The nearest to a full disk that a process can have to itself: no file of its grows beyond this many bytes.
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(str(order["room"])), resource.RLIM_INFINITY))
    sys.argv = ["hansa", *order["words"]]  # type: ignore[misc]
    signal.alarm(90)  # a command that hangs ends the test, not the suite
    code = 1
    try:
        hansa.cli.main.main()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    main()
