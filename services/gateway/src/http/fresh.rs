//! Reading one's own writes: a read that asks for a position waits until the read model has reached it.

use std::sync::Arc;

use futures::future::BoxFuture;
use poem::Request;
use veza_platform::event_log::Position;

use super::header::{Header, header_parameter};
use super::problem::Failure;
use crate::state::Gateway;

/// Header with the position, as `Veza-Seq` gave it.
const MIN_SEQ: &str = "veza-min-seq";

/// The read model is as new as the caller asked for.
pub(super) struct Fresh {
    asked: Option<Position>,
}

impl Fresh {
    /// The sequence asked for, if it is one of `stream`; 0 otherwise.
    pub(super) fn seq_in(&self, stream: &str) -> u64 {
        let asked = self
            .asked
            .as_ref()
            .filter(|position| position.stream.as_str() == stream);
        asked.map_or(0, |position| position.seq)
    }
}

impl Header for Fresh {
    async fn read(request: &Request) -> Result<Self, Failure> {
        let Some(value) = request.headers().get(MIN_SEQ) else {
            return Ok(Self { asked: None });
        };
        let position = value
            .to_str()
            .ok()
            .and_then(|text| text.trim().parse::<Position>().ok());
        let gateway = request
            .data::<Arc<Gateway>>()
            .expect("every route has the gateway");
        // A position in a stream that is not there would never be reached.
        let position = position.filter(|position| gateway.log.streams().contains(&position.stream));
        let Some(position) = position else {
            let detail = "pass `Veza-Seq` of an earlier answer, such as SPACES_0/123";
            return Err(Failure::unreadable("request.min_seq", "Veza-Min-Seq", detail));
        };
        reached(Arc::clone(gateway), position.clone()).await?;
        Ok(Self {
            asked: Some(position),
        })
    }
}
header_parameter!(Fresh);

fn reached(gateway: Arc<Gateway>, wanted: Position) -> BoxFuture<'static, Result<(), Failure>> {
    Box::pin(async move { Ok(gateway.reached(&wanted.stream, wanted.seq).await?) })
}
