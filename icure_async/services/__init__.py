"""A kit for web services with many users: API objects, sign-ins, sessions, and errors as HTTP.

Start with :class:`ApiPool`, which keeps an API object for each user who is logged in, and
:class:`ProcessStore` and :class:`SessionStore`, which keep sign-ins and sessions on any storage.
"""

from icure_async.hooks import Hook, OutgoingRequest, RequestOutcome
from icure_async.services.hooks import opentelemetry_hooks
from icure_async.services.http import PROBLEM_JSON, headers_of, http_status_of, problem_of
from icure_async.services.pool import ApiPool
from icure_async.services.processes import ProcessStore
from icure_async.services.session_values import StoredSession, UserSession
from icure_async.services.sessions import SessionStore
from icure_async.services.statistics import PoolStatistics
from icure_async.services.users import PoolUser, UserCredentials

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
