"""The same over gRPC, as a trusted service would: typed calls, and a stream of what happens in a room."""

import asyncio
import os
import sys

import grpc

SCHEMAS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../schemas/proto")


async def talk(ada, grace, room):
    """One posts, edits, reacts and pins; the other hears all of it from where it stood, and reads it."""
    sys.path.append(SCHEMAS)
    chat, services = grpc.protos_and_services("veza/v1/chat.proto")

    def allowed(person):
        return [("authorization", "Bearer " + person.tokens["access_token"])]

    async with grpc.aio.insecure_channel(ada.url.removeprefix("http://")) as channel:
        stub = services.ChatStub(channel)
        before = await stub.List(chat.ListRequest(room=room, limit=1), metadata=allowed(grace))
        behind = chat.SubscribeRequest.Room(room=room, after=before.head)
        heard = stub.Subscribe(chat.SubscribeRequest(rooms=[behind]), metadata=allowed(grace))
        posted = await stub.Post(chat.PostRequest(room=room, body="over gRPC"), metadata=allowed(ada))
        seen = chat.Seen(room=room, seq=posted.position.seq)
        edit = chat.EditRequest(message=posted.message, body="typed, over gRPC", seen=seen)
        await stub.Edit(edit, metadata=allowed(ada))
        thumb = chat.ReactRequest(message=posted.message, emoji="\N{THUMBS UP SIGN}", seen=seen)
        await stub.React(thumb, metadata=allowed(grace))
        pin = await stub.Pin(chat.ChangeRequest(message=posted.message, seen=seen), metadata=allowed(ada))

        async def until_pinned():
            sequences = []
            async for reply in heard:
                if reply.WhichOneof("what") == "event":
                    sequences.append(reply.event.seq)
                    if reply.event.seq == pin.position.seq:
                        return sequences

        sequences = await asyncio.wait_for(until_pinned(), 20)
        heard.cancel()
        assert sequences == sorted(set(sequences)) and sequences[0] == posted.position.seq, sequences
        newest = chat.ListRequest(room=room, limit=1, min_position=pin.position)
        (message,) = (await stub.List(newest, metadata=allowed(grace))).messages
        assert (message.id, message.body, message.pinned) == (posted.message, "typed, over gRPC", True), message
        try:
            await stub.Edit(chat.EditRequest(message=posted.message, body="mine", seen=seen), metadata=allowed(grace))
            raise RuntimeError("somebody else's message was edited")
        except grpc.aio.AioRpcError as refused:
            assert refused.code() == grpc.StatusCode.PERMISSION_DENIED, refused
