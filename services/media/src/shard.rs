//! One thread that carries packets: its UDP port, its peers, no locks. Datagrams are taken and sent many at a time; for
//! one receiver, equal ones go out as one message that the kernel cuts (`UDP_SEGMENT`).

use std::{
    collections::VecDeque,
    io::{self, IoSliceMut},
    net::SocketAddr,
    time::Instant,
};

use anyhow::Context;
use quinn_udp::{BATCH_SIZE, RecvMeta, Transmit, UdpSocketState};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::{
    io::Interest,
    net::UdpSocket,
    sync::{mpsc, oneshot},
    time::sleep_until,
};
use veza_events::{ParticipantId, RoomId, TrackId};
use veza_platform::config::MediaConfig;

use crate::{
    core::{Answered, Core, Datagram, News, OfferError, PatchError, Patched, Publish, Setup, Wishes},
    metrics::ShardMetrics,
};

/// Largest datagram that is taken, with those that the kernel joins (GRO).
const RECEIVE_BYTES: usize = 64 * 1024;
/// Batches that are taken before what came is forwarded: a few hundred packets, so about a millisecond.
const BATCHES: usize = 8;
/// Most bytes of one message that the kernel cuts.
const MAX_GROUP_BYTES: usize = 60_000;
/// Commands that wait for a shard.
const COMMANDS: usize = 1_024;
/// News that wait for whoever listens; those of which only the latest counts are left out beyond.
const NEWS: usize = 4_096;

/// What a shard is asked for.
#[derive(Debug)]
pub(crate) enum Ask {
    Join(RoomId, ParticipantId),
    Leave(ParticipantId),
    Offer(
        ParticipantId,
        String,
        oneshot::Sender<Result<Answered, OfferError>>,
    ),
    Candidate(ParticipantId, String, oneshot::Sender<bool>),
    /// A part of a description, and which connection it is for.
    Patch(
        ParticipantId,
        String,
        Option<String>,
        oneshot::Sender<Result<Patched, PatchError>>,
    ),
    Publish(ParticipantId, Publish),
    Unpublish(ParticipantId, TrackId),
    Mute(RoomId, TrackId, bool),
    Wish(ParticipantId, Wishes),
    /// Carry nothing any more.
    Stop,
}

/// Talks to a shard. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Shard {
    asks: mpsc::Sender<Ask>,
}

/// A shard that has its port and waits for its thread.
pub(crate) struct Unstarted {
    socket: std::net::UdpSocket,
    core: Core,
    asks: mpsc::Receiver<Ask>,
    news: mpsc::Sender<News>,
    metrics: ShardMetrics,
}

/// Binds the port of shard `n`. Gives its ends, and the addresses at which it can be reached.
pub(crate) fn bind(
    config: &MediaConfig,
    n: usize,
    news: mpsc::Sender<News>,
    metrics: ShardMetrics,
) -> anyhow::Result<(Shard, Unstarted, Vec<SocketAddr>)> {
    let mut listen: SocketAddr = config.listen.parse().context("reading media.listen")?;
    if listen.port() != 0 {
        let port = usize::from(listen.port()) + n;
        listen.set_port(u16::try_from(port).context("media.listen leaves no ports for all shards")?);
    }
    let socket = Socket::new(Domain::for_address(listen), Type::DGRAM, Some(Protocol::UDP))?;
    // The system gives as much as it allows; 208 KiB, its usual default, loses packets of a single keyframe.
    socket.set_recv_buffer_size(config.receive_buffer_bytes).ok();
    socket.set_send_buffer_size(config.send_buffer_bytes).ok();
    socket.set_nonblocking(true)?;
    socket
        .bind(&listen.into())
        .with_context(|| format!("listening on media.listen, {listen}"))?;
    let socket: std::net::UdpSocket = socket.into();
    let addresses = reachable(config, socket.local_addr()?)?;
    let setup = Setup::new(addresses.clone(), config.initial_bitrate)?;
    let (sender, asks) = mpsc::channel(COMMANDS);
    let core = Core::new(setup, now());
    let unstarted = Unstarted {
        socket,
        core,
        asks,
        news,
        metrics,
    };
    Ok((Shard { asks: sender }, unstarted, addresses))
}

