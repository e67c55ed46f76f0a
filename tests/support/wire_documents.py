"""Random documents as a backend may send them, written down from the specification.

Nothing here is derived from the models: a field forgotten there must show.
"""

from __future__ import annotations

import base64
from typing import Any

from hypothesis import strategies as st

from tests.support.golden import WORLD

TEXT = st.text(max_size=8)
INT = st.integers(min_value=-(2**63), max_value=2**63 - 1)
NUMBER = st.floats(allow_nan=False, allow_infinity=False) | INT
BOOL = st.booleans()
PICTURE = st.binary(max_size=40).map(lambda content: base64.b64encode(content).decode())
ANY_JSON = st.recursive(
    st.none() | BOOL | INT | TEXT,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXT, inner, max_size=2),
    max_leaves=4,
)
UNKNOWN = st.dictionaries(TEXT.map(lambda name: f"x-{name}"), ANY_JSON, max_size=2)


def listed(items: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    return st.lists(items, max_size=2)


def mapped(items: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(TEXT, items, max_size=2)


def document(
    members: dict[str, st.SearchStrategy[Any]], unknown: st.SearchStrategy[dict[str, Any]] = UNKNOWN
) -> st.SearchStrategy[dict[str, Any]]:
    known = st.fixed_dictionaries(
        {}, optional={name: st.none() | value for name, value in members.items()}
    )
    return st.builds(lambda one, other: {**other, **one}, known, unknown)


def texts(names: str) -> dict[str, st.SearchStrategy[Any]]:
    return dict.fromkeys(names.split(), TEXT)


def integers(names: str) -> dict[str, st.SearchStrategy[Any]]:
    return dict.fromkeys(names.split(), INT)


CODING = document(texts("id type code version"))
IDENTIFIER = document({**texts("id assigner start end system use value"), "type": CODING})
PERSON_NAME = document(
    {
        **texts("lastName text use"),
        **integers("start end"),
        **dict.fromkeys(("firstNames", "prefix", "suffix"), listed(TEXT)),
    }
)
TELECOM = document(texts("telecomType telecomNumber telecomDescription"))
ADDRESS = document(
    {
        **texts(
            "addressType descr street houseNumber postboxNumber postalCode city state country note"
        ),
        "telecoms": listed(TELECOM),
    }
)
TYPED_VALUE = document(
    {
        **texts("type stringValue"),
        **integers("integerValue dateValue"),
        "booleanValue": BOOL,
        "doubleValue": NUMBER,
    }
)
PROPERTY = document(
    {
        "id": TEXT,
        "type": document(texts("identifier type")),
        "typedValue": TYPED_VALUE,
        "deletionDate": INT,
    }
)
DELEGATION = document({**texts("owner delegatedTo key"), "tags": listed(TEXT)})
DELEGATIONS = mapped(listed(DELEGATION))

PATIENT_MEMBERS: dict[str, st.SearchStrategy[Any]] = {
    **texts(
        "id rev author responsible firstName lastName companyName civility gender birthSex "
        "mergeToPatientId alias deactivationReason ssin maidenName spouseName partnerName "
        "personalStatus placeOfBirth placeOfDeath education profession note administrativeNote "
        "nationality race ethnicity externalId publicKey encryptedSelf"
    ),
    **integers("created modified endOfLife deletionDate dateOfBirth dateOfDeath"),
    **dict.fromkeys(("active", "deceased"), BOOL),
    **dict.fromkeys(("languages", "mergedIds", "secretForeignKeys"), listed(TEXT)),
    **dict.fromkeys(("tags", "codes", "patientProfessions"), listed(CODING)),
    **dict.fromkeys(("cryptedForeignKeys", "delegations", "encryptionKeys"), DELEGATIONS),
    "identifier": listed(IDENTIFIER),
    "names": listed(PERSON_NAME),
    "addresses": listed(ADDRESS),
    "picture": PICTURE,
    "partnerships": listed(document(texts("type status partnerId"))),
    "patientHealthCareParties": listed(document(texts("type healthcarePartyId"))),
    "parameters": mapped(listed(TEXT)),
    "properties": listed(PROPERTY),
    "hcPartyKeys": mapped(listed(TEXT)),
    "privateKeyShamirPartitions": mapped(TEXT),
    "aesExchangeKeys": mapped(mapped(mapped(TEXT))),
    "transferKeys": mapped(mapped(TEXT)),
}
# Names of the documentation that mean nothing on the wire are unknown members there.
MISLEADING = st.dictionaries(
    st.sampled_from(["_type", "identifiers", "labels", "systemMetaData", "unknownFields", "notes"]),
    ANY_JSON,
    max_size=2,
)
PATIENT = document(
    PATIENT_MEMBERS, st.builds(lambda one, other: {**one, **other}, UNKNOWN, MISLEADING)
)

USER_MEMBERS: dict[str, st.SearchStrategy[Any]] = {
    **texts(
        "id rev name login passwordHash secret groupId healthcarePartyId patientId deviceId email "
        "mobilePhone"
    ),
    **integers("deletionDate created"),
    "use2fa": BOOL,
    "properties": listed(PROPERTY),
    "roles": listed(TEXT),
    "autoDelegations": mapped(listed(TEXT)),
    "authenticationTokens": mapped(document({"token": TEXT, **integers("creationTime validity")})),
}
USER = document(USER_MEMBERS)


def without_nulls(value: Any) -> Any:
    """Drop the null members of a document, but not what is inside its unknown members."""
    if isinstance(value, list):
        return [without_nulls(item) for item in value]
    if not isinstance(value, dict):
        return value
    unknown = ("x-", "_type", "identifiers", "labels", "systemMetaData", "unknownFields", "notes")
    return {
        key: item if key.startswith(unknown) else without_nulls(item)
        for key, item in value.items()
        if item is not None
    }


def golden(kind: str) -> list[tuple[str, dict[str, Any]]]:
    """Return every stored document of a kind, with the stage and id it belongs to."""
    return [
        (f"{stage}/{key}", stored)
        for stage, content in WORLD["stages"].items()
        for key, stored in content["entities"][kind].items()
    ]
