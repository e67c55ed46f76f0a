"""A plain storage as applications write it, and a key pair to keep in it."""

from __future__ import annotations

from icure_sync import KeyPair
from tests.support.golden import WORLD

PAIR = KeyPair(
    *(WORLD["users"]["ned"]["keyPairs"][0][half] for half in ("publicKey", "privateKey"))
)
OWNER = WORLD["users"]["ned"]["dataOwnerId"]


class Dictionary:
    """A plain storage as an application writes it."""

    def __init__(self) -> None:
        self.items: dict[str, str] = {}

    def get_item(self, name: str) -> str | None:
        return self.items.get(name)

    def set_item(self, name: str, value: str) -> None:
        self.items[name] = value

    def remove_item(self, name: str) -> None:
        self.items.pop(name, None)

    def list_items(self, prefix: str = "") -> list[str]:
        return sorted(name for name in self.items if name.startswith(prefix))