/// The addresses that clients are told.
fn reachable(config: &MediaConfig, bound: SocketAddr) -> anyhow::Result<Vec<SocketAddr>> {
    let port = bound.port();
    if !config.public_addresses.is_empty() {
        let parsed = config.public_addresses.iter().map(|ip| {
            let ip = ip.parse().context("reading media.public_addresses")?;
            Ok(SocketAddr::new(ip, port))
        });
        return parsed.collect();
    }
    if !bound.ip().is_unspecified() {
        return Ok(vec![bound]);
    }
    // Sends nothing: the system only says by which of its addresses it would.
    let probe = std::net::UdpSocket::bind("0.0.0.0:0")?;
    let outward = probe
        .connect("192.0.2.1:9")
        .and_then(|()| probe.local_addr())
        .map_or_else(|_| [127, 0, 0, 1].into(), |address| address.ip());
    Ok(vec![SocketAddr::new(outward, port)])
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

impl Shard {
    /// Asks; `false` when the shard is gone.
    pub(crate) async fn ask(&self, ask: Ask) -> bool {
        self.asks.send(ask).await.is_ok()
    }
}

impl Unstarted {
    /// Carries packets until it is told to stop. Takes a thread of its own.
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("starting the thread of a shard")?;
        runtime.block_on(async move {
            let socket = UdpSocket::from_std(self.socket)?;
            let state = UdpSocketState::new((&socket).into())?;
            let running = Running {
                buffers: vec![0; RECEIVE_BYTES * BATCH_SIZE],
                group: Vec::with_capacity(MAX_GROUP_BYTES),
                backlog: VecDeque::new(),
                socket,
                state,
                core: self.core,
                asks: self.asks,
                news: self.news,
                metrics: self.metrics,
            };
            running.run().await;
            Ok(())
        })
    }
}

struct Running {
    socket: UdpSocket,
    state: UdpSocketState,
    core: Core,
    asks: mpsc::Receiver<Ask>,
    news: mpsc::Sender<News>,
    metrics: ShardMetrics,
    buffers: Vec<u8>,
    group: Vec<u8>,
    backlog: VecDeque<News>,
}

impl Running {
    async fn run(mut self) {
        loop {
            let due = tokio::time::Instant::from_std(self.core.due());
            tokio::select! {
                biased;
                ask = self.asks.recv() => match ask {
                    Some(Ask::Stop) | None => break,
                    Some(ask) => self.take(ask),
                },
                _ = self.socket.readable() => self.receive(),
                () = sleep_until(due) => {}
            }
            self.core.turn(now());
            self.send();
            self.tell();
        }
        // Everybody was told goodbye.
        self.send();
    }

    fn take(&mut self, ask: Ask) {
        let (now, core) = (now(), &mut self.core);
        match ask {
            Ask::Join(room, participant) => core.join(now, room, participant),
            Ask::Leave(participant) => core.leave(participant),
            // Who does not wait for the answer any more does not need it.
            Ask::Offer(participant, sdp, answer) => {
                answer.send(core.offer(now, participant, &sdp)).ok();
            }
            Ask::Candidate(participant, text, answer) => {
                answer.send(core.candidate(now, participant, &text)).ok();
            }
            Ask::Patch(participant, part, connection, answer) => {
                let patched = core.patch(now, participant, &part, connection.as_deref());
                answer.send(patched).ok();
            }
            Ask::Publish(participant, publish) => {
                core.publish(participant, &publish);
            }
            Ask::Unpublish(participant, track) => core.unpublish(participant, track),
            Ask::Mute(room, track, muted) => core.mute(room, track, muted),
            Ask::Wish(participant, wishes) => core.wish(participant, wishes),
            Ask::Stop => {}
        }
    }

