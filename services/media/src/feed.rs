//! Who may be in a call can change while they are in it: what changes rights is heard here a moment later.

use std::sync::Arc;

use futures::{StreamExt, stream};
use veza_events::{Event, Subject, account::AccountEvent};
use veza_platform::{
    event_log::{EventLog, Live},
    runtime::Runtime,
};

use crate::{facts, worker::Worker};

/// Everything that changes who may do what.
const SUBJECTS: [&str; 3] = ["live.*.space.>", "live.*.member.>", "live.account.>"];

/// Subscribes, waiting for the log where needed; then follows on a task of the role.
pub(crate) async fn start(rt: &Runtime, log: &EventLog, worker: &Arc<Worker>) -> anyhow::Result<()> {
    let mut feeds = Vec::new();
    for subject in SUBJECTS {
        feeds.push(log.live_patiently(subject, &rt.lifecycle.soft).await?);
    }
    let (worker, life) = (Arc::clone(worker), rt.lifecycle.clone());
    rt.lifecycle.accompany("feed", async move {
        let mut feed = stream::select_all(feeds);
        while let Some(heard) = feed.next().await {
            match heard {
                Live::Event(record) => match record.subject.parse() {
                    Ok(Subject::Space(_, space)) => worker.review(Some(space), None).await,
                    Ok(Subject::Member(_, space, account)) => {
                        worker.review(Some(space), Some(account)).await;
                    }
                    // Who blocks somebody meets them no more.
                    Ok(Subject::Account(account)) => {
                        let event = facts::decode(&record).ok().flatten();
                        if let Some(Event::Account(AccountEvent::Blocked(_))) = event {
                            worker.review(None, Some(account)).await;
                        }
                    }
                    Ok(
                        Subject::Handle(_)
                        | Subject::Room(..)
                        | Subject::Report(..)
                        | Subject::Schedule(..)
                        | Subject::Call(..)
                        | Subject::Held(..),
                    )
                    | Err(_) => {}
                },
                Live::Lagged => worker.review(None, None).await,
            }
        }
        // At the end of a process the log's own tasks may be over first.
        if !life.is_stopping() {
            life.fail("feed", "ended early".into());
        }
    });
    Ok(())
}
