# Written by "python tools/gen_sync.py" from icure_async.
# Changes here are lost: change that module, or tools/sync_rules.py.
# pyright: reportPrivateUsage=false, reportIncompatibleVariableOverride=false
"""The blocking twins of the classes of ``icure_async``."""
