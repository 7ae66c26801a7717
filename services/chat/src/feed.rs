//! Keeps the caches fresh: what any worker writes is heard here a moment later.

use std::sync::Arc;

use futures::{StreamExt, stream};
use veza_events::Subject;
use veza_platform::{
    event_log::{EventLog, Live, Record},
    runtime::Runtime,
};

use crate::{sources, worker::Worker};

/// Everything that changes who may do what, and what is to be said later.
const SUBJECTS: [&str; 4] = [
    "live.*.space.>",
    "live.*.member.>",
    "live.*.schedule.>",
    "live.account.>",
];

/// Subscribes, waiting for the log where needed; then follows on a task of the role.
pub(crate) async fn start(rt: &Runtime, log: &EventLog, worker: &Arc<Worker>) -> anyhow::Result<()> {
    let mut feeds = Vec::new();
    for subject in SUBJECTS {
        feeds.push(log.live_patiently(subject, &rt.lifecycle.soft).await?);
    }
    let (worker, life) = (Arc::clone(worker), rt.lifecycle.clone());
    // To the very end: commands that are finished during a drain decide on what is held, too.
    rt.lifecycle.accompany("feed", async move {
        let mut feed = stream::select_all(feeds);
        while let Some(heard) = feed.next().await {
            match heard {
                Live::Event(record) => hear(&worker, &record),
                Live::Lagged => worker.forget(),
            }
        }
        // At the end of a process the log's own tasks may be over first.
        if !life.is_stopping() {
            life.fail("feed", "ended early".into());
        }
    });
    Ok(())
}

/// An event that cannot be read here still makes what is held too old, so that the next one who asks
/// hears of it.
fn hear(worker: &Worker, record: &Record) {
    let Ok(subject) = record.subject.parse() else {
        return;
    };
    let event = sources::decode(record).ok().flatten();
    let (seq, prev) = (record.position.seq, record.prev);
    match subject {
        Subject::Space(_, space) => worker.spaces.hear(space, seq, prev, event.as_ref()),
        Subject::Member(_, space, account) => {
            worker.members.hear((space, account), seq, prev, event.as_ref());
        }
        Subject::Account(account) => worker.people.hear(account, seq, prev, event.as_ref()),
        Subject::Schedule(_, space, account) => {
            worker.schedules.hear((space, account), seq, prev, event.as_ref());
        }
        Subject::Handle(_)
        | Subject::Room(..)
        | Subject::Report(..)
        | Subject::Call(..)
        | Subject::Held(..) => {}
    }
}
