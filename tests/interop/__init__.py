"""Interoperability with the published @icure/api package."""
