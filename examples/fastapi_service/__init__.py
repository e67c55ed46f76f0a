"""A web service on FastAPI: people sign in by SMS, and write notes that their doctor can read.

``docs/examples.md`` says how to run it.
"""
