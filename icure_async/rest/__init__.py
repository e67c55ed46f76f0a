"""The session with the backend, and one module per backend resource. Knows nothing of keys."""
