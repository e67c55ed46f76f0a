"""``python -m icure_async``: the ``icure`` command."""

from icure_async.cli import main

main()
