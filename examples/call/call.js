// A call in a plain page, by the documented WebSocket alone: docs/realtime.md, "Calls".
//
// For programs, `#api=…&token=…&room=…` joins at once, `&codec=av1` shows the camera so, and `&report=/path` posts what was
// decoded there each second.

const door = document.querySelector("#door");
const people = document.querySelector("#people");
const say = (text) => (document.querySelector("#status").textContent = text);
/** Lines for others' pictures; the worker gives each to whoever matters most. */
const MOST_PICTURES = 6;

door.addEventListener("submit", async (event) => {
  event.preventDefault();
  const { api, login, password, room } = Object.fromEntries(new FormData(door));
  try {
    const session = await post(`${api}/v1/sessions`, { login, password });
    await join(api, session.access_token, room);
  } catch (error) {
    say(error.message);
  }
});

const given = new URLSearchParams(location.hash.slice(1));
/** How the picture is coded; the worker gives it to whoever can show it. */
const codec = given.get("codec") ?? "vp8";
/** The last frame of each kind that was told, for reports. */
const last = {};
let began = 0;
let firstPicture = 0;

if (given.has("token")) {
  join(given.get("api"), given.get("token"), given.get("room")).catch((error) => say(error.message));
}

async function post(url, body, token) {
  const headers = { "content-type": "application/json" };
  if (token) headers.authorization = `Bearer ${token}`;
  const response = await fetch(url, { method: "POST", headers, body: JSON.stringify(body) });
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.detail ?? response.statusText);
  return answer;
}

/** Ids sort by time (RFC 9562, version 7): the same command, repeated, is done once. */
function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  new DataView(bytes.buffer).setBigUint64(0, BigInt(Date.now()) << 16n);
  crypto.getRandomValues(bytes.subarray(6));
  bytes[6] = 0x70 | (bytes[6] & 0x0f);
  bytes[8] = 0x80 | (bytes[8] & 0x3f);
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

/** The WebSocket: what is asked is answered by a frame with the same `id`; the rest goes to `told`. */
async function connect(api, token, told) {
  const { ticket } = await post(`${api}/v1/realtime/tickets`, {}, token);
  const socket = new WebSocket(`${api.replace(/^http/, "ws")}/v1/realtime`, "veza.v1.json");
  const waiting = new Map();
  let next = 1;
  await new Promise((resolve, reject) => {
    socket.onopen = () => socket.send(JSON.stringify({ t: "hello", ticket }));
    socket.onerror = () => reject(new Error("the gateway cannot be reached"));
    socket.onmessage = ({ data }) => {
      const frame = JSON.parse(data);
      if (frame.t === "ping") return socket.send('{"t":"pong"}');
      if (frame.t === "ready") return resolve();
      const asked = waiting.get(frame.id);
      if (!asked) return told(frame);
      waiting.delete(frame.id);
      frame.t === "error" ? asked.reject(new Error(`${frame.code}: ${frame.detail}`)) : asked.resolve(frame);
    };
  });
  socket.onclose = () => told({ t: "closed" });
  const ask = (frame) =>
    new Promise((resolve, reject) => {
      const id = next++;
      waiting.set(id, { resolve, reject });
      socket.send(JSON.stringify({ ...frame, id }));
    });
  return { ask, close: () => socket.close() };
}

async function join(api, token, room) {
  began = performance.now();
  const media = await navigator.mediaDevices.getUserMedia({
    audio: true,
    video: { width: 640, height: 360, frameRate: 24 },
  });
  show("mine", media, "you", true);
  const tiles = new Map();
  const told = (frame) => {
    last[frame.t] = frame;
    if (frame.t === "call.slots") {
      for (const slot of frame.slots) tiles.get(slot.mid)?.toggleAttribute("hidden", !slot.track);
    } else if (frame.t === "call.reconnect" || frame.t === "closed") {
      say("The call moved; reload the page to join again.");
    }
  };
  const gateway = await connect(api, token, told);
  const call = await gateway.ask({ t: "call.join", room, command_id: newId() });

  const connection = new RTCPeerConnection();
  const sending = [
    ["microphone", "opus", [], connection.addTransceiver(media.getAudioTracks()[0], { direction: "sendonly" })],
    ["camera", codec, ["q", "h", "f"], connection.addTransceiver(media.getVideoTracks()[0], {
      direction: "sendonly",
      sendEncodings: [
        { rid: "q", scaleResolutionDownBy: 4, maxBitrate: 120_000, scalabilityMode: "L1T1" },
        { rid: "h", scaleResolutionDownBy: 2, maxBitrate: 350_000, scalabilityMode: "L1T1" },
        { rid: "f", maxBitrate: 1_000_000, scalabilityMode: "L1T1" },
      ],
    })],
  ];
  for (let n = 0; n < call.slots.audio; n++) connection.addTransceiver("audio", { direction: "recvonly" });
  for (let n = 0; n < Math.min(call.slots.video, MOST_PICTURES); n++) {
    connection.addTransceiver("video", { direction: "recvonly" });
  }
  prefer(connection);
  connection.ontrack = ({ track, transceiver }) => {
    const tile = show(`line-${transceiver.mid}`, new MediaStream([track]), "", false, track.kind);
    if (track.kind !== "video") return;
    tiles.set(transceiver.mid, tile);
    tile.requestVideoFrameCallback(() => (firstPicture ||= performance.now() - began));
  };
  connection.onconnectionstatechange = () => say(`Connection: ${connection.connectionState}`);

  await connection.setLocalDescription();
  const tracks = {};
  for (const [source, codec, rids, { mid }] of sending) {
    const published = await gateway.ask({
      t: "call.publish", command_id: newId(), cid: mid, source, codec, rids,
    });
    tracks[source] = published.track;
  }
  const { sdp } = await gateway.ask({ t: "call.offer", sdp: connection.localDescription.sdp });
  await connection.setRemoteDescription({ type: "answer", sdp });

  controls(gateway, connection, media, tracks.microphone);
  if (given.has("report")) setInterval(() => report(connection), 1_000);
}

