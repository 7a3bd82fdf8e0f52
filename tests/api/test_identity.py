"""Registering, signing in, staying signed in, signing out."""

from __future__ import annotations

import asyncio
import statistics
import time
from typing import Any
from uuid import uuid4

import httpx
import jwt
import pytest

from taskflow.api.tokens import AUDIENCE
from tests.api.stack import Caller, Stack, accepted, refused, until

PASSWORD = "correct horse battery"


async def post(http: httpx.AsyncClient, path: str, body: Any = None, **more: Any) -> httpx.Response:
    return await http.post(f"/api/v1/auth/{path}", json=body, **more)


def somebody() -> dict[str, str]:
    return {"email": f"{uuid4().hex}@example.com", "password": PASSWORD, "name": "Ada"}


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def me(http: httpx.AsyncClient, token: str) -> httpx.Response:
    return await http.get("/api/v1/users/me", headers=bearer(token))


class TestRegistering:
    async def test_signs_in_and_brings_an_inbox(self, http: httpx.AsyncClient) -> None:
        body = somebody() | {"email": f"  {uuid4().hex}@Example.COM "}
        response = await post(http, "register", body)
        answer = accepted(response, 201)
        assert set(answer) == {"user", "access_token", "refresh_token", "token_type", "expires_in"}
        assert (answer["token_type"], answer["expires_in"]) == ("Bearer", 900)
        assert answer["user"]["email"] == body["email"].strip()
        assert "etag" not in response.headers
        assert int(response.headers["taskflow-position"]) >= 4
        [inbox] = accepted(await http.get("/api/v1/projects", headers=bearer(answer["access_token"])))["items"]
        assert (inbox["name"], inbox["role"]) == ("Inbox", "owner")

    async def test_takes_each_address_once_whatever_its_case(self, http: httpx.AsyncClient) -> None:
        body = somebody()
        accepted(await post(http, "register", body), 201)
        for address in (body["email"], body["email"].upper(), f" {body['email']} "):
            refused(await post(http, "register", body | {"email": address}), 409, "command-rejected", "email-taken")

    async def test_takes_each_address_once_whatever_its_spelling(
        self, http: httpx.AsyncClient, other_http: httpx.AsyncClient
    ) -> None:
        name = uuid4().hex
        body = somebody() | {"email": f"zoe\u0301{name}@stra\u00dfe.example"}
        registered = accepted(await post(http, "register", body), 201)
        spellings = (
            f"zo\u00e9{name}@stra\u00dfe.example",
            f"ZO\u00c9{name.upper()}@XN--STRAE-OQA.example",
            f"\uff5aoe\u0301{name}@stra\u00dfe\u3002example",
        )
        for address in spellings:
            refused(await post(http, "register", body | {"email": address}), 409, "command-rejected", "email-taken")
            answer = accepted(await post(other_http, "login", {"email": address, "password": PASSWORD}))
            assert (answer["user"]["id"], answer["user"]["email"]) == (registered["user"]["id"], body["email"])
        accepted(await post(http, "register", body | {"email": f"zo\u00e9{name}@strasse.example"}), 201)

    async def test_of_many_at_once_one_gets_the_address(
        self, http: httpx.AsyncClient, other_http: httpx.AsyncClient
    ) -> None:
        body = somebody()
        responses = await asyncio.gather(*[post(client, "register", body) for client in (http, other_http) * 5])
        assert sorted(response.status_code for response in responses) == [201] + [409] * 9

    @pytest.mark.parametrize(
        ("change", "pointer"),
        [
            ({"password": "short"}, "/password"),
            ({"password": "x" * 1025}, "/password"),
            ({"password": "Password1"}, "/password"),
            ({"password": "\uff50assword"}, "/password"),
            ({"password": "e\u0301" * 7}, "/password"),
            ({"email": "ada@example.com", "password": "ADA@example.com"}, "/password"),
            ({"email": "a\u200bda@example.com"}, "/email"),
            ({"email": "\u202eada@example.com"}, "/email"),
            ({"email": "ada@exam\u00adple.com"}, "/email"),
            ({"email": "a\uff20b@example.com"}, "/email"),
            ({"email": "ada@ex_ample.com"}, "/email"),
            ({"email": "a" * 65 + "@example.com"}, "/email"),
            ({"email": "nobody"}, "/email"),
            ({"email": "a@" + "b" * 260}, "/email"),
            ({"name": ""}, "/name"),
            ({"name": " "}, "/name"),
            ({"role": "admin"}, "/role"),
        ],
    )
    async def test_refuses_what_makes_no_account(
        self, http: httpx.AsyncClient, change: dict[str, str], pointer: str
    ) -> None:
        problem = refused(await post(http, "register", somebody() | change), 400, "validation")
        assert [fault["pointer"] for fault in problem["errors"]] == [pointer]

    async def test_takes_any_password_of_enough_characters(self, http: httpx.AsyncClient) -> None:
        for password in ("ünïcödé 日本語 👩‍👩‍👧‍👦", "x " * 64, "        é"):
            body = somebody() | {"password": password}
            accepted(await post(http, "register", body), 201)
            login = {"email": body["email"], "password": password}
            accepted(await post(http, "login", login))
            refused(await post(http, "login", login | {"password": password[:-1]}), 401, "unauthenticated")

    async def test_ignores_an_idempotency_key(self, http: httpx.AsyncClient) -> None:
        body, key = somebody(), {"Idempotency-Key": uuid4().hex}
        accepted(await post(http, "register", body, headers=key), 201)
        refused(await post(http, "register", body, headers=key), 409, "command-rejected", "email-taken")


