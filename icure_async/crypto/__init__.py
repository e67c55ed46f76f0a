"""Bytes in, bytes out, and the key ring. Knows nothing of HTTP or of people."""
