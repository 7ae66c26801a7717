"""A peer that is no browser: streams into a call by WHIP, or watches it by WHEP, with nothing of ours.

    stream.py whip|whep API TOKEN ROOM

Each second it prints one line of JSON: what was sent or shown. It ends, and takes its stream out, when its input does.
"""

import asyncio
import json
import sys
import time
import urllib.request

from aiortc import RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import AudioStreamTrack, MediaStreamError, VideoStreamTrack


def ask(method, url, token, body=None):
    """One request; gives the headers and the text of the answer."""
    headers = {"authorization": f"Bearer {token}", "content-type": "application/sdp"}
    request = urllib.request.Request(url, body and body.encode(), headers, method=method)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return answer.headers, answer.read().decode()


class Counted:
    """Takes in all frames, and counts the pictures."""

    def __init__(self):
        self.frames = {"audio": 0, "video": 0}
        self.first = None
        self.tasks = []

    def take(self, track):
        async def run():
            while True:
                try:
                    await track.recv()
                except MediaStreamError:
                    return
                self.frames[track.kind] += 1
                if track.kind == "video" and self.first is None:
                    self.first = time.monotonic()

        self.tasks.append(asyncio.ensure_future(run()))


async def main(kind, api, token, room):
    began = time.monotonic()
    peer = RTCPeerConnection()
    counted = Counted()
    if kind == "whip":
        peer.addTrack(AudioStreamTrack())
        peer.addTrack(VideoStreamTrack())
    else:
        peer.addTransceiver("audio", direction="recvonly")
        peer.addTransceiver("video", direction="recvonly")
    peer.on("track", counted.take)
    await peer.setLocalDescription(await peer.createOffer())
    url = f"{api}/v1/rooms/{room}/{kind}"
    loop = asyncio.get_running_loop()
    offer = peer.localDescription.sdp
    headers, answer = await loop.run_in_executor(None, ask, "POST", url, token, offer)
    await peer.setRemoteDescription(RTCSessionDescription(answer, "answer"))
    over = loop.run_in_executor(None, sys.stdin.read)
    while not over.done():
        sent = 0
        for stats in (await peer.getStats()).values():
            if stats.type == "outbound-rtp" and stats.kind == "video":
                sent = stats.packetsSent
        first = counted.first and round((counted.first - began) * 1_000)
        told = {"state": peer.connectionState, "sent": sent, "first_picture_ms": first, **counted.frames}
        print(json.dumps(told), flush=True)
        await asyncio.wait([over], timeout=1)
    await loop.run_in_executor(None, ask, "DELETE", api + headers["location"], token)
    await peer.close()


asyncio.run(main(*sys.argv[1:]))