class TestSigningIn:
    async def test_works_at_once_in_every_process(self, http: httpx.AsyncClient, other_http: httpx.AsyncClient) -> None:
        body = somebody()
        registered = accepted(await post(http, "register", body), 201)
        accepted(await me(other_http, registered["access_token"]))
        login = {"email": body["email"].upper(), "password": PASSWORD}
        answer = accepted(await post(other_http, "login", login))
        assert answer["user"] == registered["user"]
        accepted(await me(http, answer["access_token"]))

    async def test_says_the_same_of_a_wrong_password_and_an_unknown_address(self, http: httpx.AsyncClient) -> None:
        body = somebody()
        accepted(await post(http, "register", body), 201)
        wrong = await post(http, "login", {"email": body["email"], "password": "another one"})
        unknown = await post(http, "login", {"email": f"{uuid4().hex}@example.com", "password": "another one"})
        refused(wrong, 401, "unauthenticated")
        assert wrong.json() == unknown.json()
        for address in ("", "nobody", f"a\u200b{body['email']}", "\u0378@x.org", "a@" * 400):
            assert (await post(http, "login", {"email": address, "password": "another one"})).json() == wrong.json()
        assert wrong.headers["www-authenticate"].startswith("Bearer")

    async def test_hashes_for_an_unknown_address_too(self, http: httpx.AsyncClient) -> None:
        """Not a bound on time: the two must only be of one order, which no skipped hash is."""
        body = somebody()
        accepted(await post(http, "register", body), 201)

        async def typical(email: str) -> float:
            spent = []
            for _ in range(7):
                started = time.perf_counter()
                await post(http, "login", {"email": email, "password": "wrong one"})
                spent.append(time.perf_counter() - started)
            return statistics.median(spent)

        known, unknown = await typical(body["email"]), await typical("nobody@example.com")
        assert 0.4 < known / unknown < 2.5


class TestAccessTokens:
    async def test_are_checked_with_the_published_key(self, http: httpx.AsyncClient, stack: Stack, ada: Caller) -> None:
        response = await http.get("/.well-known/jwks.json")
        keys = {key["kid"]: jwt.PyJWK(key) for key in accepted(response)["keys"]}
        head = jwt.get_unverified_header(ada.token)
        assert (head["alg"], head["typ"]) == ("EdDSA", "at+jwt")
        claims = jwt.decode(ada.token, keys[head["kid"]], algorithms=["EdDSA"], audience=AUDIENCE)
        assert set(claims) == {"iss", "aud", "sub", "sid", "jti", "iat", "exp"}
        assert (claims["iss"], claims["sub"], claims["exp"] - claims["iat"]) == (stack.settings.public_url, ada.id, 900)
        assert "d" not in accepted(response)["keys"][0]

    async def test_that_are_not_ours_are_refused(self, http: httpx.AsyncClient, stack: Stack, ada: Caller) -> None:
        head, claims = jwt.get_unverified_header(ada.token), jwt.decode(ada.token, options={"verify_signature": False})
        key = stack.settings.jwt_private_key
        typed = {"kid": head["kid"], "typ": "at+jwt"}
        forged = {
            "cut": ada.token[:-2],
            "words": "x.y.z",
            "unsigned": jwt.encode(claims, "", algorithm="none", headers=typed),
            "public key as a secret": jwt.encode(claims, "x" * 32, algorithm="HS256", headers=typed),
            "expired": jwt.encode(claims | {"exp": claims["iat"] - 1}, key, algorithm="EdDSA", headers=typed),
            "another audience": jwt.encode(claims | {"aud": "x"}, key, algorithm="EdDSA", headers=typed),
            "another issuer": jwt.encode(claims | {"iss": "x"}, key, algorithm="EdDSA", headers=typed),
            "another type": jwt.encode(claims, key, algorithm="EdDSA", headers=typed | {"typ": "JWT"}),
            "no session": jwt.encode(claims | {"sid": None}, key, algorithm="EdDSA", headers=typed),
            "unknown key": jwt.encode(claims, key, algorithm="EdDSA", headers=typed | {"kid": "x"}),
        }
        for what, token in forged.items():
            response = await me(http, token)
            assert response.status_code == 401, what
        accepted(await me(http, jwt.encode(claims, key, algorithm="EdDSA", headers=typed)))

    async def test_come_in_the_authorization_header_alone(self, http: httpx.AsyncClient, ada: Caller) -> None:
        refused(
            await http.get("/api/v1/users/me", headers={"Authorization": f"Basic {ada.token}"}), 401, "unauthenticated"
        )
        refused(await http.get("/api/v1/users/me"), 401, "unauthenticated")
        refused(await http.get("/api/v1/users/me", params={"access_token": ada.token}), 401, "unauthenticated")


