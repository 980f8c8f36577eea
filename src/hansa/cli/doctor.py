"""`hansa doctor`: is everything here that a node needs?"""

from __future__ import annotations

from hansa.cli import show
from hansa.cli.options import Home, Json


def doctor(home: Home, json: Json = False) -> None:
    """Look at this machine and at the home's nodes; 2 when something is missing."""
    from hansa.core.errors import ConfigError
    from hansa.monitoring.doctor import examine

    findings = show.run(examine(home))
    if json:
        show.as_json(findings)
    else:
        show.table(("", "", ""), [("ok" if each.well else "MISSING", each.what, each.seen) for each in findings])
    wrong = [each.what for each in findings if not each.well]
    if wrong:
        raise ConfigError(f"{len(wrong)} of {len(findings)} looks found something to mend: {', '.join(wrong)}")
