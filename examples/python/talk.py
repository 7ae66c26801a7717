"""Two people hold a conversation on Veza and lose nothing, whatever is killed meanwhile."""

import argparse
import asyncio
import json
import os
import secrets
import sys
import time
import urllib.error
import urllib.request
import uuid

import websockets

PASSWORD = secrets.token_urlsafe(16)
PAGE = 200
IN_FLIGHT = 4


def uuid7():
    """A UUIDv7 (RFC 9562): 48 bits of milliseconds, then randomness."""
    value = (time.time_ns() // 1_000_000) << 80 | int.from_bytes(os.urandom(10), "big")
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return str(uuid.UUID(int=value))


class Refused(Exception):
    """The server's problem document (RFC 9457)."""

    def __init__(self, status, problem):
        super().__init__(f"{status} {problem.get('code')}: {problem.get('detail')}")
        self.status = status
        self.retry = status in (429, 503)


class Api:
    """The HTTP API in one person's name."""

    def __init__(self, url):
        self.url = url.rstrip("/")
        self.tokens = {}

    def request(self, method, path, body=None, headers=None):
        headers = {"content-type": "application/json", **(headers or {})}
        if "access_token" in self.tokens:
            headers["authorization"] = "Bearer " + self.tokens["access_token"]
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=15) as answer:
                return json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            try:
                problem = json.loads(error.read())
            except ValueError:
                problem = {}
            raise Refused(error.code, problem) from None

    async def call(self, method, path, body=None):
        """Repeats until there is an answer; one key makes all tries the same command."""
        headers = {"idempotency-key": str(uuid.uuid4())} if method == "POST" else {}
        while True:
            try:
                return await asyncio.to_thread(self.request, method, path, body, headers)
            except Refused as refused:
                if refused.status == 401 and "refresh_token" in self.tokens:
                    token = {"refresh_token": self.tokens.pop("refresh_token")}
                    self.tokens.pop("access_token", None)
                    self.tokens = await self.call("POST", "/v1/sessions/refresh", token)
                elif not refused.retry:
                    raise
            except (OSError, ValueError):
                pass
            await asyncio.sleep(0.2)


class Person(Api):
    """Somebody who stays in a room."""

    def __init__(self, url, name):
        super().__init__(url)
        self.name = f"{name}-{secrets.token_hex(4)}"
        self.last_seq = 0
        self.shown = []
        self.acked = {}
        self.waiting = []
        self.flying = {}
        self.reconnects = 0

    async def sign_up(self):
        account = {"handle": self.name, "email": f"{self.name}@example.org", "password": PASSWORD}
        await self.call("POST", "/v1/accounts", account)
        self.tokens = await self.call("POST", "/v1/sessions", {"login": self.name, "password": PASSWORD})

    def say(self, body):
        self.waiting.append({"command_id": uuid7(), "body": body})

    async def stay(self, room):
        """Connects, and connects again, until cancelled."""
        while True:
            try:
                await self.connected(room)
            except (OSError, EOFError, websockets.WebSocketException, asyncio.TimeoutError):
                pass
            self.reconnects += 1
            # What was not answered is said again, in order, with the same ids.
            self.waiting = [self.flying[id] for id in sorted(self.flying)] + self.waiting
            self.flying = {}
            await asyncio.sleep(0.1)

    async def connected(self, room):
        ticket = await self.call("POST", "/v1/realtime/tickets", {})
        address = self.url.replace("http", "ws", 1) + "/v1/realtime"
        async with websockets.connect(address, subprotocols=["veza.v1.json"], ping_interval=None) as socket:
            hello = {"t": "hello", "ticket": ticket["ticket"], "resume": {room: self.last_seq}}
            await socket.send(json.dumps(hello))
            next_id = 1
            while True:
                while self.waiting and len(self.flying) < IN_FLIGHT:
                    words = self.waiting.pop(0)
                    self.flying[next_id] = words
                    await socket.send(json.dumps({"t": "send", "id": next_id, "room": room, **words}))
                    next_id += 1
                try:
                    frame = json.loads(await asyncio.wait_for(socket.recv(), 0.05))
                except asyncio.TimeoutError:
                    continue
                await self.take(socket, room, frame)

    async def take(self, socket, room, frame):
        kind = frame["t"]
        if kind == "ping":
            await socket.send(json.dumps({"t": "pong"}))
        elif kind == "ack":
            words = self.flying.pop(frame["id"])
            self.acked[words["command_id"]] = frame["seq"]
        elif kind == "event" and frame["room"] == room and frame["seq"] > self.last_seq:
            if frame["prev"] != self.last_seq:
                await socket.send(json.dumps({"t": "resume", "rooms": {room: self.last_seq}}))
            else:
                self.show([frame])
                self.last_seq = frame["seq"]
        elif kind == "fill" and frame["room"] == room:
            self.show(frame["events"])
            self.last_seq = max(self.last_seq, frame["to"])
        elif kind == "reset":
            await self.snapshot(room, frame.get("head"))
        elif kind == "error":
            if "retry_after_ms" not in frame:
                sys.exit(f"{self.name} was refused: {frame}")
            raise EOFError("connect anew and say it again")

    def show(self, events):
        for event in events:
            if event["type"] == "room.message_posted.v1" and event["seq"] > self.last_seq:
                self.shown.append((event["seq"], event["data"]["message"], event["data"]["body"]))

    async def snapshot(self, room, head):
        for message in await self.history(room, self.last_seq):
            self.shown.append(message)
            self.last_seq = message[0]
        self.last_seq = max(self.last_seq, head or 0)

    async def history(self, room, after=0):
        messages = []
        while True:
            page = await self.call("GET", f"/v1/rooms/{room}/messages?after={after}&limit={PAGE}")
            if not page["items"]:
                return messages
            messages += [(m["seq"], m["id"], m["body"]) for m in page["items"]]
            after = messages[-1][0]


async def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--messages", type=int, default=50, help="of each person")
    parser.add_argument("--pause", type=float, default=0.05, help="seconds between two messages")
    options = parser.parse_args()

    ada, grace = people = Person(options.url, "ada"), Person(options.url, "grace")
    for person in people:
        await person.sign_up()
    space = (await ada.call("POST", "/v1/spaces", {"name": "Example", "preset": "open"}))["id"]
    room = (await ada.call("POST", f"/v1/spaces/{space}/rooms", {"name": "talk", "kind": "text"}))["id"]
    code = (await ada.call("POST", f"/v1/spaces/{space}/invites", {}))["code"]
    await grace.call("POST", f"/v1/invites/{code}/accept", {})

    print("talking", flush=True)
    stays = [asyncio.create_task(person.stay(room)) for person in people]
    for number in range(options.messages):
        for person in people:
            person.say(f"{person.name} says {number}")
        await asyncio.sleep(options.pause)
    total = 2 * options.messages
    while not all(len(p.acked) == options.messages and len(p.shown) >= total for p in people):
        for stay in stays:
            if stay.done():
                stay.result()
        await asyncio.sleep(0.1)
    for stay in stays:
        stay.cancel()

    history = await ada.history(room)
    while len(history) < total:
        await asyncio.sleep(0.1)
        history = await ada.history(room)
    stored = {seq for seq, _, _ in history}
    for person in people:
        assert person.shown == history, f"{person.name} saw something else than the history"
        assert set(person.acked.values()) <= stored, f"{person.name} was told of a message that is not there"
    assert len(history) == total, f"{len(history)} messages instead of {total}"
    print(f"{total} messages, each once and in order; {ada.reconnects + grace.reconnects} reconnects")


if __name__ == "__main__":
    asyncio.run(main())
