"""What a user's script does: look at a network, act in it as one account, post jobs, watch and tend them, have models audited."""

from __future__ import annotations

from hansa.sdk.client import Client, Observer, open_client, open_network
from hansa.sdk.tending import Tender

__all__ = ["Client", "Observer", "Tender", "open_client", "open_network"]
