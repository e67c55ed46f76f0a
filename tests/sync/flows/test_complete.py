"""The tests of tests/authentication/test_complete.py, run for icure_sync."""

from tests.authentication.test_complete import *  # noqa: F403

# They replace methods of the async objects.
del (
    test_an_account_that_appears_too_late_can_be_waited_for,  # noqa: F821
    test_the_account_appears_late,  # noqa: F821
)
