//! The rows of the WebSocket: frames as `docs/realtime.md` has them, each with the id 7;
//! of `hello` only its `resume`.

use super::{Row, Who, row};

#[rustfmt::skip]
pub(crate) const ROWS: &[Row] = {
    use Who::{Holds, Maker, MakerOr, Sees};
    &[
        row("hello {room}", Sees, r#"{"{room}":1}"#),
        row("watch {room}", Sees, r#"{"t":"watch","id":7,"rooms":{"{room}":"full"}}"#),
        row("read {room}", Sees, r#"{"t":"read","id":7,"room":"{room}","seq":1}"#),
        row("send {room}", Holds("post"), r#"{"t":"send","id":7,"room":"{room}","command_id":"{command}","body":"hi"}"#),
        row("edit {message}", Maker(Some("post")), r#"{"t":"edit","id":7,"room":"{room}","command_id":"{command}","message":"{message}","seq":{seq},"body":"hello again"}"#),
        row("delete {message}", MakerOr("post", "manage_messages"), r#"{"t":"delete","id":7,"room":"{room}","command_id":"{command}","message":"{message}","seq":{seq}}"#),
        row("react {message}", Holds("react"), r#"{"t":"react","id":7,"room":"{room}","command_id":"{command}","message":"{message}","seq":{seq},"emoji":"👍"}"#),
        row("pin {message}", Holds("manage_messages"), r#"{"t":"pin","id":7,"room":"{room}","command_id":"{command}","message":"{message}","seq":{seq}}"#),
        row("unpin {message}", Holds("manage_messages"), r#"{"t":"unpin","id":7,"room":"{room}","command_id":"{command}","message":"{message}","seq":{seq}}"#),
    ]
};
