"""What an operator can see: the request log, the metrics, the ledger of degraded states."""
