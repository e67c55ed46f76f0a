"""Registering and logging in with a one-time code."""
