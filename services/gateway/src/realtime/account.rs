//! Where a socket stands in the chain of its account: what it is told follows on what it was told before.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use veza_platform::notices::Missed;
use veza_readmodel::notice::AccountNotice;

use super::frames::{Frame, Outgoing, ResetReason};
use super::outbox::Outbox;

/// Notices that arrive while a socket is still being greeted, at most.
const MAX_EARLY: usize = 256;

/// A notice on its way to the sockets of an account.
#[derive(Debug)]
pub(super) struct Notice {
    pub(super) seq: u64,
    pub(super) notice: AccountNotice,
}

impl Notice {
    fn frame(&self, prev: u64) -> Frame {
        let AccountNotice {
            source,
            kind,
            at,
            data,
        } = &self.notice;
        let frame = Outgoing::Account {
            seq: self.seq,
            prev,
            source: source.as_deref(),
            kind,
            at: *at,
            data,
        };
        frame.frame()
    }
}

/// The last frame that was built: the sockets of an account mostly stand at the same place.
#[derive(Debug, Default)]
pub(super) struct LastFrame(Option<(u64, Frame)>);

impl LastFrame {
    fn of(&mut self, notice: &Notice, prev: u64) -> Frame {
        match &self.0 {
            Some((known, frame)) if *known == prev => frame.clone(),
            _ => {
                let frame = notice.frame(prev);
                self.0 = Some((prev, frame.clone()));
                frame
            }
        }
    }
}

/// The place of one socket.
#[derive(Debug)]
pub(super) struct Chain(Mutex<Place>);

#[derive(Debug)]
enum Place {
    /// It is not known yet from where on it is told; what comes meanwhile waits.
    Early {
        waiting: Vec<Arc<Notice>>,
        /// More came than may wait, or chains began anew: from here on it goes on with a `reset`.
        broken_at: u64,
    },
    /// It was told everything up to here.
    At(u64),
}

impl Default for Chain {
    fn default() -> Self {
        Self(Mutex::new(Place::Early {
            waiting: Vec::new(),
            broken_at: 0,
        }))
    }
}

impl Chain {
    /// Tells of what has just happened.
    pub(super) fn tell(&self, notice: &Arc<Notice>, last: &mut LastFrame, outbox: &Outbox) {
        match &mut *self.lock() {
            Place::Early { waiting, broken_at } => {
                if waiting.len() < MAX_EARLY {
                    waiting.push(Arc::clone(notice));
                } else {
                    *broken_at = notice.seq;
                }
            }
            Place::At(at) if notice.seq > *at => {
                outbox.push(&last.of(notice, *at));
                *at = notice.seq;
            }
            Place::At(_) => {}
        }
    }

    /// Something was not told to anybody: what is loaded from now on is what counts.
    pub(super) fn break_at(&self, seq: u64, outbox: &Outbox) {
        match &mut *self.lock() {
            Place::Early { broken_at, .. } => *broken_at = seq,
            Place::At(at) if seq > *at => {
                outbox.push(&reset(ResetReason::TooFar, seq));
                *at = seq;
            }
            Place::At(_) => {}
        }
    }

    /// Goes on live: behind `head` for a socket that does not resume, else behind what it has missed, which it
    /// is told first.
    pub(super) fn begin(&self, from: Option<u64>, missed: Missed, outbox: &Outbox) {
        let mut place = self.lock();
        let mut at = match missed {
            Missed::All { notices, head } => {
                let mut at = from.unwrap_or(head);
                for (seq, body) in notices {
                    match serde_json::from_slice(&body) {
                        Ok(notice) => outbox.push(&Notice { seq, notice }.frame(at)),
                        Err(error) => {
                            tracing::warn!(error.message = %error, "a notice cannot be read");
                            outbox.push(&reset(ResetReason::TooFar, seq));
                        }
                    }
                    at = seq;
                }
                at
            }
            Missed::TooFar { head } => {
                outbox.push(&reset(ResetReason::TooFar, head));
                head
            }
            Missed::Epoch { head } => {
                outbox.push(&reset(ResetReason::Epoch, head));
                head
            }
        };
        if let Place::Early { waiting, broken_at } = &*place {
            if *broken_at > at {
                at = *broken_at;
                outbox.push(&reset(ResetReason::TooFar, at));
            }
            for notice in waiting
                .iter()
                .filter(|notice| notice.seq > at)
                .collect::<Vec<_>>()
            {
                outbox.push(&notice.frame(at));
                at = notice.seq;
            }
        }
        *place = Place::At(at);
    }

    fn lock(&self) -> MutexGuard<'_, Place> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn reset(why: ResetReason, head: u64) -> Frame {
    let reset = Outgoing::Reset {
        room: None,
        why,
        head: Some(head),
    };
    reset.frame()
}
