"""Systems that can be asked for balances. Bytes from outside end here: a Snapshot or a SourceError goes on."""
