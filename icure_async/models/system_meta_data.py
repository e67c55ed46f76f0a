"""Keys and delegations, which the encryption keeps with each entity."""

import attrs

from icure_async.models.base import ValueModel

__all__ = [
    "Delegation",
    "SystemMetaDataEncrypted",
    "SystemMetaDataOwner",
    "SystemMetaDataOwnerEncrypted",
]


@attrs.define(kw_only=True, repr=False)
class Delegation(ValueModel):
    """A secret of an entity, encrypted for one data owner (data-model.md §2).

    Attributes:
        owner: data owner id of who shares.
        delegated_to: data owner id of who may read.
        key: the encrypted secret, in hex.
        tags: categories of data the delegation was made for.
    """

    owner: str | None = None
    delegated_to: str | None = None
    key: str | None = None
    tags: list[str] | None = None


@attrs.define(kw_only=True, repr=False)
class SystemMetaDataEncrypted(ValueModel):
    """Keys and delegations of an encrypted entity.

    On the wire these are members of the entity itself (data-model.md §2.1). The SDK looks after
    them: there is no reason to change them by hand.

    Attributes:
        encrypted_self: the encrypted members, in base64.
        secret_foreign_keys: secret ids of parent entities.
        crypted_foreign_keys: data owner id → encrypted ids of parent entities.
        delegations: data owner id → encrypted secret ids.
        encryption_keys: data owner id → encrypted keys of the entity.
    """

    encrypted_self: str | None = None
    secret_foreign_keys: list[str] = attrs.field(factory=list[str])
    crypted_foreign_keys: dict[str, list[Delegation]] = attrs.field(
        factory=dict[str, list[Delegation]]
    )
    delegations: dict[str, list[Delegation]] = attrs.field(factory=dict[str, list[Delegation]])
    encryption_keys: dict[str, list[Delegation]] = attrs.field(factory=dict[str, list[Delegation]])


@attrs.define(kw_only=True, repr=False)
class SystemMetaDataOwner(ValueModel):
    """Keys of a data owner who is a healthcare professional or a device.

    On the wire these are members of the data owner itself (data-model.md §2.1). The SDK looks after
    them, and refuses to save a record in which they were changed by hand.

    Attributes:
        public_key: the first public key, as SPKI in hex.
        hc_party_keys: data owner id → the encrypted exchange keys of the former key scheme.
        private_key_shamir_partitions: data owner id → encrypted share of the private key.
        aes_exchange_keys: public key → data owner id → key fingerprint → encrypted exchange key.
        transfer_keys: public key → public key → private key of the latter, encrypted.
    """

    public_key: str | None = None
    hc_party_keys: dict[str, list[str]] | None = None
    private_key_shamir_partitions: dict[str, str] | None = None
    aes_exchange_keys: dict[str, dict[str, dict[str, str]]] | None = None
    transfer_keys: dict[str, dict[str, str]] | None = None


@attrs.define(kw_only=True, repr=False)
class SystemMetaDataOwnerEncrypted(SystemMetaDataEncrypted):
    """Keys and delegations of a patient, who is both a data owner and an encrypted entity.

    On the wire these are members of the patient itself (data-model.md §2.1). The SDK looks after
    them: there is no reason to change them by hand.

    Attributes:
        public_key: the first public key, as SPKI in hex.
        hc_party_keys: data owner id → the encrypted exchange keys of the former key scheme.
        private_key_shamir_partitions: data owner id → encrypted share of the private key.
        aes_exchange_keys: public key → data owner id → key fingerprint → encrypted exchange key.
        transfer_keys: public key → public key → private key of the latter, encrypted.
        encrypted_self: the encrypted members, in base64.
        secret_foreign_keys: secret ids of parent entities.
        crypted_foreign_keys: data owner id → encrypted ids of parent entities.
        delegations: data owner id → encrypted secret ids.
        encryption_keys: data owner id → encrypted keys of the entity.
    """

    public_key: str | None = None
    hc_party_keys: dict[str, list[str]] | None = None
    private_key_shamir_partitions: dict[str, str] | None = None
    aes_exchange_keys: dict[str, dict[str, dict[str, str]]] | None = None
    transfer_keys: dict[str, dict[str, str]] | None = None
