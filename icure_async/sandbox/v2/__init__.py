"""The rest/v2 API of the sandbox, on the same database and users as rest/v1 (§14)."""
