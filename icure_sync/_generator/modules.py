"""Turns one module of ``icure_async`` into the text of its twin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from icure_sync._generator.classes import ClassWriter
from icure_sync._generator.imports import Imports
from icure_sync._generator.signatures import blocking_name, methods_constant

if TYPE_CHECKING:
    from icure_sync._generator.plan import Plan
    from icure_sync._generator.rules import GeneratedModule
    from icure_sync._generator.source import Source

__all__ = ["write_module"]


def write_module(plan: Plan, source: Source, module: GeneratedModule) -> str:
    """Return the text of a generated module, not yet formatted."""
    imports = Imports(plan, source, module)
    classes: list[str] = []
    exported: list[str] = []
    for name, kind in module.classes.items():
        if name not in source.classes:
            plan.problem(f"rules: there is no class {source.module}.{name}")
            continue
        classes.append("\n".join(ClassWriter(imports, name, kind).write()))
        if kind == "protocol":
            exported += [blocking_name(name), methods_constant(name)]
        else:
            exported.append(name)
    parts = [
        f'"""{plan.reworded(source.doc, source.module)}"""',
        "from __future__ import annotations",
        "\n".join(imports.lines()),
        f"__all__ = {sorted(exported, key=_by_kind)}",
        *classes,
    ]
    return "\n\n".join(parts)


def _by_kind(name: str) -> tuple[bool, str]:
    """Sort as ruff sorts ``__all__``: constants first."""
    return (not name.isupper(), name)
