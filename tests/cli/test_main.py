"""The command line as a whole: quick help, one sentence for what goes wrong, traces for who asks for them."""

from __future__ import annotations

import subprocess
import sys

from tests.cli.conftest import Hansa


def test_help_names_every_command_and_loads_nothing_heavy(hansa: Hansa) -> None:
    said = hansa("--help")
    assert said.code == 0
    for word in ("up", "demo", "doctor", "simulate", "robustness", "node", "job", "model", "audit"):
        assert f"  {word}" in said.out
    heavy = ("torch", "web3", "numpy", "aiohttp", "sklearn", "rich")
    program = f"import sys, hansa.cli.main; print([name for name in {heavy!r} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_every_command_explains_itself(hansa: Hansa) -> None:
    for noun, verbs in {
        "node": ("new", "run", "register", "status"),
        "job": ("post", "tend", "list", "show", "watch"),
        "model": ("publish", "save"),
    }.items():
        said = hansa(noun, "--help")
        assert said.code == 0 and all(f"  {verb}" in said.out for verb in verbs)


def test_an_unknown_command_is_a_mistake_of_use(hansa: Hansa) -> None:
    said = hansa("jobs")
    assert said.code == 2 and "No such command 'jobs'" in said.err


def test_an_error_is_one_sentence_and_its_code(hansa: Hansa) -> None:
    hansa("job", "list").sentence(2, "hansa: there is no configuration at", "node.toml")


def test_the_trace_is_there_for_who_asks(hansa: Hansa) -> None:
    said = hansa("job", "list", HANSA_DEBUG="1")
    assert said.code == 1 and "Traceback" in said.err and "ConfigError" in said.err