/** Of each codec the form that all browsers have, so that descriptions stay short. */
const FORMS = { vp8: "", vp9: "profile-id=0", h264: "packetization-mode=1;profile-level-id=42e01f", av1: "profile=0", h265: "profile-id=1" };

/** What one shows comes in one codec; what others show, in any that can be shown here. */
function prefer(connection) {
  const all = RTCRtpReceiver.getCapabilities("video").codecs;
  const named = (name) => all.filter(({ mimeType }) => mimeType.toLowerCase() === `video/${name}`);
  const one = (name) => named(name).find(({ sdpFmtpLine }) => (sdpFmtpLine ?? "").includes(FORMS[name]));
  const own = one(codec);
  if (!own) throw new Error(`this browser has no ${codec}`);
  const others = Object.keys(FORMS).map(one).filter(Boolean);
  for (const transceiver of connection.getTransceivers()) {
    if (transceiver.receiver.track.kind !== "video") continue;
    const shows = transceiver.direction === "sendonly";
    transceiver.setCodecPreferences([...(shows ? [own] : others), ...named("rtx")]);
  }
}

function show(id, stream, name, muted, kind = "video") {
  const tile = document.createElement(kind);
  Object.assign(tile, { id, srcObject: stream, autoplay: true, playsInline: true, muted, title: name });
  people.append(tile);
  return tile;
}

function controls(gateway, connection, media, voice) {
  door.hidden = true;
  document.querySelector("#controls").hidden = false;
  const button = document.querySelector("#voice");
  button.onclick = async () => {
    const muted = button.getAttribute("aria-pressed") !== "true";
    await gateway.ask({ t: "call.mute", command_id: newId(), track: voice, muted });
    media.getAudioTracks()[0].enabled = !muted;
    button.setAttribute("aria-pressed", muted);
    button.textContent = muted ? "Unmute" : "Mute";
  };
  document.querySelector("#leave").onclick = async () => {
    await gateway.ask({ t: "call.leave", command_id: newId() });
    connection.close();
    gateway.close();
    for (const track of media.getTracks()) track.stop();
    say("You have left.");
  };
}

async function report(connection) {
  const got = { state: connection.connectionState, frames: 0, samples: 0, energy: 0, height: 0, sent: 0, layers: 0 };
  Object.assign(got, { first_picture_ms: firstPicture, codecs: [], told: Object.values(last) });
  const all = await connection.getStats();
  for (const stats of all.values()) {
    if (stats.type === "inbound-rtp" && stats.kind === "video") {
      got.frames += stats.framesDecoded ?? 0;
      got.height = Math.max(got.height, stats.frameHeight ?? 0);
      const shown = stats.framesDecoded && all.get(stats.codecId)?.mimeType;
      if (shown) got.codecs.push(shown.toLowerCase().replace("video/", ""));
    } else if (stats.type === "inbound-rtp" && stats.kind === "audio") {
      got.samples += stats.totalSamplesReceived ?? 0;
      got.energy += stats.totalAudioEnergy ?? 0;
    } else if (stats.type === "outbound-rtp" && stats.kind === "video") {
      got.sent += stats.framesEncoded ?? 0;
      got.layers += stats.framesEncoded ? 1 : 0;
    }
  }
  await fetch(given.get("report"), { method: "POST", body: JSON.stringify(got) });
}
