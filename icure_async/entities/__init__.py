"""What is encrypted: one notion for every kind of record."""
