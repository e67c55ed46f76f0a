# Written by "python -m icure_sync._generate" from icure_async.
# Changes here are lost: change that module, or icure_sync/_generator/rules.py.
# pyright: reportPrivateUsage=false, reportIncompatibleVariableOverride=false
"""The blocking twins of the classes of ``icure_async``."""
