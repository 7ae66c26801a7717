//! What a gateway listens to in the background, for as long as its process lives.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use veza_events::Subject;
use veza_platform::event_log::Live;
use veza_readmodel::notice::PositionNotice;

use crate::http::{FORGET_EVERY, Limits};
use crate::state::Gateway;

/// Changes that may let accounts do more or less.
const ACCESS_SUBJECTS: [&str; 2] = ["live.*.space.>", "live.*.member.>"];
/// Pause before a subscription that could not be made is tried again.
const PAUSE: Duration = Duration::from_millis(200);

/// Begins to listen.
pub(crate) fn start(gateway: &Arc<Gateway>, limits: Arc<Limits>) {
    for subjects in ACCESS_SUBJECTS {
        gateway
            .lifecycle
            .accompany("access feed", follow_access(Arc::clone(gateway), subjects));
    }
    gateway
        .lifecycle
        .accompany("position feed", follow_positions(Arc::clone(gateway)));
    gateway.lifecycle.accompany("quiet callers", async move {
        loop {
            tokio::time::sleep(FORGET_EVERY).await;
            limits.forget_quiet();
        }
    });
}

/// Tells the cache of accesses about every change, and about every reason to believe that one was missed.
async fn follow_access(gateway: Arc<Gateway>, subjects: &'static str) {
    loop {
        match gateway.log.live(subjects).await {
            Ok(mut feed) => {
                gateway.access.lagged();
                while let Some(live) = feed.next().await {
                    match live {
                        Live::Lagged => gateway.access.lagged(),
                        Live::Event(record) => match record.subject.parse::<Subject>() {
                            Ok(subject) => gateway.access.event(&subject, record.position.seq),
                            Err(error) => {
                                tracing::warn!(error.message = %error, "a live event of nothing known");
                            }
                        },
                    }
                }
            }
            Err(error) => tracing::debug!(error.message = %error, "the access feed has to wait"),
        }
        gateway.access.lagged();
        tokio::time::sleep(PAUSE).await;
    }
}

/// Tells the read model how far the projector is, so that reads that wait need not ask Postgres.
async fn follow_positions(gateway: Arc<Gateway>) {
    let all = PositionNotice::subject("*");
    loop {
        match gateway.nats.subscribe(all.clone()).await {
            Ok(mut notices) => {
                while let Some(message) = notices.next().await {
                    let stream = message.subject.rsplit('.').next().unwrap_or_default();
                    if let Ok(notice) = serde_json::from_slice::<PositionNotice>(&message.payload) {
                        gateway.read.note_position(stream, notice.seq);
                    }
                }
            }
            Err(error) => tracing::debug!(error.message = %error, "the position feed has to wait"),
        }
        tokio::time::sleep(PAUSE).await;
    }
}
