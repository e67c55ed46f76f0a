"""The messages of the sandbox: those that were sent, and what became of their codes."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from icure_async.sandbox import Message, Sandbox
from icure_async.sandbox.mailbox import Mailbox
from tests.support.bare_client import World, basic

PHONE = "+32588235595"
EMAIL = "ned@winterfell.example"


async def test_messages_are_listed_with_their_codes_in_the_order_they_were_sent(
    world: World,
) -> None:
    await world.start(PHONE)
    await world.start(EMAIL)
    by_sms, by_email = world.sandbox.messages()
    assert (by_sms.number, by_sms.channel, by_sms.recipient) == (1, "sms", PHONE)
    assert (by_email.number, by_email.channel, by_email.recipient) == (2, "email", EMAIL)
    assert by_sms.text == by_sms.code == await world.sandbox.wait_for_code(PHONE)
    assert by_email.subject == by_email.code == await world.sandbox.wait_for_code(EMAIL)
    assert by_sms.expires_at == by_sms.sent_at + 600_000


async def test_those_of_one_contact_are_found_however_it_is_spelled(world: World) -> None:
    await world.start(PHONE)
    await world.start(EMAIL)
    assert [m.recipient for m in world.sandbox.messages("+32 (0)588 23 55 95")] == [PHONE]
    assert world.sandbox.messages("+32588235596") == []


async def test_a_code_is_open_until_it_is_used(world: World) -> None:
    request_id = await world.start(PHONE)
    assert world.sandbox.messages()[0].state == "open"
    await world.validate(request_id, await world.sandbox.wait_for_code(PHONE))
    assert world.sandbox.messages()[0].state == "used"


async def test_a_code_expires_with_the_clock(world: World) -> None:
    await world.start(PHONE)
    world.sandbox.advance_clock(601)
    assert world.sandbox.messages()[0].state == "expired"


async def test_a_code_that_was_used_does_not_expire(world: World) -> None:
    await world.register(PHONE)
    world.sandbox.advance_clock(601)
    assert world.sandbox.messages()[0].state == "used"


async def test_a_process_is_closed_by_too_many_wrong_codes(world: World) -> None:
    request_id = await world.start(PHONE)
    for left in range(4, -1, -1):
        await world.validate(request_id, "wrong")
        assert world.sandbox.messages()[0].state == ("open" if left else "closed")


async def test_a_message_of_a_user_has_no_code_and_stays_open(world: World) -> None:
    master = world.sandbox.master_hcp
    await world.gateway.post(
        f"/sms/to/{PHONE}",
        {"message": "Hello"},
        headers=basic(master.login, master.password),
    )
    world.sandbox.advance_clock(10_000)
    (message,) = world.sandbox.messages()
    assert (message.text, message.code, message.expires_at, message.state) == (
        "Hello", None, None, "open",
    )  # fmt: skip


async def test_nothing_of_a_code_or_a_text_is_in_a_repr(world: World) -> None:
    await world.start(EMAIL)
    (message,) = world.sandbox.messages()
    assert message.code
    assert message.code not in repr(message)
    assert message.code not in repr(world.sandbox)


async def test_the_newest_thousand_messages_are_kept() -> None:
    mailbox = Mailbox()
    for number in range(1100):
        mailbox.deliver("sms", f"+3247{number:07}", {"message": str(number)}, sent_at=0)
    kept = mailbox.messages(0)
    assert [message.number for message in kept] == list(range(101, 1101))


async def test_large_messages_do_not_fill_the_memory() -> None:
    mailbox = Mailbox()
    for _ in range(50):
        mailbox.deliver("email", EMAIL, {"html": "x" * 2**20}, sent_at=0)
    assert len(mailbox.messages(0)) == 8


async def test_contacts_do_not_fill_the_memory_and_one_who_waits_is_kept() -> None:
    mailbox = Mailbox()
    mailbox.deliver("sms", PHONE, {"message": "first"}, sent_at=0)
    waiting = asyncio.create_task(mailbox.wait_for_message(EMAIL, 60))
    await asyncio.sleep(0)
    for number in range(10_050):
        mailbox.deliver("sms", f"+3247{number:07}", {"message": "x"}, sent_at=0)
    assert mailbox.last("sms", PHONE) is None
    assert mailbox.last("sms", "+32470010049") == {"message": "x"}
    mailbox.deliver("email", EMAIL, {"html": "y"}, sent_at=0)
    assert await waiting == {"html": "y"}


@pytest.mark.parametrize("code", ["123456", "0000"])
async def test_chosen_contacts_are_always_sent_the_same_code(
    session: aiohttp.ClientSession, code: str
) -> None:
    codes = {"+32 (0)588 23.55.95": code, EMAIL.upper(): "777777"}
    async with Sandbox(jwt=False, codes=codes) as sandbox:
        world = World(sandbox, session)
        for _ in range(2):
            request_id = await world.start(PHONE)
            assert (await world.validate(request_id, code)).status == 200
        assert [m.code for m in sandbox.messages()] == [code, code]
        await world.start(EMAIL)
        assert sandbox.messages(EMAIL)[0].code == "777777"
        sandbox.set_codes({})
        assert code not in repr(sandbox)


@pytest.mark.parametrize(
    ("codes", "said"),
    [
        ({"nobody": "123456"}, "nobody"),
        ({PHONE: "12345x"}, PHONE),
        ({PHONE: "123"}, PHONE),
        ({PHONE: "123456", "+32 588 235595": "654321"}, "twice"),
    ],
)
def test_a_fixed_code_that_makes_no_sense_is_refused_and_not_shown(
    codes: dict[str, str], said: str
) -> None:
    with pytest.raises(ValueError, match=r"codes: ") as refused:
        Sandbox(codes=codes)
    assert said in str(refused.value)
    assert not any(code in str(refused.value) for code in codes.values())


def test_a_message_that_is_open_expires_after_its_last_millisecond() -> None:
    message = Message(number=1, channel="sms", recipient=PHONE, sent_at=0, expires_at=10)
    assert [message.at(now).state for now in (10, 11)] == ["open", "expired"]
