"""Somebody who uses the API: asks, waits for what was written before, brings files, listens on a socket."""

import asyncio
import json
import time
import urllib.error
import urllib.request
import uuid

import websockets

from talk import Person, Refused

PATIENCE = 20

class Friend(Person):
    """Somebody who reads what was written before, and listens."""

    # What any of us has written last: all of us wait for it before we read.
    newest = None

    def request(self, method, path, body=None, headers=None):
        headers = {"content-type": "application/json", **(headers or {})}
        if "access_token" in self.tokens:
            headers["authorization"] = "Bearer " + self.tokens["access_token"]
        if Friend.newest:
            headers["veza-min-seq"] = Friend.newest
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                written = answer.headers.get("veza-seq", "")
                if written.startswith("SPACES"):
                    Friend.newest = written
                content = answer.read()
        except urllib.error.HTTPError as error:
            raise Refused(error.code, json.loads(error.read() or b"{}")) from None
        is_json = "json" in (answer.headers.get("content-type") or "")
        return json.loads(content) if is_json and content else content

    async def upload(self, room, name, content, query=""):
        """Brings a file, and gives its id."""
        headers = {"content-type": "application/octet-stream", "idempotency-key": str(uuid.uuid4())}
        path = f"/v1/rooms/{room}/uploads?name={name}{query}"
        return (await asyncio.to_thread(self.request, "POST", path, content, headers))["id"]

    async def post(self, room, body, **more):
        return await self.call("POST", f"/v1/rooms/{room}/messages", {"body": body, **more})

    async def message(self, id, query=""):
        return (await self.call("GET", f"/v1/messages/{id}{query}"))["message"]

    async def items(self, path):
        return (await self.call("GET", path))["items"]

    async def refused(self, code, method, path, body=None):
        """Asks for what is to be refused."""
        try:
            answer = await self.call(method, path, body)
        except Refused as refused:
            assert f" {code}:" in str(refused), f"{code} expected: {refused}"
            return
        raise AssertionError(f"{method} {path} was not refused: {answer}")

    async def listen(self):
        """Opens a socket; `until` waits for its frames."""
        ticket = await self.call("POST", "/v1/realtime/tickets", {})
        address = self.url.replace("http", "ws", 1) + "/v1/realtime"
        self.socket = await websockets.connect(address, subprotocols=["veza.v1.json"], ping_interval=None)
        await self.send({"t": "hello", "ticket": ticket["ticket"]})
        await self.until("ready")

    async def send(self, frame):
        await self.socket.send(json.dumps(frame))

    async def until(self, kind, fits=lambda frame: True):
        async def wait():
            while True:
                frame = json.loads(await self.socket.recv())
                if frame["t"] == "ping":
                    await self.send({"t": "pong"})
                if frame["t"] == kind and fits(frame):
                    return frame

        return await asyncio.wait_for(wait(), PATIENCE)


async def eventually(what, look):
    """Waits until `look` finds something."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        found = await look()
        if found:
            return found
        await asyncio.sleep(0.1)
    raise AssertionError(what)
