"""One notion of an encrypted record for all kinds."""
