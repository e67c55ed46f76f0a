"""The ``icure`` command. Needs the ``cli`` extra."""

try:
    from icure_async.cli.command import app, main
except ImportError as _error:
    if _error.name is None or _error.name.partition(".")[0] not in ("rich", "typer"):
        raise
    raise SystemExit("The icure command needs its extra: pip install 'icure-async[cli]'") from None

__all__ = ["app", "main"]
