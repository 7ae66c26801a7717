"""A bot that rolls dice: `/dice 2d6` for everybody, `/dice help` for who asks alone."""

import argparse
import asyncio
import base64
import json
import os
import random
import re
import urllib.request

import websockets

from talk import Api

USAGE = "say how many dice of how many sides: `/dice 2d6`"
OFFER = {
    "description": "Rolls dice",
    "options": [{"name": "dice", "description": "How many of how many sides, such as 2d6", "required": True}],
}


class Bot(Api):
    """A program that acts for a bot, by the secret of one of its keys."""

    def __init__(self, url, account, secret):
        super().__init__(url)
        self.basic = base64.b64encode(f"{account}:{secret}".encode()).decode()

    def renew(self):
        """A fresh token (RFC 6749, 4.4); they live for some minutes."""
        headers = {"authorization": "Basic " + self.basic, "content-type": "application/x-www-form-urlencoded"}
        form = b"grant_type=client_credentials"
        request = urllib.request.Request(self.url + "/v1/oauth/token", form, headers)
        with urllib.request.urlopen(request, timeout=15) as answer:
            self.tokens = {"access_token": json.load(answer)["access_token"]}

    async def serve(self, space):
        """Offers its command and takes calls, and connects again, until cancelled."""
        while True:
            try:
                await asyncio.to_thread(self.renew)
                await self.call("PUT", f"/v1/spaces/{space}/commands/dice", OFFER)
                await self.connected()
            except (OSError, EOFError, websockets.WebSocketException):
                pass
            await asyncio.sleep(0.2)

    async def connected(self):
        ticket = await self.call("POST", "/v1/realtime/tickets", {})
        address = self.url.replace("http", "ws", 1) + "/v1/realtime"
        async with websockets.connect(address, subprotocols=["veza.v1.json"], ping_interval=None) as socket:
            await socket.send(json.dumps({"t": "hello", "ticket": ticket["ticket"]}))
            async for text in socket:
                frame = json.loads(text)
                if frame["t"] == "ready":
                    print("ready", flush=True)
                elif frame["t"] == "ping":
                    await socket.send(json.dumps({"t": "pong"}))
                elif frame["t"] == "invoke":
                    await self.take(frame)

    async def take(self, call):
        asked = re.fullmatch(r"\s*(\d{1,2})d(\d{1,3})\s*", call["text"])
        if not asked or not 0 < int(asked[1]) or not 1 < int(asked[2]):
            await self.call("POST", "/v1/commands/responses", {"token": call["token"], "body": USAGE})
            return
        rolled = [random.randint(1, int(asked[2])) for _ in range(int(asked[1]))]
        body = f"rolled {asked[1]}d{asked[2]}: {' + '.join(map(str, rolled))} = {sum(rolled)}"
        # The call's own id: of several processes of this bot, one answers.
        said = {"body": body, "command_id": call["invocation"]}
        await self.call("POST", f"/v1/rooms/{call['room']}/messages", said)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("space")
    parser.add_argument("bot", help="its account; the secret of its key stands in VEZA_BOT_SECRET")
    options = parser.parse_args()
    bot = Bot(options.url, options.bot, os.environ["VEZA_BOT_SECRET"])
    asyncio.run(bot.serve(options.space))


if __name__ == "__main__":
    main()
