// Watches a call by WHEP: one request with a description, one answer, and nothing else to speak of.
//
// For programs, `#api=…&token=…&room=…` watches at once, and `&report=/path` posts what was decoded there each second.

const say = (text) => (document.querySelector("#status").textContent = text);
const start = (api, token, room) => watch(api, token, room).catch((error) => say(error.message));

document.querySelector("#door").addEventListener("submit", (event) => {
  event.preventDefault();
  const { api, token, room } = Object.fromEntries(new FormData(event.target));
  start(api, token, room);
});
const given = new URLSearchParams(location.hash.slice(1));
if (given.has("token")) start(given.get("api"), given.get("token"), given.get("room"));

async function watch(api, token, room) {
  const began = performance.now();
  let firstPicture = 0;
  const connection = new RTCPeerConnection();
  const stream = new MediaStream();
  const picture = document.querySelector("#picture");
  picture.requestVideoFrameCallback(() => (firstPicture = performance.now() - began));
  connection.ontrack = ({ track }) => {
    stream.addTrack(track);
    picture.srcObject = stream;
  };
  connection.onconnectionstatechange = () => say(`Connection: ${connection.connectionState}`);
  for (const kind of ["audio", "video"]) connection.addTransceiver(kind, { direction: "recvonly" });
  await connection.setLocalDescription();
  const authorization = `Bearer ${token}`;
  const response = await fetch(`${api}/v1/rooms/${room}/whep`, {
    method: "POST",
    headers: { authorization, "content-type": "application/sdp" },
    body: connection.localDescription.sdp,
  });
  if (!response.ok) throw new Error((await response.json()).detail);
  await connection.setRemoteDescription({ type: "answer", sdp: await response.text() });
  const place = new URL(response.headers.get("location"), api);
  addEventListener("pagehide", () => fetch(place, { method: "DELETE", headers: { authorization }, keepalive: true }));

  if (!given.has("report")) return;
  setInterval(async () => {
    const got = { state: connection.connectionState, frames: 0, samples: 0, energy: 0, first_picture_ms: firstPicture };
    for (const stats of (await connection.getStats()).values()) {
      if (stats.type !== "inbound-rtp") continue;
      got.frames += stats.framesDecoded ?? 0;
      got.samples += stats.totalSamplesReceived ?? 0;
      got.energy += stats.totalAudioEnergy ?? 0;
    }
    await fetch(given.get("report"), { method: "POST", body: JSON.stringify(got) });
  }, 1_000);
}
