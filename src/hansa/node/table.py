"""A site's own table: read and normalised once, and again when its file has changed."""

from __future__ import annotations

from pathlib import Path

from hansa.core.errors import ConfigError, IdentityError
from hansa.core.types import Digest
from hansa.learning import data, examples
from hansa.learning.examples import Examples
from hansa.learning.normalisation import standardised
from hansa.node.config import DataConfig

Site = tuple[Examples, Digest]
"""Rows in standard scores (a text's as they are), and the salted digest of the rows as they were read (R17)."""


class Table:
    """The file that a configuration names; paths are relative to the node's `home`."""

    def __init__(self, section: DataConfig, home: Path) -> None:
        self._section, self._path = section, home / section.path
        try:
            self._salt = (home / section.salt_file).read_bytes()
        except OSError as error:
            raise IdentityError(f"{home / section.salt_file} cannot be read ({error.strerror}); the configuration names it") from error
        if len(self._salt) != 32:
            raise ConfigError(f"{home / section.salt_file} must hold 32 random bytes; make a new one with `hansa node new`")
        self._seen: tuple[int, int] | None = None

    def read(self) -> Site:
        """The rows; DataError when they do not fit the schema."""
        seen = self._stamp()
        rows = data.read(self._path, self._section.data_schema)
        self._seen = seen
        return standardised(rows, self._section.data_schema), examples.digest(rows, self._salt)

    def reread(self) -> Site | None:
        """The rows if the file has changed since they were read, else nothing."""
        return self.read() if self._stamp() != self._seen else None

    def _stamp(self) -> tuple[int, int] | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size
