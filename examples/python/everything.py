"""Two people and a bot use what Veza has, one thing after another, through the documented API alone.

Whatever does not come out as the documentation says ends it with the line that found it.
"""

import argparse
import asyncio
import datetime
import io
import json
import math
import os
import secrets
import struct
import subprocess
import sys
import urllib.request
import uuid
import wave
import zipfile
import zlib

import trusted
from friend import Friend, eventually
from talk import PASSWORD, Refused

THUMB = "%F0%9F%91%8D"


async def messages(ada, grace, room):
    posted = await ada.post(room, f"Hello **@{grace.name}**")
    path = f"/v1/messages/{posted['id']}"
    await ada.call("PATCH", path, {"body": f"Good morning **@{grace.name}**"})
    assert len(await ada.items(path + "/edits")) == 2, "what was said first can be read"
    await grace.refused("message.not_the_author", "PATCH", path, {"body": "mine"})
    await grace.call("PUT", f"{path}/reactions/{THUMB}")
    await ada.call("PUT", path + "/pin")
    answer = await grace.post(room, "Good morning", reply_to=posted["id"])
    thread = (await grace.call("POST", path + "/thread"))["room"]
    await grace.post(thread, "and more of it here")
    seen = await grace.message(posted["id"], "?format=html")
    assert "<strong>" in seen.get("html", ""), seen
    assert seen["pinned"] and seen["edited_at"], seen
    assert seen["reactions"][0]["count"] == 1 and seen["thread"]["replies"] == 1, seen
    assert (await grace.message(answer["id"]))["reply_to"] == posted["id"]
    assert [pin["id"] for pin in await ada.items(f"/v1/rooms/{room}/pins")] == [posted["id"]]
    assert (await grace.items("/v1/mentions"))[0]["message"]["id"] == posted["id"]
    slip = await ada.post(room, "a slip")
    await ada.call("DELETE", f"/v1/messages/{slip['id']}")
    gone = await grace.message(slip["id"])
    assert gone["deleted_at"] and gone.get("body") is None, gone
    await ada.call("PUT", f"/v1/rooms/{room}/draft", {"body": "not yet"})
    assert [draft["body"] for draft in await ada.items("/v1/drafts")] == ["not yet"]
    await ada.call("DELETE", f"/v1/rooms/{room}/draft")


