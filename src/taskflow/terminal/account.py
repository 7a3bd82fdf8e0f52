"""`taskflow register`, `login`, `logout`, `whoami`, `calendar`."""

from __future__ import annotations

import getpass
import sys
from contextlib import suppress

from msgspec import UNSET
from msgspec.structs import replace

from taskflow.client import Unauthenticated
from taskflow.client.answers import Profile
from taskflow.terminal.command_context import CommandContext, at_a_terminal
from taskflow.terminal.short_ids import Unclear


def register(context: CommandContext) -> None:
    email, name = context.typed.email, context.typed.name
    password = _password(context, twice=True)
    registered = context.client.auth.register(email, password, name)
    if registered.user is None:
        if context.json:
            context.screen.document({"user": None, "url": context.url})
        else:
            context.screen.say(
                f"confirm the address {email} with the mail that was sent to it, then run `taskflow login`"
            )
        return
    _report(context, registered.user)


def login(context: CommandContext) -> None:
    email = context.typed.email or _ask("E-mail: ")
    password = _password(context)
    otp = context.typed.otp
    try:
        signed_in = _login(context, email, password, otp)
    except Unauthenticated as refused:
        if not refused.otp_required or otp is not None or context.typed.password_stdin:
            raise
        signed_in = _login(context, email, password, _ask("Code of the second factor: "))
    _report(context, signed_in)


def _login(context: CommandContext, email: str, password: str, otp: str | None) -> Profile:
    device = context.accounts.of(context.url).device
    answer = context.client.auth.login(
        email, password, UNSET if otp is None else otp, device_token=UNSET if device is None else device
    )
    context.accounts.update(context.url, lambda account: replace(account, device=answer.device_token))
    return answer.user


def logout(context: CommandContext) -> None:
    was_signed_in = context.client.signed_in
    if was_signed_in:
        # The client deletes the tokens in any case; a session that has already ended is no error.
        with suppress(Unauthenticated):
            context.client.auth.logout()
    if context.json:
        context.screen.document({"signed_out": was_signed_in, "url": context.url})
    else:
        context.screen.say(
            f"signed out of {context.url}" if was_signed_in else f"nobody was signed in at {context.url}"
        )


def whoami(context: CommandContext) -> None:
    me = context.client.users.me()
    if context.json:
        context.screen.document(me)
    else:
        context.screen.say(f"{me.name} <{me.email}> at {context.url}")


def calendar(context: CommandContext) -> None:
    opened = context.client.users.open_calendar()
    if context.json:
        context.screen.document(opened)
    else:
        context.screen.say(opened.url)


def _report(context: CommandContext, user: Profile) -> None:
    if context.json:
        context.screen.document({"user": user, "url": context.url})
    else:
        context.screen.say(f"signed in at {context.url} as {user.name} <{user.email}>")


def _password(context: CommandContext, *, twice: bool = False) -> str:
    if context.typed.password_stdin:
        if sys.stdin is None:
            raise Unclear("the standard input is closed; there is no password to read")
        return sys.stdin.readline().removesuffix("\n")
    if not at_a_terminal():
        raise Unclear("there is no terminal to prompt for the password; pass it with --password-stdin")
    password = getpass.getpass("Password: ")
    if twice and getpass.getpass("Once more: ") != password:
        raise Unclear("the two passwords differ; try again")
    return password


def _ask(question: str) -> str:
    """Asks on standard error, because standard output may be read by a program."""
    if not at_a_terminal():
        raise Unclear(f"there is no terminal for a prompt; expected the {question.rstrip(': ').lower()}")
    print(question, end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip()
