"""Builders for one backend, all of whose addresses and ids a sandbox knows."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from icure_async import AnonymousMedTechApiBuilder, MedTechApiBuilder

if TYPE_CHECKING:
    import icure_sync
    from icure_async.models.flavour import Flavour
    from icure_async.sandbox import Sandbox
    from icure_sync.sandbox import Sandbox as BlockingSandbox

    Builder = TypeVar(
        "Builder",
        AnonymousMedTechApiBuilder,
        MedTechApiBuilder,
        icure_sync.AnonymousMedTechApiBuilder,
        icure_sync.MedTechApiBuilder,
    )


def anonymous_builder_for(
    sandbox: Sandbox, *, professional: bool = False, flavour: Flavour = "medtech"
) -> AnonymousMedTechApiBuilder:
    """For those who register with a sandbox."""
    builder = AnonymousMedTechApiBuilder().with_flavour(flavour)
    return configured(builder, sandbox, professional=professional)


def configured(
    builder: Builder, sandbox: Sandbox | BlockingSandbox, *, professional: bool = False
) -> Builder:
    """Tell a builder of either package where a sandbox is."""
    if professional:
        by_sms_id, by_email_id = sandbox.hcp_process_by_sms_id, sandbox.hcp_process_by_email_id
    else:
        by_sms_id = sandbox.patient_process_by_sms_id
        by_email_id = sandbox.patient_process_by_email_id
    return (
        builder.with_icure_base_url(sandbox.icure_url)
        .with_msg_gw_url(sandbox.msg_gw_url)
        .with_msg_gw_spec_id(sandbox.spec_id)
        .with_auth_process_by_sms_id(by_sms_id)
        .with_auth_process_by_email_id(by_email_id)
    )


def builder_for(
    url: str, login: str, password: str, *, flavour: Flavour = "medtech"
) -> MedTechApiBuilder:
    """For a user of the backend with this URL."""
    builder = MedTechApiBuilder().with_flavour(flavour).with_icure_base_url(url)
    return builder.with_user_name(login).with_password(password)