def picture(width, height):
    """A PNG of one colour."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = (b"\0" + b"\x20\x60\xa0" * width) * height
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def recording(seconds):
    """A WAV: silence, then a tone."""
    tone = [0 if at < seconds * 4000 else int(24000 * math.sin(at / 3)) for at in range(seconds * 8000)]
    content = io.BytesIO()
    with wave.open(content, "wb") as sound:
        sound.setparams((1, 2, 8000, 0, "NONE", ""))
        sound.writeframes(struct.pack(f"<{len(tone)}h", *tone))
    return content.getvalue()


async def files(ada, grace, room):
    words = b"some words\n"
    ids = [await ada.upload(room, "notes.txt", words), await ada.upload(room, "blue.png", picture(640, 480))]
    await grace.refused("attachment.not_found", "POST", f"/v1/rooms/{room}/messages", {"body": "", "attachments": ids[:1]})
    posted = await ada.post(room, "", attachments=ids)
    notes, blue = (await grace.message(posted["id"]))["attachments"]
    assert (notes["kind"], blue["kind"], blue["width"]) == ("file", "image", 640), (notes, blue)
    assert blue["blur_hash"] and await grace.call("GET", f"/v1/attachments/{blue['id']}/thumbnail")
    assert await grace.call("GET", f"/v1/attachments/{notes['id']}") == words
    voice = await grace.upload(room, "voice.wav", recording(2), "&voice=true")
    said = await grace.post(room, "", attachments=[voice])
    (voice,) = (await ada.message(said["id"]))["attachments"]
    assert (voice["kind"], voice["duration_ms"]) == ("voice", 2000), voice
    assert max(voice["peaks"][:30]) == 0 and min(voice["peaks"][34:]) > 100, voice


async def being_there(ada, grace, room):
    for person in (ada, grace):
        await person.listen()
        await person.send({"t": "watch", "id": 1, "rooms": {room: "full"}})
        await person.until("ok")
    await grace.send({"t": "typing", "room": room})
    assert (await ada.until("typing"))["by"] == grace.id
    await ada.send({"t": "presence", "id": 2, "watch": [grace.id], "state": "online"})
    states = (await ada.until("presence"))["states"]
    assert states[grace.id] == "online", states
    said = await grace.post(room, f"@{ada.name}, are you there?")
    event = await ada.until("event", lambda frame: frame["seq"] == said["seq"])
    assert ada.id in event["data"]["mentions"]["accounts"], event

    async def counted():
        rooms = await ada.items("/v1/unread")
        return any(one["room"] == room and one["mentions"] >= 1 for one in rooms)

    await eventually("what is new is counted", counted)
    await ada.send({"t": "read", "id": 3, "room": room, "seq": said["seq"]})
    await ada.until("ok", lambda frame: frame["id"] == 3)
    # Behind what was seen, everything comes again in order, and nothing else.
    await ada.send({"t": "resume", "rooms": {room: event["prev"]}})
    fill = await ada.until("fill", lambda frame: frame["events"])
    assert fill["events"][0]["seq"] == said["seq"], fill
    await grace.call("PUT", f"/v1/rooms/{room}/notifications", {"level": "mentions"})
    keys = {
        "p256dh": "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
        "auth": "BTBZMqHH6r4Tts7J_aSIgg",
    }
    assert (await grace.call("GET", "/v1/push/key"))["key"]
    device = {"endpoint": "https://push.example.org/knock", "keys": keys}
    added = await grace.call("POST", "/v1/push/subscriptions", device)
    await grace.call("DELETE", f"/v1/push/subscriptions/{added['id']}")


async def structure(ada, grace, space, room):
    role = str(uuid.uuid4())
    rights = {"name": "Readers", "permissions": ["invite"], "rank": 1}
    await ada.call("PUT", f"/v1/spaces/{space}/roles/{role}", rights)
    await ada.call("PUT", f"/v1/spaces/{space}/members/{grace.id}", {"roles": [role]})
    invite = await eventually("the role counts", lambda: invited(grace, space))
    await grace.call("DELETE", f"/v1/spaces/{space}/invites/{invite['id']}")
    category = (await ada.call("POST", f"/v1/spaces/{space}/categories", {"name": "Quiet"}))["id"]
    hidden = {"name": "attic", "private": True, "category": category}
    attic = (await ada.call("POST", f"/v1/spaces/{space}/rooms", hidden))["id"]
    await grace.refused("room.not_found", "GET", f"/v1/rooms/{attic}")
    override = f"/v1/rooms/{attic}/overrides/{grace.id}?kind=account"
    await ada.call("PUT", override, {"allow": ["view"], "deny": ["post"]})
    await eventually("the door opens", lambda: seen(grace, attic))
    await grace.refused("room.not_allowed", "POST", f"/v1/rooms/{attic}/messages", {"body": "hi"})
    members = await ada.items(f"/v1/spaces/{space}/members?q={grace.name}")
    assert [member["account"] for member in members] == [grace.id], members
    talk = await ada.call("POST", "/v1/directs", {"accounts": [grace.id]})
    same = await grace.call("POST", "/v1/directs", {"accounts": [ada.id]})
    assert talk["id"] == same["id"], "two people find the same conversation"
    await grace.post(talk["room"], "between us")


async def invited(person, space):
    try:
        return await person.call("POST", f"/v1/spaces/{space}/invites", {"max_uses": 1})
    except Refused:
        return None


async def seen(person, room):
    try:
        return await person.call("GET", f"/v1/rooms/{room}")
    except Refused:
        return None


async def order(ada, grace, space, room):
    rule = {"name": "language", "kind": "words", "entries": ["zut"], "exempt": []}
    await ada.call("PUT", f"/v1/spaces/{space}/filters", {"rules": [rule]})

    async def caught():
        try:
            await grace.post(room, "zut")
        except Refused as refused:
            return "message.filtered" in str(refused) or str(refused)

    assert await eventually("the rule holds", caught) is True
    spam = [await grace.post(room, f"buy {number}") for number in range(2)]
    report = {"reason": "spam", "note": "twice"}
    filed = await ada.call("POST", f"/v1/messages/{spam[0]['id']}/reports", report)
    open_ = await ada.items(f"/v1/spaces/{space}/reports?state=open")
    assert [one["id"] for one in open_] == [filed["id"]], open_
    await ada.call("POST", f"/v1/reports/{filed['id']}/resolution", {"action": "warned"})
    both = {"messages": [one["id"] for one in spam]}
    await ada.call("POST", f"/v1/rooms/{room}/messages/delete", both)
    assert (await grace.message(spam[1]["id"]))["deleted_at"]
    member = f"/v1/spaces/{space}/members/{grace.id}"
    await ada.call("PUT", member, {"time_out_s": 600})
    await grace.refused("room.timed_out", "POST", f"/v1/rooms/{room}/messages", {"body": "but"})
    await ada.call("PUT", member, {"time_out_s": 0})
    await ada.call("PUT", f"/v1/spaces/{space}/raid/brake", {"joins_per_minute": 50, "hold_s": 600})
    deeds = {deed["action"] for deed in await ada.items(f"/v1/spaces/{space}/audit")}
    assert len(deeds) > 5, deeds


async def search(ada, grace, room):
    await grace.post(room, "The horses ran over the meadow")

    async def found():
        hits = await ada.items(f"/v1/search?q=horse+from:{grace.name}&room={room}")
        return any("horses" in hit["message"]["body"] for hit in hits)

    await eventually("words are found by their stem", found)


async def later(ada, grace, room):
    def soon(seconds):
        return (datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds)).isoformat()

    path = f"/v1/rooms/{room}/scheduled"
    await grace.refused("schedule.past", "POST", path, {"body": "too late", "at": soon(-60)})
    kept = await ada.call("POST", path, {"body": "at its time", "at": soon(600)})
    gone = await ada.call("POST", path, {"body": "never", "at": soon(600)})
    await ada.call("DELETE", f"/v1/scheduled/{gone['id']}")
    await ada.call("PATCH", f"/v1/scheduled/{kept['id']}", {"at": soon(2)})
    said = await grace.until("event", lambda frame: frame["data"].get("body") == "at its time")
    assert said["by"] == ada.id, said

    async def none_waits():
        return not await ada.items("/v1/scheduled")

    await eventually("what was said waits no more", none_waits)


async def group(ada, grace):
    alan = Friend(ada.url, "alan")
    await alan.sign_up()
    alan.id = (await alan.call("GET", "/v1/accounts/me"))["id"]
    talk = await ada.call("POST", "/v1/directs", {"accounts": [grace.id, alan.id]})
    same = await alan.call("POST", "/v1/directs", {"accounts": [ada.id, grace.id]})
    assert talk["id"] == same["id"], "the same people find the same group"
    said = await grace.post(talk["room"], "the three of us")
    assert (await alan.message(said["id"]))["body"] == "the three of us"
    await alan.call("DELETE", f"/v1/directs/{talk['id']}/members/me")
    await grace.post(talk["room"], "the two of us")
    await alan.refused("room.not_found", "GET", f"/v1/rooms/{talk['room']}/messages")
    between = await alan.call("POST", "/v1/directs", {"accounts": [ada.id]})
    await ada.call("PUT", f"/v1/accounts/me/blocks/{alan.id}")
    await alan.refused("room.blocked", "POST", f"/v1/rooms/{between['room']}/messages", {"body": "why?"})


async def what_is_kept(ada, space, room):
    """A person's own data, and a space's history."""
    for path, inside in [("accounts/me", "messages.jsonl"), (f"spaces/{space}", f"rooms/{room}.jsonl")]:
        asked = await ada.call("POST", f"/v1/{path}/exports", {"password": PASSWORD})

        async def done():
            exports = await ada.items("/v1/exports")
            return any(one["id"] == asked["id"] and one["state"] == "done" for one in exports)

        await eventually("the export is made", done)
        archive = await ada.call("GET", f"/v1/exports/{asked['id']}/archive")
        with zipfile.ZipFile(io.BytesIO(archive)) as archive:
            lines = [json.loads(line) for line in archive.read(inside).splitlines()]
        assert any("Good morning" in (line.get("body") or "") for line in lines), lines[:3]


async def programs(ada, grace, space, room):
    made = await ada.call("POST", "/v1/bots", {"handle": f"dice-{secrets.token_hex(4)}"})
    scopes = {"scopes": ["messages:write", "commands"]}
    key = await ada.call("POST", f"/v1/bots/{made['id']}/keys", scopes)
    await ada.call("PUT", f"/v1/spaces/{space}/bots/{made['id']}")
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "bot.py")
    environment = {**os.environ, "VEZA_BOT_SECRET": key["secret"]}
    bot = subprocess.Popen([sys.executable, script, ada.url, space, made["id"]], env=environment)
    try:
        calls = f"/v1/rooms/{room}/commands"

        async def rolled():
            try:
                return await ada.call("POST", calls, {"name": "dice", "text": "2d6"})
            except Refused:
                return None

        await wait_for_bot(ada, calls)
        called = await eventually("the bot is there", rolled)
        said = await ada.until("event", lambda frame: frame.get("command_id") == called["invocation"])
        assert said["data"]["body"].startswith("rolled 2d6"), said
        await ada.call("POST", calls, {"name": "dice", "text": "how?"})
        assert "/dice 2d6" in (await ada.until("whisper"))["body"]
    finally:
        bot.terminate()
        bot.wait()
    hook = await ada.call("POST", f"/v1/rooms/{room}/webhooks", {"name": "Builds"})
    address = ada.url + "/v1/" + hook["url"].split("/v1/")[1]
    body = json.dumps({"text": f"@{grace.name}: build 7 is green", "username": "CI"}).encode()
    request = urllib.request.Request(address, body, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=15) as answer:
        posted = json.load(answer)

    async def shown():
        try:
            return await grace.message(posted["id"])
        except Refused:
            return None

    message = await eventually("what the program said is there", shown)
    assert message["author_display_name"] == "CI" and message["author_bot"], message
    assert message["mentions"]["accounts"] == [grace.id], message
    await ada.call("DELETE", f"/v1/rooms/{room}/webhooks/{hook['id']}")


async def wait_for_bot(person, calls):
    """A call of a command that takes no socket yet is refused at once; `call` would repeat that for ever."""

    async def there():
        try:
            await asyncio.to_thread(person.request, "POST", calls, {"name": "dice", "text": "1d2"})
            return True
        except Refused:
            return False

    await eventually("the bot takes calls", there)


async def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    url = parser.parse_args().url
    ada, grace = people = Friend(url, "ada"), Friend(url, "grace")
    for person in people:
        await person.sign_up()
        person.id = (await person.call("GET", "/v1/accounts/me"))["id"]
    space = (await ada.call("POST", "/v1/spaces", {"name": "Example", "preset": "team"}))["id"]
    room = (await ada.call("POST", f"/v1/spaces/{space}/rooms", {"name": "talk"}))["id"]
    code = (await ada.call("POST", f"/v1/spaces/{space}/invites", {"max_uses": 1}))["code"]
    await grace.call("POST", f"/v1/invites/{code}/accept", {})
    for name, step in [
        ("messages", messages(ada, grace, room)),
        ("files", files(ada, grace, room)),
        ("presence, typing, unread, resume, notifications", being_there(ada, grace, room)),
        ("roles, rooms, overrides, directs", structure(ada, grace, space, room)),
        ("moderation", order(ada, grace, space, room)),
        ("search", search(ada, grace, room)),
        ("scheduled messages", later(ada, grace, room)),
        ("bot, slash commands, webhook", programs(ada, grace, space, room)),
        ("groups, blocking", group(ada, grace)),
        ("gRPC", trusted.talk(ada, grace, room)),
        ("exports", what_is_kept(ada, space, room)),
    ]:
        await step
        print(name, flush=True)
    print("all of it", flush=True)


if __name__ == "__main__":
    asyncio.run(main())
