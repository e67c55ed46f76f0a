"""A whole sandbox, replaced by a seed while it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from icure_async.sandbox.master import adopt_master, load_master, master_record
from icure_async.sandbox.seed import plant

if TYPE_CHECKING:
    from icure_async.sandbox.seed import Seed
    from icure_async.sandbox.store import Transaction

__all__ = ["replant"]


def replant(tx: Transaction, seed: Seed) -> None:
    """Replace everything by what a seed contains; the master stays if the seed has none."""
    master, record = load_master(tx), master_record(tx)
    own = [
        (kind, tx.get(kind, entity_id))
        for kind, entity_id in (
            ("user", master.user_id if master else ""),
            ("hcparty", master.data_owner_id if master else ""),
        )
    ]
    tx.clear()
    if seed.group_id is not None:
        tx.set_meta("group", seed.group_id)
    plant(tx, seed)
    if seed.master is not None or master is None or record is None:
        return
    adopt_master(tx, record)
    for kind, entity in own:
        if entity is not None and tx.get(kind, entity["id"]) is None:
            tx.put(kind, {**entity, "groupId": tx.group_id} if kind == "user" else entity)
    tokens = tx.seeded_tokens(master.user_id)
    if master.password not in tokens:
        tx.set_seeded_tokens(master.user_id, [*tokens, master.password])
