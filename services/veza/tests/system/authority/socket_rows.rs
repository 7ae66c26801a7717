//! The rows of the WebSocket: frames as `docs/realtime.md` has them, each with the id 7;
//! of `hello` only its `resume`.

use super::{Row, Who, row};

#[rustfmt::skip]
pub(crate) const ROWS: &[Row] = {
    use Who::{Holds, Maker, MakerOr, Sees};
    // But for the first, the owner has begun the call, and whoever asks has tried to be in it.
    &[
        row("hello {room}", Sees, r#"{"{room}":1}"#),
        row("watch {room}", Sees, r#"{"t":"watch","id":7,"rooms":{"{room}":"full"}}"#),
        row("read {room}", Sees, r#"{"t":"read","id":7,"room":"{room}","seq":1}"#),
        row("send {room}", Holds("post"), r#"{"t":"send","id":7,"room":"{room}","command_id":"{command}","body":"hi"}"#),
        row("edit {message}", Maker(Some("post")), r#"{"t":"edit","id":7,"room":"{room}","command_id":"{command}","message":"{message}","seq":{seq},"body":"hello again"}"#),
        row("delete {message}", MakerOr("post", "manage_messages"), r#"{"t":"delete","id":7,"room":"{room}","command_id":"{command}","message":"{message}","seq":{seq}}"#),
        row("react {message}", Holds("react"), r#"{"t":"react","id":7,"room":"{room}","command_id":"{command}","message":"{message}","seq":{seq},"emoji":"👍"}"#),
        row("pin {message}", Holds("manage_messages"), r#"{"t":"pin","id":7,"room":"{room}","command_id":"{command}","message":"{message}","seq":{seq}}"#),
        row("call.join {room}", Holds("speak"), r#"{"t":"call.join","id":7,"room":"{room}","command_id":"{command}"}"#),
        row("call.candidate {room}", Sees, r#"{"t":"call.candidate","id":7,"candidate":"candidate:1 1 udp 2130706431 192.0.2.1 5000 typ host"}"#),
        row("call.viewport {room}", Sees, r#"{"t":"call.viewport","id":7,"last_n":1}"#),
        row("call.publish {room}", Holds("speak"), r#"{"t":"call.publish","id":7,"command_id":"{command}","cid":"0","source":"microphone","codec":"opus"}"#),
        row("call.publish {room}", Holds("share_screen"), r#"{"t":"call.publish","id":7,"command_id":"{command}","cid":"0","source":"screen","codec":"vp8"}"#),
        row("call.moderate {room}", Holds("moderate_calls"), r#"{"t":"call.moderate","id":7,"command_id":"{command}","action":{"end":{}}}"#),
        row("unpin {message}", Holds("manage_messages"), r#"{"t":"unpin","id":7,"room":"{room}","command_id":"{command}","message":"{message}","seq":{seq}}"#),
    ]
};
