//! gRPC on the same port and behind the same door as HTTP: same tokens, same limits, same commands, same
//! refusals. The schema is `schemas/proto`; server reflection and health checks need no token.

mod accounts;
mod chat;
mod messages;
mod schedule;
mod status;
mod subscribe;

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, BodyStream, StreamBody};
use hyper::body::Body as _;
use poem::endpoint::BoxEndpoint;
use poem::{Endpoint, EndpointExt, Request, Response};
use sync_wrapper::SyncStream;
use tonic::Status;
use tonic::service::Routes;
use tower_service::Service;
use veza_events::CommandId;
use veza_platform::ambient;
use veza_platform::contract::{Caller, Problem, ProblemKind};
use veza_readmodel::PageOf;

use crate::http::{DEFAULT_LIMIT, Failure, Identity, identify};
use crate::realtime::Realtime;
use crate::state::Gateway;

use accounts::Accounts;
use chat::Chat;
use wire::accounts_server::AccountsServer;
use wire::chat_server::ChatServer;

/// The schema as Rust types, generated from `schemas/proto`.
pub mod wire {
    #![allow(missing_docs, clippy::pedantic, clippy::perf, reason = "generated")]
    pub use prost_types::Timestamp;

    tonic::include_proto!("veza.v1");
}

/// The schema as server reflection shows it.
const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/veza.bin"));
/// Longest message that is taken, bytes.
const MAX_MESSAGE_BYTES: usize = 256 * 1024;

/// The addresses of services, as poem routes them.
pub(crate) const PATHS: [&str; 5] = [
    "/veza.v1.Accounts/:method",
    "/veza.v1.Chat/:method",
    "/grpc.health.v1.Health/:method",
    "/grpc.reflection.v1.ServerReflection/:method",
    "/grpc.reflection.v1alpha.ServerReflection/:method",
];

/// The calls of our services, such as `Chat/Post`.
///
/// # Panics
/// When the schema that is built in is none.
pub fn calls() -> Vec<String> {
    let files: prost_types::FileDescriptorSet =
        prost::Message::decode(DESCRIPTORS).expect("the schema was written when this was built");
    let ours = files.file.iter().filter(|file| file.package() == "veza.v1");
    let services = ours.flat_map(|file| &file.service);
    let calls = services.flat_map(|service| {
        let calls = service.method.iter();
        calls.map(|method| format!("{}/{}", service.name(), method.name()))
    });
    calls.collect()
}

/// What answers calls at [`PATHS`].
///
/// # Errors
/// When the schema that is built in cannot be read.
pub(crate) async fn endpoint(
    gateway: &Arc<Gateway>,
    realtime: Realtime,
) -> anyhow::Result<Arc<BoxEndpoint<'static>>> {
    let (reporter, health) = tonic_health::server::health_reporter();
    reporter.set_serving::<ChatServer<Chat>>().await;
    reporter.set_serving::<AccountsServer<Accounts>>().await;
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let chat =
        ChatServer::new(Chat(Arc::clone(gateway), realtime)).max_decoding_message_size(MAX_MESSAGE_BYTES);
    let accounts =
        AccountsServer::new(Accounts(Arc::clone(gateway))).max_decoding_message_size(MAX_MESSAGE_BYTES);
    let routes = Routes::new(chat)
        .add_service(accounts)
        .add_service(health)
        .add_service(reflection().build_v1()?)
        .add_service(reflection().build_v1alpha()?)
        .prepare();
    Ok(Arc::new(Calls(routes).boxed()))
}

/// Lets tonic answer what poem has routed.
struct Calls(Routes);

impl Endpoint for Calls {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        let public = request.uri().path().starts_with("/grpc.");
        let identity = if public { None } else { Some(signed_in(&request)) };
        let mut request: http::Request<BoxBody<Bytes, std::io::Error>> = request.into();
        match identity {
            Some(Err(failure)) => return Ok(refused(status::of(failure.problem()))),
            Some(Ok(identity)) => drop(request.extensions_mut().insert(identity)),
            None => {}
        }
        let answered: Result<http::Response<tonic::body::Body>, Infallible> =
            self.0.clone().call(request).await;
        let Ok(response) = answered;
        Ok(with_trailers(response))
    }
}

/// Whose token a call carries.
fn signed_in(request: &Request) -> Result<Identity, Failure> {
    let header = request.headers().get(http::header::AUTHORIZATION);
    let token = header.and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    let token = token.ok_or_else(|| {
        let detail = "sign in first: the metadata `authorization: Bearer <access token>` is missing";
        Failure::new(ProblemKind::Unauthenticated, "session.required", detail)
    })?;
    identify(request, token.trim())
}

fn refused(status: Status) -> Response {
    with_trailers(status.into_http::<tonic::body::Body>())
}

/// tonic's body as poem sends one; its status comes in trailers, which a stream of bytes would lose.
fn with_trailers(response: http::Response<tonic::body::Body>) -> Response {
    let (parts, body) = response.into_parts();
    // Of a refusal the headers are all: clients in C and Go take an empty frame behind them for a broken stream.
    let body = if body.is_end_stream() {
        poem::Body::empty()
    } else {
        let frames = BodyStream::new(body).map(|frame| frame.map_err(std::io::Error::other));
        poem::Body::from(BodyExt::boxed(StreamBody::new(SyncStream::new(frames))))
    };
    let mut answer = Response::builder().status(parts.status).body(body);
    *answer.headers_mut() = parts.headers;
    answer
}

/// The caller of a request that has come through [`Calls`].
fn caller_of<T>(request: &tonic::Request<T>) -> Result<Identity, Status> {
    let identity = request.extensions().get::<Identity>().copied();
    identity.ok_or_else(|| Status::internal("a call without a caller came through"))
}

/// The command of `identity` under the id that the call brings, or under a fresh one.
fn command(identity: Identity, id: &str) -> Result<Caller, Problem> {
    let command: CommandId = match id {
        "" => ambient::new_uuid().into(),
        id => uuid_of(id, "command_id")?,
    };
    Ok(Caller {
        command,
        account: Some(identity.account()),
        session: Some(identity.session()),
        seen: None,
    })
}

/// How many are asked for.
fn limit_of(limit: u32) -> Result<u16, Problem> {
    match u16::try_from(limit) {
        Ok(0) => Ok(DEFAULT_LIMIT),
        Ok(limit) if limit <= PageOf::MAX => Ok(limit),
        _ => Err(Problem::field("request.parameter", "limit", "ask for 1 to 200")),
    }
}

/// A UUID out of a text field that may be empty.
fn optional<T: From<uuid::Uuid>>(text: &str, field: &str) -> Result<Option<T>, Problem> {
    match text {
        "" => Ok(None),
        id => uuid_of(id, field).map(Some),
    }
}

/// A UUID out of a text field.
fn uuid_of<T: From<uuid::Uuid>>(text: &str, field: &str) -> Result<T, Problem> {
    match uuid::Uuid::try_parse(text) {
        Ok(id) => Ok(id.into()),
        Err(_) => Err(Problem::field("request.malformed", field, "this is no UUID")),
    }
}
