"""A kit for web services with many users: API objects, sign-ins, sessions, and errors as HTTP.

Start with :class:`ApiPool`, which keeps an API object for each user who is logged in, and
:class:`ProcessStore` and :class:`SessionStore`, which keep sign-ins and sessions on any storage.
"""

from icure_async.services.http import PROBLEM_JSON, headers_of, http_status_of, problem_of
from icure_async.services.pool import ApiPool, PoolStatistics
from icure_async.services.processes import ProcessStore
from icure_async.services.sessions import SessionStore, StoredSession, UserSession
from icure_async.services.users import PoolUser, UserCredentials

__all__ = [
    "PROBLEM_JSON",
    "ApiPool",
    "PoolStatistics",
    "PoolUser",
    "ProcessStore",
    "SessionStore",
    "StoredSession",
    "UserCredentials",
    "UserSession",
    "headers_of",
    "http_status_of",
    "problem_of",
]
