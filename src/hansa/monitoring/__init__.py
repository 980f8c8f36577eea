"""Looking at what happened: reports that an auditor accepts, from the ledger's facts and the blobs they name, on nobody's word."""
