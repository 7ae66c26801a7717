//! A network: datagrams take their time, get lost, and wait where a link is narrow. The same in every run.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    net::SocketAddr,
    time::{Duration, Instant},
};

/// How a link is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Link {
    pub(super) delay: Duration,
    pub(super) jitter: Duration,
    /// Of a thousand datagrams.
    pub(super) lost: u64,
    /// Bits per second; 0 is as many as there are.
    pub(super) rate: u64,
}

impl Link {
    pub(super) const GOOD: Self = Self {
        delay: Duration::from_millis(20),
        jitter: Duration::ZERO,
        lost: 0,
        rate: 0,
    };

    pub(super) const fn losing(lost: u64) -> Self {
        Self {
            lost,
            jitter: Duration::from_millis(10),
            ..Self::GOOD
        }
    }
}

/// What waits at a narrow link at most; more is lost.
const QUEUE: Duration = Duration::from_millis(300);

/// One direction between two ends.
#[derive(Debug)]
pub(super) struct Wire {
    pub(super) link: Link,
    free: Option<Instant>,
}

impl Wire {
    pub(super) fn new(link: Link) -> Self {
        Self { link, free: None }
    }
}

/// A datagram on its way.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Flying {
    pub(super) at: Instant,
    order: u64,
    pub(super) from: SocketAddr,
    pub(super) to: SocketAddr,
    pub(super) bytes: Vec<u8>,
}

/// All that is on its way.
#[derive(Debug)]
pub(super) struct Net {
    flying: BinaryHeap<Reverse<Flying>>,
    order: u64,
    dice: u64,
}

impl Net {
    pub(super) fn new() -> Self {
        Self {
            flying: BinaryHeap::new(),
            order: 0,
            dice: 0x9e37_79b9_7f4a_7c15,
        }
    }

    fn throw(&mut self) -> u64 {
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        self.dice
    }

    pub(super) fn send(
        &mut self,
        now: Instant,
        wire: &mut Wire,
        from: SocketAddr,
        to: SocketAddr,
        bytes: Vec<u8>,
    ) {
        if self.throw() % 1_000 < wire.link.lost {
            return;
        }
        let mut at = now;
        if let Some(nanos) = (bytes.len() as u64 * 8_000_000_000).checked_div(wire.link.rate) {
            let begin = wire.free.map_or(now, |free| free.max(now));
            if begin.saturating_duration_since(now) > QUEUE {
                return;
            }
            at = begin + Duration::from_nanos(nanos);
            wire.free = Some(at);
        }
        let jitter = u64::try_from(wire.link.jitter.as_micros()).unwrap();
        let more = Duration::from_micros(self.throw() % (jitter + 1));
        self.order += 1;
        self.flying.push(Reverse(Flying {
            at: at + wire.link.delay + more,
            order: self.order,
            from,
            to,
            bytes,
        }));
    }

    /// The next that has arrived.
    pub(super) fn arrived(&mut self, now: Instant) -> Option<Flying> {
        let Reverse(next) = self.flying.peek()?;
        if next.at > now {
            return None;
        }
        self.flying.pop().map(|Reverse(next)| next)
    }
}