    /// Takes what has come, up to a few batches.
    fn receive(&mut self) {
        let Self {
            socket,
            state,
            core,
            buffers,
            ..
        } = self;
        let mut metas = [RecvMeta::default(); BATCH_SIZE];
        for _ in 0..BATCHES {
            let taken = {
                let mut chunks = buffers.chunks_mut(RECEIVE_BYTES);
                let mut slices: [IoSliceMut<'_>; BATCH_SIZE] =
                    std::array::from_fn(|_| IoSliceMut::new(chunks.next().unwrap_or_default()));
                socket.try_io(Interest::READABLE, || {
                    state.recv((&*socket).into(), &mut slices, &mut metas)
                })
            };
            let Ok(taken) = taken else { return };
            let now = now();
            for (meta, chunk) in metas.iter().zip(buffers.chunks(RECEIVE_BYTES)).take(taken) {
                for datagram in chunk[..meta.len].chunks(meta.stride.max(1)) {
                    core.receive(now, meta.addr, datagram);
                }
            }
        }
    }

    /// Sends what is to be sent, in groups of one receiver and one size.
    fn send(&mut self) {
        let datagrams = self.core.take_datagrams();
        let most = self.state.max_gso_segments().max(1);
        let mut from = 0;
        while from < datagrams.len() {
            let count = group(&datagrams[from..], most);
            self.send_group(&datagrams[from..from + count]);
            from += count;
        }
        self.metrics.carried(self.core.carried, self.core.len());
    }

    fn send_group(&mut self, datagrams: &[Datagram]) {
        let Some(first) = datagrams.first() else { return };
        let contents = if datagrams.len() == 1 {
            &first.bytes[..]
        } else {
            self.group.clear();
            for datagram in datagrams {
                self.group.extend_from_slice(&datagram.bytes);
            }
            &self.group[..]
        };
        let message = Transmit {
            destination: first.to,
            ecn: None,
            contents,
            segment_size: (datagrams.len() > 1).then_some(first.bytes.len()),
            src_ip: None,
        };
        let outcome = self.state.try_send((&self.socket).into(), &message);
        self.metrics.sent(datagrams.len(), outcome.is_ok());
        match outcome {
            // What the system has no room for is lost, as on any link; receivers ask for it again.
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => {
                tracing::debug!(%error, "datagrams could not be sent");
            }
            Ok(()) | Err(_) => {}
        }
    }

    /// Tells what there is, without ever waiting for who listens.
    fn tell(&mut self) {
        let full = self.backlog.len() >= NEWS;
        for news in self.core.take_news() {
            match news {
                News::Slots(..) | News::Speakers(..) if full => {}
                news => self.backlog.push_back(news),
            }
        }
        while let Some(news) = self.backlog.pop_front() {
            if let Err(error) = self.news.try_send(news) {
                self.backlog.push_front(error.into_inner());
                return;
            }
        }
    }
}

/// How many datagrams from the first on can go as one message: of one receiver and one size, the last may be smaller.
fn group(datagrams: &[Datagram], most: usize) -> usize {
    let Some(first) = datagrams.first() else { return 0 };
    let (size, mut bytes) = (first.bytes.len(), 0);
    for (count, datagram) in datagrams.iter().enumerate() {
        bytes += datagram.bytes.len();
        if count == most || datagram.to != first.to || datagram.bytes.len() > size || bytes > MAX_GROUP_BYTES
        {
            return count.max(1);
        }
        if datagram.bytes.len() < size {
            return count + 1;
        }
    }
    datagrams.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn datagrams(all: &[(u8, usize)]) -> Vec<Datagram> {
        let of = |(to, size): &(u8, usize)| Datagram {
            to: SocketAddr::from(([10, 0, 0, *to], 1)),
            bytes: vec![0; *size],
        };
        all.iter().map(of).collect()
    }

    #[test]
    fn what_goes_to_one_receiver_and_is_equal_goes_together() {
        for (all, most, first) in [
            (&[(1, 100), (1, 100), (1, 50), (1, 50)][..], 64, 3),
            (&[(1, 100), (1, 101)], 64, 1),
            (&[(1, 100), (2, 100)], 64, 1),
            (&[(1, 100), (1, 100), (1, 100)], 2, 2),
            (&[(1, 40_000), (1, 40_000)], 64, 1),
            (&[(1, 70_000)], 64, 1),
            (&[], 64, 0),
        ] {
            assert_eq!(group(&datagrams(all), most), first, "{all:?}");
        }
    }
}