class TestRefreshing:
    async def test_gives_a_new_pair_and_the_successor_once_more(
        self, http: httpx.AsyncClient, other_http: httpx.AsyncClient
    ) -> None:
        first = accepted(await post(http, "register", somebody()), 201)["refresh_token"]
        answer = accepted(await post(http, "refresh", {"refresh_token": first}))
        assert set(answer) == {"access_token", "refresh_token", "token_type", "expires_in"}
        accepted(await me(other_http, answer["access_token"]))
        # The answer was lost: the direct predecessor gets the same successor, in any process.
        again = accepted(await post(other_http, "refresh", {"refresh_token": first}))
        assert again["refresh_token"] == answer["refresh_token"]

    async def test_of_a_spent_token_ends_its_whole_family(
        self, http: httpx.AsyncClient, other_http: httpx.AsyncClient
    ) -> None:
        registered = accepted(await post(http, "register", somebody()), 201)
        tokens = [registered["refresh_token"]]
        for _ in range(2):
            answer = accepted(await post(http, "refresh", {"refresh_token": tokens[-1]}))
            tokens.append(answer["refresh_token"])
        refused(await post(http, "refresh", {"refresh_token": tokens[0]}), 401, "unauthenticated")
        for token in tokens:
            refused(await post(other_http, "refresh", {"refresh_token": token}), 401, "unauthenticated")
        for access in (registered["access_token"], answer["access_token"]):
            refused(await me(http, access), 401, "unauthenticated")

            async def stopped(access: str = access) -> bool:
                return (await me(other_http, access)).status_code == 401

            await until(stopped, "the other process stops it too")

    async def test_many_times_at_once_gives_one_successor(
        self, http: httpx.AsyncClient, other_http: httpx.AsyncClient
    ) -> None:
        first = accepted(await post(http, "register", somebody()), 201)["refresh_token"]
        answers = await asyncio.gather(
            *[post(client, "refresh", {"refresh_token": first}) for client in (http, other_http) * 5]
        )
        assert len({accepted(answer)["refresh_token"] for answer in answers}) == 1

    @pytest.mark.parametrize("token", ["", "tfr_", "tfr_" + "A" * 70, "x" * 900, "tfr_ü"])
    async def test_of_what_is_no_token_is_refused(self, http: httpx.AsyncClient, token: str) -> None:
        refused(await post(http, "refresh", {"refresh_token": token}), 401, "unauthenticated")

    async def test_tokens_are_plain_text(self, http: httpx.AsyncClient) -> None:
        answer = accepted(await post(http, "register", somebody()), 201)
        allowed = set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~")
        assert set(answer["refresh_token"] + answer["access_token"]) <= allowed


class TestSigningOut:
    async def test_stops_the_sessions_tokens_everywhere_and_no_others(
        self, http: httpx.AsyncClient, other_http: httpx.AsyncClient
    ) -> None:
        body = somebody()
        first = accepted(await post(http, "register", body), 201)
        second = accepted(await post(http, "login", {"email": body["email"], "password": PASSWORD}))
        response = await http.post("/api/v1/auth/logout", headers=bearer(first["access_token"]))
        assert (response.status_code, response.content) == (204, b"")
        assert int(response.headers["taskflow-position"]) > 4
        refused(await me(http, first["access_token"]), 401, "unauthenticated")
        refused(await post(http, "refresh", {"refresh_token": first["refresh_token"]}), 401, "unauthenticated")

        async def stopped() -> bool:
            return (await me(other_http, first["access_token"])).status_code == 401

        await until(stopped, "the other process stops it too", within_s=5)
        accepted(await me(other_http, second["access_token"]))

    async def test_stops_them_in_every_process_at_its_position(
        self, http: httpx.AsyncClient, other_http: httpx.AsyncClient
    ) -> None:
        """The other process has not heard of it when it lets the request in, and has by the time it answers."""
        body = somebody()
        accepted(await post(http, "register", body), 201)
        for path in ("users/me", "tasks", "projects", "events", "sync", "stream") * 3:
            token = accepted(await post(http, "login", {"email": body["email"], "password": PASSWORD}))["access_token"]
            accepted(await me(other_http, token))
            ended = await http.post("/api/v1/auth/logout", headers=bearer(token))
            url = f"/api/v1/{path}?min_position={ended.headers['taskflow-position']}"
            refused(await other_http.get(url, headers=bearer(token)), 401, "unauthenticated")

    async def test_takes_the_sessions_own_refresh_token_and_no_other(self, http: httpx.AsyncClient) -> None:
        mine = accepted(await post(http, "register", somebody()), 201)
        theirs = accepted(await post(http, "register", somebody()), 201)
        headers = bearer(mine["access_token"])
        other = {"refresh_token": theirs["refresh_token"]}
        refused(await post(http, "logout", other, headers=headers), 401, "unauthenticated")
        own = {"refresh_token": mine["refresh_token"]}
        assert (await post(http, "logout", own, headers=headers)).status_code == 204
        refused(await post(http, "logout", None), 401, "unauthenticated")
