# mypy: ignore-errors
"""Names of cardinal-sdk, one a line on standard input; those that it does not have come back."""

import importlib
import inspect
import sys

import cardinal_sdk

PLACES = (
    "cardinal_sdk",
    "cardinal_sdk.authentication",
    "cardinal_sdk.options.SdkOptions",
    "cardinal_sdk.storage",
    "cardinal_sdk.storage.StorageFacadeOptions",
)


def class_named(name):
    for place in PLACES:
        found = getattr(importlib.import_module(place), name, None)
        if found is not None:
            return found
    return None


def api_named(name):
    """Return the class of an API: ``healthcare_party`` is a HealthcarePartyApi."""
    if name not in vars(cardinal_sdk.CardinalSdk):
        return None
    camel = "".join(word.capitalize() for word in name.split("_"))
    return getattr(importlib.import_module("cardinal_sdk.api"), f"{camel}Api", None)


def has(name):
    first, *others = name.removeprefix("sdk.").split(".")
    if first[0].isupper():
        found = class_named(first)
        return found is not None and all(
            other in inspect.signature(found).parameters for other in others
        )
    found = api_named(first)
    if found is None:
        return False
    if "try_and_recover" in others:
        others.remove("try_and_recover")
        module = importlib.import_module(found.__module__)
        found = getattr(module, f"{found.__name__}TryAndRecover")
    return all(hasattr(found, f"{other}_blocking") or hasattr(found, other) for other in others)


for line in sys.stdin:
    if not has(line.strip()):
        print(line.strip())
