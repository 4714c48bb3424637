"""Calls of both versions over ASGI, against an appliance in memory."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree

import httpx
from starlette.applications import Starlette
from tests.support.fake_appliance import PASSWORD, FakeAppliance

from steelyard.api.loadmaster import build_loadmaster_routes
from steelyard.model.commands import AddUser
from steelyard.observe.host_figures import CpuShares, HostFigures, Interface, Memory, Partition

#: One loop for all calls: a loop of its own, with its thread for passwords, costs a call more than the call itself.
_RUNNER = asyncio.Runner()


class FixedHost:
    """A host whose figures never change."""

    def read(self) -> HostFigures:
        return HostFigures(
            cpu=CpuShares(2, 1, 97, 0),
            cores=(CpuShares(3, 1, 95, 1), CpuShares(1, 1, 98, 0)),
            memory=Memory(4_034_656, 3_233_412),
            interfaces=(Interface("eth0", 0, 1000, 99_120_031, 55_100_920, 125_000, 0),),
            partitions=(Partition("/var/log", 3 * 1024**3, 1024**3, 2 * 1024**3),),
        )

    def host_name(self) -> str:
        return "steelyard-1"

    def serial_number(self) -> str:
        return "0123456789"


def shape(element: ElementTree.Element) -> Any:
    """XML as plain data: text, or a mapping whose repeated children are lists."""
    if not len(element):
        return element.text or ""
    found: dict[str, Any] = {}
    for child in element:
        value = shape(child)
        if child.tag in found:
            found[child.tag] = [
                *(found[child.tag] if isinstance(found[child.tag], list) else [found[child.tag]]),
                value,
            ]
        else:
            found[child.tag] = value
    return found


class Api:
    """One appliance, its routes and a user. Calls are synchronous, so that property tests can make them too."""

    def __init__(self, appliance: FakeAppliance | None = None) -> None:
        self.appliance = appliance or FakeAppliance()
        self.app = Starlette(routes=build_loadmaster_routes(self.appliance, FixedHost()))
        self.user: tuple[str, str] | None = ("bal", PASSWORD)

    def request(self, method: str, url: str, **options: Any) -> httpx.Response:
        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(self.app, raise_app_exceptions=True)
            async with httpx.AsyncClient(transport=transport, base_url="https://steelyard") as client:
                return await client.request(method, url, **options)

        return _RUNNER.run(send())

    def v1_response(
        self, command: str, parameters: Mapping[str, Any] | None = None, *, body: bytes | None = None, **more: Any
    ) -> httpx.Response:
        query = {**(parameters or {}), **more}
        method = "GET" if body is None else "POST"
        return self.request(method, f"/access/{command}", params=query, content=body, auth=self.user)

    def v1(self, command: str, parameters: Mapping[str, Any] | None = None, **more: Any) -> Any:
        """Plain data of `Data`, or the text of a message. Fails unless the command was carried out."""
        response = self.v1_response(command, parameters, **more)
        assert response.status_code == 200, response.text
        root = ElementTree.fromstring(response.content)
        assert (root.get("stat"), root.get("code")) == ("200", "ok")
        data = root.find("Success/Data")
        return root.findtext("Success") if data is None else (shape(data) or {})

    def v1_error(self, command: str, parameters: Mapping[str, Any] | None = None, **more: Any) -> tuple[int, str]:
        response = self.v1_response(command, parameters, **more)
        root = ElementTree.fromstring(response.content)
        assert (root.get("stat"), root.get("code")) == (str(response.status_code), "fail"), response.text
        return response.status_code, root.findtext("Error") or ""

    def v2_response(self, command: str, members: Mapping[str, Any] | None = None, **more: Any) -> httpx.Response:
        message: dict[str, Any] = {"cmd": command, **(members or {}), **more}
        if self.user is not None:
            message |= {"apiuser": self.user[0], "apipass": self.user[1]}
        return self.request("POST", "/accessv2", json=message)

    def v2(self, command: str, members: Mapping[str, Any] | None = None, **more: Any) -> dict[str, Any]:
        """The members of the answer but for the envelope's. Fails unless the command was carried out."""
        response = self.v2_response(command, members, **more)
        found: dict[str, Any] = response.json()
        assert (response.status_code, found.pop("code"), found.pop("status")) == (200, 200, "ok"), response.text
        return found

    def v2_error(self, command: str, members: Mapping[str, Any] | None = None, **more: Any) -> tuple[int, str]:
        response = self.v2_response(command, members, **more)
        found = response.json()
        assert (found["code"], found["status"]) == (response.status_code, "fail"), response.text
        return response.status_code, found["message"]

    def upload(self, version: int, command: str, content: bytes, **parameters: Any) -> None:
        if version == 1:
            self.v1(command, parameters, body=content)
        else:
            self.v2(command, parameters, data=base64.b64encode(content).decode())

    def sign_in(self, name: str, *permissions: str) -> None:
        """Go on as another user with those permissions."""
        command = AddUser(name, self.appliance.hash_password(PASSWORD), permissions)
        asyncio.run(self.appliance.execute(command, self.appliance.administrator()))
        self.user = (name, PASSWORD)
