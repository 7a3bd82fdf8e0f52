"""`taskflow register`, `login`, `logout`, `whoami`, `calendar`."""

from __future__ import annotations

import getpass
import sys
from contextlib import suppress

from msgspec import UNSET
from msgspec.structs import replace

from taskflow.client import Unauthenticated
from taskflow.client.answers import Profile
from taskflow.terminal.desk import Desk, at_a_terminal
from taskflow.terminal.short_ids import Unclear


def register(desk: Desk) -> None:
    email, name = desk.typed.email, desk.typed.name
    password = _password(desk, twice=True)
    registered = desk.client.auth.register(email, password, name)
    if registered.user is None:
        if desk.json:
            desk.screen.document({"user": None, "url": desk.url})
        else:
            desk.screen.say(f"confirm the address {email} by the mail that was sent to it, then `taskflow login`")
        return
    _told(desk, registered.user)


def login(desk: Desk) -> None:
    email = desk.typed.email or _ask("E-mail: ")
    password = _password(desk)
    otp = desk.typed.otp
    try:
        signed_in = _login(desk, email, password, otp)
    except Unauthenticated as refused:
        if not refused.otp_required or otp is not None or desk.typed.password_stdin:
            raise
        signed_in = _login(desk, email, password, _ask("Code of the second factor: "))
    _told(desk, signed_in)


def _login(desk: Desk, email: str, password: str, otp: str | None) -> Profile:
    device = desk.accounts.of(desk.url).device
    answer = desk.client.auth.login(
        email, password, UNSET if otp is None else otp, device_token=UNSET if device is None else device
    )
    desk.accounts.update(desk.url, lambda account: replace(account, device=answer.device_token))
    return answer.user


def logout(desk: Desk) -> None:
    was_signed_in = desk.client.signed_in
    if was_signed_in:
        # The client deletes the tokens in any case; a session that has already ended is no error.
        with suppress(Unauthenticated):
            desk.client.auth.logout()
    if desk.json:
        desk.screen.document({"signed_out": was_signed_in, "url": desk.url})
    else:
        desk.screen.say(f"signed out of {desk.url}" if was_signed_in else f"nobody was signed in at {desk.url}")


def whoami(desk: Desk) -> None:
    me = desk.client.users.me()
    if desk.json:
        desk.screen.document(me)
    else:
        desk.screen.say(f"{me.name} <{me.email}> at {desk.url}")


def calendar(desk: Desk) -> None:
    opened = desk.client.users.open_calendar()
    if desk.json:
        desk.screen.document(opened)
    else:
        desk.screen.say(opened.url)


def _told(desk: Desk, user: Profile) -> None:
    if desk.json:
        desk.screen.document({"user": user, "url": desk.url})
    else:
        desk.screen.say(f"signed in at {desk.url} as {user.name} <{user.email}>")


def _password(desk: Desk, *, twice: bool = False) -> str:
    if desk.typed.password_stdin:
        if sys.stdin is None:
            raise Unclear("the standard input is closed; there is no password to read")
        return sys.stdin.readline().removesuffix("\n")
    if not at_a_terminal():
        raise Unclear("there is no terminal to ask for the password at; pipe it in with --password-stdin")
    password = getpass.getpass("Password: ")
    if twice and getpass.getpass("Once more: ") != password:
        raise Unclear("the two passwords differ; try again")
    return password


def _ask(question: str) -> str:
    """Asks on standard error, because standard output may be read by a program."""
    if not at_a_terminal():
        raise Unclear(f"there is no terminal to ask for it at; expected the {question.rstrip(': ').lower()}")
    print(question, end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip()
