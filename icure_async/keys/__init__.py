"""The keys of a data owner, in the order of a login."""
