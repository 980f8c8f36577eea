"""The tree of everything that can go wrong, one sentence each.

    HansaError
    ├── ConfigError          a file or option of the operator is wrong
    ├── DataError            a data set does not fit its declared schema
    ├── FormatError          bytes from others are malformed, too large or out of range
    │   └── DigestMismatch   bytes do not match the digest they were named by
    ├── IdentityError        a key, password, certificate or credential is wrong
    │   └── EnvelopeError    a signed message is forged, replayed, expired or for someone else
    ├── ProtocolError        a message or call breaks the rules of its state machine
    ├── LedgerError          the chain refused or cannot be used
    │   ├── LedgerUnreachable    no endpoint answers
    │   ├── WrongChain           endpoint or deployment file belongs to another chain
    │   └── Reverted             a contract refused the call; carries its custom error
    ├── StorageError         a blob cannot be stored or fetched
    │   └── BlobUnavailable  no holder serves it
    ├── TransportError       a peer does not answer or its answer is unusable
    │   └── PeerRefused      the peer answered with a refusal and its reason
    └── WorkerError          a worker process failed or was lost

Every message says what was wrong and what to do; the command line prints it alone and exits with `exit_code`.
"""

from __future__ import annotations


class HansaError(Exception):
    exit_code = 1


class ConfigError(HansaError):
    exit_code = 2


class DataError(HansaError):
    exit_code = 3


class FormatError(HansaError):
    exit_code = 4


class DigestMismatch(FormatError):
    pass


class IdentityError(HansaError):
    exit_code = 5


class EnvelopeError(IdentityError):
    pass


class ProtocolError(HansaError):
    exit_code = 6


class LedgerError(HansaError):
    exit_code = 7


class LedgerUnreachable(LedgerError):
    pass


class WrongChain(LedgerError):
    pass


class Reverted(LedgerError):
    """A contract refused; `error` is the custom error's name (empty if it gave none), `arguments` its values."""

    def __init__(self, message: str, error: str = "", arguments: tuple[object, ...] = ()) -> None:
        super().__init__(message)
        self.error = error
        self.arguments = arguments


class StorageError(HansaError):
    exit_code = 8


class BlobUnavailable(StorageError):
    pass


class TransportError(HansaError):
    exit_code = 9


class PeerRefused(TransportError):
    pass


class WorkerError(HansaError):
    exit_code = 10
