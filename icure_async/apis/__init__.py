"""One module per API that a user calls."""
