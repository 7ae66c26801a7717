//! `/v1/rooms/{room}/whip` and `/whep`: calls by HTTP alone, for what sends (RFC 9725) and for what only plays. Each is
//! a stay like any other, under `/v1/rooms/{room}/streams/{stream}` until it is taken out.

use std::sync::Arc;

use http::{HeaderValue, StatusCode, header};
use poem::{IntoResponse, Request, Response};
use poem_openapi::OpenApi;
use poem_openapi::param::Path;
use uuid::Uuid;
use veza_events::RoomId;
use veza_platform::contract::media::{CallAction, CallDone, InCall, StreamCall};
use veza_platform::contract::{Caller, Problem, ProblemKind};

use super::header::{Header, header_parameter};
use super::problem::Failure;
use super::reply::{self, Changed};
use super::sdp::{Answer, Fragment, Patched, Sdp};
use super::session::{Once, Session};
use super::tags::Chapter;
use crate::state::Gateway;
use crate::streams::patiently;

/// Operations on streams.
pub(super) struct Streams(pub(super) Arc<Gateway>);

#[OpenApi(tag = "Chapter::Calls")]
impl Streams {
    /// Stream into the call of a room (WHIP, RFC 9725): everything that the description sends is shown, and where nobody is in a
    /// call, this begins one. Needs `speak` in the room. Layers of a simulcast are named smallest first.
    #[oai(path = "/v1/rooms/:room/whip", method = "post", operation_id = "stream_call")]
    async fn whip(
        &self,
        session: Session,
        #[oai(name = "Idempotency-Key")] once: Once,
        room: Path<Uuid>,
        offer: Sdp,
    ) -> Result<Answer, Failure> {
        self.stream(&session, &once, (*room).into(), offer.0, true).await
    }

    /// Watch the call of a room (WHEP): lines on which the description wants to receive get who is heard and seen. Everybody who
    /// sees the room may; there must be a call.
    #[oai(path = "/v1/rooms/:room/whep", method = "post", operation_id = "watch_call")]
    async fn whep(
        &self,
        session: Session,
        #[oai(name = "Idempotency-Key")] once: Once,
        room: Path<Uuid>,
        offer: Sdp,
    ) -> Result<Answer, Failure> {
        self.stream(&session, &once, (*room).into(), offer.0, false).await
    }

    /// What can be sent to stream.
    #[oai(
        path = "/v1/rooms/:room/whip",
        method = "options",
        operation_id = "whip_options"
    )]
    #[expect(clippy::unused_async, reason = "poem-openapi waits for it")]
    async fn whip_options(&self, room: Path<Uuid>) -> Options {
        let _ = room;
        Options
    }

    /// What can be sent to watch.
    #[oai(
        path = "/v1/rooms/:room/whep",
        method = "options",
        operation_id = "whep_options"
    )]
    #[expect(clippy::unused_async, reason = "poem-openapi waits for it")]
    async fn whep_options(&self, room: Path<Uuid>) -> Options {
        let _ = room;
        Options
    }

    /// More about the way to the client (trickle ICE), or, with `If-Match: *`, a new beginning of the connection. For who made
    /// the stream.
    #[oai(
        path = "/v1/rooms/:room/streams/:stream",
        method = "patch",
        operation_id = "patch_stream"
    )]
    async fn patch(
        &self,
        session: Session,
        room: Path<Uuid>,
        stream: Path<Uuid>,
        #[oai(name = "If-Match")] connection: Connection,
        part: Fragment,
    ) -> Result<Patched, Failure> {
        let action = CallAction::Patch {
            fragment: part.0,
            connection: connection.0,
        };
        let caller = Caller::asking(session.account());
        match self.act(caller, (*room).into(), *stream, action).await? {
            CallDone::Patched { fragment, connection } => Ok(Patched { fragment, connection }),
            CallDone::Done | CallDone::Answered { .. } | CallDone::Published { .. } => {
                Err(Problem::internal(&"another answer than to a part of a description").into())
            }
        }
    }

    /// Take the stream out of the call. For who made it.
    #[oai(
        path = "/v1/rooms/:room/streams/:stream",
        method = "delete",
        operation_id = "end_stream"
    )]
    async fn end(
        &self,
        session: Session,
        #[oai(name = "Idempotency-Key")] once: Once,
        room: Path<Uuid>,
        stream: Path<Uuid>,
    ) -> Result<Changed, Failure> {
        let caller = once.caller(&self.0, &session).await?;
        let leave = CallAction::Leave { gone: false };
        self.act(caller, (*room).into(), *stream, leave).await?;
        Ok(Changed::at(None))
    }
}

