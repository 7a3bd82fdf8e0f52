"""Somebody signed in at the measured API, for as long as a benchmark takes."""

from __future__ import annotations

import time
from typing import Any, Final

import httpx

PERSON: Final = {"email": "ada@example.com", "password": "correct horse battery", "name": "Ada Lovelace"}
MARGIN_S: Final = 60.0
"""What may come between asking for a token and the last request with it, beside the round itself."""


class Account:
    """A user and their newest tokens."""

    def __init__(self, api: str, answer: dict[str, Any]) -> None:
        self._api = api
        self.user_id: str = answer["user"]["id"]
        self._keep(answer)

    @classmethod
    async def register(cls, api: str) -> Account:
        """`api`: the URL below which the routes are."""
        return cls(api, await _post(f"{api}/auth/register", PERSON))

    async def headers(self, *, for_s: float) -> dict[str, str]:
        """Authorization that is valid for so long: the tokens are refreshed where theirs is not."""
        if time.monotonic() + for_s + MARGIN_S > self._ends_at:
            self._keep(await _post(f"{self._api}/auth/refresh", {"refresh_token": self._refresh_token}))
        return {"Authorization": f"Bearer {self._access_token}"}

    def _keep(self, answer: dict[str, Any]) -> None:
        self._access_token: str = answer["access_token"]
        self._refresh_token: str = answer["refresh_token"]
        self._ends_at = time.monotonic() + answer["expires_in"]


async def _post(url: str, body: dict[str, Any]) -> dict[str, Any]:
    async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
        answer: dict[str, Any] = (await client.post(url, json=body)).raise_for_status().json()
        return answer
