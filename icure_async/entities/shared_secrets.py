"""The secrets of an entity that may be passed on, of both flavours, and who has them.

An entry of a secure delegation does not name its entity. Somebody who writes documents can copy one
of another entity into this one: passed on, it would open that one. So the key that goes out is the
one that opens what is encrypted here, and secret ids come from delegations that hold it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from icure_async.entities.delegations import entity_key_of, key_map_of
from icure_async.entities.encrypted_self import encrypted_parts
from icure_async.entities.secure_delegations import Contents

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from icure_async.entities.metadata import ReadableEntity
    from icure_async.entities.secrets import EntitySecrets, Secret

__all__ = ["SharedSecrets", "difference_of", "is_empty"]

_DELEGATIONS = "delegations"
_OWNERS = "cryptedForeignKeys"


def is_empty(contents: Contents) -> bool:
    """Return whether there is no secret in it."""
    return not (contents.secret_ids or contents.encryption_keys or contents.owning_entity_ids)


def difference_of(held: Contents, had: Contents) -> Contents:
    """Return those of the secrets held that somebody has not."""
    return Contents(
        [one for one in held.secret_ids if one not in had.secret_ids],
        [one for one in held.encryption_keys if one not in had.encryption_keys],
        [one for one in held.owning_entity_ids if one not in had.owning_entity_ids],
    )


def _sum_of(*all_contents: Contents) -> Contents:
    return Contents(
        list(dict.fromkeys(one for each in all_contents for one in each.secret_ids)),
        list(dict.fromkeys(one for each in all_contents for one in each.encryption_keys)),
        list(dict.fromkeys(one for each in all_contents for one in each.owning_entity_ids)),
    )


@attrs.define(eq=False, repr=False)
class SharedSecrets:
    """The secrets of one entity. Its repr shows none.

    Attributes:
        entity: the entity.
        held: those that may be passed on.
    """

    entity: ReadableEntity
    held: Contents = attrs.field(factory=Contents)
    _had: dict[str, Contents] = attrs.field(factory=dict[str, Contents])

    @property
    def can_be_shared(self) -> bool:
        """True if there is a key to pass on: others could read nothing without it."""
        return bool(self.held.encryption_keys)

    def had_by(self, delegate_id: str) -> Contents:
        """Return the secrets that a delegate is known to have."""
        return self._had.get(delegate_id, Contents())

    def missing(self, delegate_id: str) -> Contents:
        """Return the secrets that a delegate is not known to have."""
        return difference_of(self.held, self.had_by(delegate_id))

    def note_secure(
        self, contents: Contents, holders: Iterable[str], *, may_be_given: bool
    ) -> None:
        """Note the secrets in a secure delegation, and those who have them.

        Args:
            contents: the secrets.
            holders: its delegator and its delegate.
            may_be_given: whether its exchange data is such that they may go out under our name.
        """
        for holder in holders:
            self._note_holder(holder, contents)
        if may_be_given and self.entity.key in contents.encryption_keys and self._proves_key():
            self._note_held(contents)

    def note_legacy(self, secrets: EntitySecrets, delegates: Iterable[str]) -> None:
        """Note the secrets in delegations of 2023, which name their entity.

        Args:
            secrets: those that may be passed on.
            delegates: data owners who may have them.
        """
        document = self.entity.document
        self._note_held(self._contents_of(secrets.held, document))
        for delegate_id in delegates:
            missing = secrets.missing(delegate_id)
            had = {
                name: [one for one in found if one not in missing.get(name, ())]
                for name, found in secrets.held.items()
            }
            self._note_holder(delegate_id, self._contents_of(had, document))

    def _contents_of(
        self, by_map: Mapping[str, Iterable[Secret]], document: Mapping[str, Any]
    ) -> Contents:
        texts = {name: [secret for _, secret in found] for name, found in by_map.items()}
        return Contents(
            texts.get(_DELEGATIONS, ()),
            [
                key
                for one in texts.get(key_map_of(document), ())
                if (key := entity_key_of(one)) is not None and key == self.entity.key
            ],
            texts.get(_OWNERS, ()),
        )

    def _note_held(self, contents: Contents) -> None:
        key = self.entity.key
        keys = [one for one in contents.encryption_keys if one == key]
        # In entities of the past the secret id is the key, which the backend must not see.
        secret_ids = [
            one for one in contents.secret_ids if key not in (entity_key_of(one), one.encode())
        ]
        held = attrs.evolve(contents, encryption_keys=keys, secret_ids=secret_ids)
        self.held = _sum_of(self.held, held)

    def _note_holder(self, holder: str, contents: Contents) -> None:
        self._had[holder] = _sum_of(self.had_by(holder), contents)

    def _proves_key(self) -> bool:
        """Return whether something is encrypted in the entity, which only its own key opens."""
        return bool(encrypted_parts(self.entity.document))
