"""The sandbox's own API: all that a backend does not have, for tests, pages and other programs."""