impl Streams {
    async fn stream(
        &self,
        session: &Session,
        once: &Once,
        room: RoomId,
        sdp: String,
        shows: bool,
    ) -> Result<Answer, Failure> {
        let gateway = &self.0;
        let space = gateway.rooms.place(room).await?.space;
        let caller = once.caller(gateway, session).await?;
        let streamed = patiently(|| async {
            let placed = gateway.place(&caller, space, room).await?;
            let command = StreamCall {
                space,
                room,
                sdp: sdp.clone(),
                shows,
            };
            gateway.media(&placed.worker, &caller, &command).await
        })
        .await?;
        Ok(Answer {
            location: format!("/v1/rooms/{room}/streams/{}", streamed.participant),
            sdp: streamed.sdp,
            connection: streamed.connection,
            position: streamed.position,
            servers: gateway.ice_servers(session.account()),
        })
    }

    async fn act(
        &self,
        caller: Caller,
        room: RoomId,
        stream: Uuid,
        action: CallAction,
    ) -> Result<CallDone, Failure> {
        let space = self.0.rooms.place(room).await?.space;
        let placed = self.0.place(&caller, space, room).await?;
        let command = InCall {
            room,
            participant: stream.into(),
            action,
        };
        Ok(self.0.media(&placed.worker, &caller, &command).await?)
    }
}

/// Which connection a part of a description is for: none with `*`, that is, whichever there is.
struct Connection(Option<String>);

impl Header for Connection {
    async fn read(request: &Request) -> Result<Self, Failure> {
        let Some(value) = request.headers().get(header::IF_MATCH) else {
            let detail =
                "pass the `ETag` of the latest answer as `If-Match`, or `*` to begin the connection anew";
            let missing = Failure::new(ProblemKind::Malformed, "call.if_match_required", detail);
            return Err(missing.with_status(StatusCode::PRECONDITION_REQUIRED));
        };
        let text = value.to_str().unwrap_or_default().trim();
        let tag = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
        match (text, tag) {
            ("*", _) => Ok(Self(None)),
            (_, Some(tag)) => Ok(Self(Some(tag.to_owned()))),
            _ => Err(Failure::unreadable(
                "request.if_match",
                "If-Match",
                "pass the `ETag` of the latest answer, in its quotes, or `*`",
            )),
        }
    }
}
header_parameter!(Connection);

/// What can be sent.
struct Options;

impl IntoResponse for Options {
    fn into_response(self) -> Response {
        let mut response = Response::builder().status(StatusCode::NO_CONTENT).finish();
        let headers = response.headers_mut();
        let name = http::HeaderName::from_static("accept-post");
        headers.insert(name, HeaderValue::from_static(super::sdp::SDP));
        headers.insert(header::ALLOW, HeaderValue::from_static("OPTIONS, POST"));
        response
    }
}

impl poem_openapi::ApiResponse for Options {
    fn meta() -> poem_openapi::registry::MetaResponses {
        let accepts = reply::header("Accept-Post", "The media type of descriptions.");
        super::sdp::answers(vec![(
            StatusCode::NO_CONTENT,
            "What can be sent.",
            None,
            vec![accepts],
        )])
    }

    fn register(_: &mut poem_openapi::registry::Registry) {}
}
