"""The backend of today: ``rest/v2`` on the same store as ``rest/v1`` (§14)."""
