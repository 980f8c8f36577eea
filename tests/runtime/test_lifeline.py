"""The tie between child and parent (that it kills is shown with workers and children)."""

from __future__ import annotations

import subprocess
import sys

from hansa.runtime import lifeline


def test_a_launched_program_gets_its_arguments_and_gives_its_exit_code() -> None:
    program = "import sys; print(sys.argv[1:]); sys.exit(3)"
    done = subprocess.run(lifeline.launcher([sys.executable, "-c", program, "a b", "--c"]), capture_output=True, text=True)
    assert (done.stdout, done.stderr, done.returncode) == ("['a b', '--c']\n", "", 3)


def test_a_program_that_does_not_exist_is_one_sentence() -> None:
    done = subprocess.run(lifeline.launcher(["/nowhere/program"]), capture_output=True, text=True)
    assert (done.stdout, done.stderr, done.returncode) == ("", "cannot run /nowhere/program: No such file or directory\n", 1)


def test_a_child_whose_parent_is_gone_already_does_not_start() -> None:
    command = lifeline.launcher([sys.executable, "-c", "print('alive')"])
    command[command.index(lifeline.__file__) + 1] = "1"
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.stdout, done.returncode) == ("", 1)
