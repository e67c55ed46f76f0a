"""A kit for blocking web services with many users: see :mod:`icure_async.services`.

A pool serves all threads of a worker process. A service that forks makes it after the fork.
"""

from icure_async.hooks import Hook, OutgoingRequest, RequestOutcome
from icure_async.services.hooks import opentelemetry_hooks
from icure_async.services.http import PROBLEM_JSON, headers_of, http_status_of, problem_of
from icure_async.services.session_values import StoredSession, UserSession
from icure_async.services.statistics import PoolStatistics
from icure_async.services.users import PoolUser, UserCredentials
from icure_sync._generated.pool import ApiPool
from icure_sync._generated.processes import ProcessStore
from icure_sync._generated.sessions import SessionStore

__all__ = [
    "PROBLEM_JSON",
    "ApiPool",
    "Hook",
    "OutgoingRequest",
    "PoolStatistics",
    "PoolUser",
    "ProcessStore",
    "RequestOutcome",
    "SessionStore",
    "StoredSession",
    "UserCredentials",
    "UserSession",
    "headers_of",
    "http_status_of",
    "opentelemetry_hooks",
    "problem_of",
]
