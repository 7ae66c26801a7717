//! One peer connection: the only place that knows `str0m`'s `Rtc`. Time and datagrams are inputs.
//!
//! `Rtc` wants every change to be drained before the next; only writes may be gathered, and are by [`Session::write`],
//! which [`Session::flush`] follows.

use std::{
    collections::HashMap,
    net::SocketAddr,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Instant,
};

use str0m::{
    Candidate, Event, IceConnectionState, Input, Output, Rtc,
    bwe::{Bitrate, BweKind},
    change::SdpOffer,
    config::DtlsCert,
    crypto::CryptoProvider,
    media::{KeyframeRequestKind, MediaKind, Mid, Pt, Rid},
    net::{Protocol, Receive},
    rtp::{RtpPacket, RtpWrite, Ssrc},
};

use super::format::{Format, fits};

/// Candidates of the other side that are taken; none is needed by who can reach us.
const MAX_CANDIDATES: usize = 64;
/// Streams of one session that are remembered.
const MAX_SOURCES: usize = 64;

/// A datagram to be sent.
#[derive(Debug)]
pub(crate) struct Datagram {
    pub(crate) to: SocketAddr,
    pub(crate) bytes: Vec<u8>,
}

/// What a connection tells.
#[derive(Debug)]
pub(crate) enum Told {
    /// Media can flow.
    Connected,
    /// It is over: closed by the other side, silent for too long, or broken.
    Gone,
    /// A packet came in.
    Packet(Box<Incoming>),
    /// The other side cannot show what it gets through this slot, until a picture that stands alone.
    KeyframeWanted(Mid),
    /// How many bits per second get through.
    Budget(u64),
}

/// A packet, and where in the session it belongs.
#[derive(Debug)]
pub(crate) struct Incoming {
    pub(crate) mid: Mid,
    pub(crate) rid: Option<Rid>,
    pub(crate) format: Format,
    pub(crate) packet: RtpPacket,
}

/// How something goes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Way {
    pub(crate) ssrc: Ssrc,
    pub(crate) pt: Pt,
    /// For sound that brings what was before once more; `None` when the other side does not take that.
    pub(crate) red: Option<Pt>,
}

/// One m-line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) mid: Mid,
    pub(crate) is_audio: bool,
    /// The other side sends here.
    pub(crate) takes: bool,
    /// The other side wants to get something here.
    pub(crate) gives: bool,
}

/// What all sessions of a worker have in common.
#[derive(Clone)]
pub(crate) struct Setup {
    crypto: Arc<CryptoProvider>,
    certificate: DtlsCert,
    /// Addresses at which the worker can be reached.
    pub(crate) addresses: Vec<SocketAddr>,
    /// Bits per second that are assumed before anything is known.
    pub(crate) initial_bitrate: u64,
}

impl Setup {
    /// Makes the certificate of this worker.
    pub(crate) fn new(addresses: Vec<SocketAddr>, initial_bitrate: u64) -> anyhow::Result<Self> {
        let crypto = str0m::crypto::from_feature_flags();
        let certificate = crypto
            .dtls_provider
            .generate_certificate()
            .ok_or_else(|| anyhow::anyhow!("no certificate could be made for DTLS"))?;
        Ok(Self {
            crypto: Arc::new(crypto),
            certificate,
            addresses,
            initial_bitrate,
        })
    }

    #[cfg(test)]
    pub(crate) fn crypto(&self) -> &Arc<CryptoProvider> {
        &self.crypto
    }
}

/// Why an offer cannot be answered.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct BadOffer(String);

impl BadOffer {
    pub(crate) fn new(what: &str) -> Self {
        Self(what.to_owned())
    }
}

/// One peer connection.
pub(crate) struct Session {
    rtc: Rtc,
    /// Address under which the other side reaches us.
    local: SocketAddr,
    /// The offer that was answered last.
    offer: String,
    /// Candidates that were taken since.
    candidates: usize,
    /// M-lines in the order of the offer.
    lines: Vec<Line>,
    /// Where streams belong that have come in.
    sources: HashMap<Ssrc, (Mid, Option<Rid>)>,
    is_over: bool,
}

impl Session {
    pub(crate) fn new(setup: &Setup, now: Instant) -> Self {
        let mut rtc = Rtc::builder()
            .set_crypto_provider(Arc::clone(&setup.crypto))
            .set_dtls_cert(setup.certificate.clone())
            .set_ice_lite(true)
            .set_rtp_mode(true)
            .clear_codecs()
            .enable_opus(true, true)
            .enable_g722(true, false)
            .enable_pcmu(true, false)
            .enable_pcma(true, false)
            .enable_vp8(true)
            .enable_vp9(true)
            .enable_h264(true)
            .enable_av1(true)
            .enable_h265(true)
            .enable_bwe(Some(Bitrate::bps(setup.initial_bitrate)))
            .build(now);
        for address in &setup.addresses {
            if let Ok(candidate) = Candidate::host(*address, Protocol::Udp) {
                rtc.add_local_candidate(candidate);
            }
        }
        let local = setup.addresses.first().copied();
        Self {
            rtc,
            local: local.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 9))),
            offer: String::new(),
            candidates: 0,
            lines: Vec::new(),
            sources: HashMap::new(),
            is_over: false,
        }
    }

    /// The name by which the other side's first packets name this session.
    pub(crate) fn ufrag(&mut self) -> String {
        self.rtc.direct_api().local_ice_credentials().ufrag
    }

    /// Answers an offer. What it tells comes with the next [`Self::flush`].
    pub(crate) fn offer(&mut self, sdp: &str) -> Result<String, BadOffer> {
        let offer = SdpOffer::from_sdp_string(sdp).map_err(|error| BadOffer(error.to_string()))?;
        let accept = || self.rtc.sdp_api().accept_offer(offer);
        let answer = catch_unwind(AssertUnwindSafe(accept)).map_err(|_| {
            self.is_over = true;
            BadOffer("the offer cannot be answered".to_owned())
        })?;
        let answer = answer
            .map_err(|error| BadOffer(error.to_string()))?
            .to_sdp_string();
        sdp.clone_into(&mut self.offer);
        self.candidates = 0;
        // The `Rtc` tells of its lines only once media can flow, which is too late to say what comes through which.
        self.lines = answer
            .lines()
            .filter_map(|line| line.strip_prefix("a=mid:"))
            .filter_map(|mid| self.line(Mid::from(mid.trim())))
            .collect();
        Ok(answer)
    }

    /// Takes a candidate of the other side; needed by nobody who can reach us, and therefore only looked at.
    pub(crate) fn candidate(&mut self, text: &str) -> bool {
        match Candidate::from_sdp_string(text) {
            Ok(candidate) => {
                self.candidates += 1;
                if self.candidates <= MAX_CANDIDATES {
                    self.rtc.add_remote_candidate(candidate);
                }
                true
            }
            Err(_) => false,
        }
    }

    /// The offer that was answered last.
    pub(crate) fn offered(&self) -> &str {
        &self.offer
    }

    /// The m-lines that are known.
    pub(crate) fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// Whether a datagram from an unknown address is one of this session's: proven by its checksum.
    pub(crate) fn accepts(&self, now: Instant, from: SocketAddr, bytes: &[u8]) -> bool {
        let received = Receive::new(Protocol::Udp, from, self.local, bytes);
        received.is_ok_and(|received| self.rtc.accepts(&Input::Receive(now, received)))
    }

    /// Takes a datagram in, and everything that comes of it out.
    pub(crate) fn receive(
        &mut self,
        now: Instant,
        from: SocketAddr,
        bytes: &[u8],
        out: &mut Out<'_>,
    ) -> Option<Instant> {
        let local = self.local;
        let Ok(received) = Receive::new(Protocol::Udp, from, local, bytes) else {
            return Some(now);
        };
        self.drive(Some(Input::Receive(now, received)), out)
    }

    /// Lets time pass, and everything that was written go out. Returns when to come again; `None` when it is over.
    pub(crate) fn flush(&mut self, now: Instant, out: &mut Out<'_>) -> Option<Instant> {
        self.drive(Some(Input::Timeout(now)), out)
    }

    /// Says goodbye.
    pub(crate) fn close(&mut self, out: &mut Out<'_>) {
        let close = || self.rtc.close();
        if !self.is_over && catch_unwind(AssertUnwindSafe(close)).is_ok() {
            self.drive(None, out);
        }
        self.is_over = true;
    }

    /// A defect of one session must not take the others with it.
    fn drive(&mut self, input: Option<Input<'_>>, out: &mut Out<'_>) -> Option<Instant> {
        if self.is_over {
            return None;
        }
        let driven = catch_unwind(AssertUnwindSafe(|| self.drain(input, out)));
        match driven {
            Ok(Ok(next)) if self.rtc.is_alive() => return Some(next),
            Ok(Ok(_)) => {}
            Ok(Err(error)) => tracing::debug!(%error, "a connection broke"),
            Err(_) => tracing::error!("a connection ended by a defect"),
        }
        self.is_over = true;
        out.told.push(Told::Gone);
        None
    }

    fn drain(&mut self, input: Option<Input<'_>>, out: &mut Out<'_>) -> Result<Instant, str0m::RtcError> {
        if let Some(input) = input {
            self.rtc.handle_input(input)?;
        }
        loop {
            match self.rtc.poll_output()? {
                Output::Timeout(next) => return Ok(next),
                Output::Transmit(datagram) => out.datagrams.push(Datagram {
                    to: datagram.destination,
                    bytes: datagram.contents.into(),
                }),
                Output::Event(event) => self.tell(event, out.told),
            }
        }
    }

    fn tell(&mut self, event: Event, told: &mut Vec<Told>) {
        match event {
            Event::Connected => told.push(Told::Connected),
            Event::IceConnectionStateChange(IceConnectionState::Disconnected) | Event::Closed => {
                told.push(Told::Gone);
            }
            Event::RtpPacket(packet) => {
                let pt = packet.header.payload_type;
                if let (Some((mid, rid)), Some(format)) =
                    (self.source_of(packet.header.ssrc), self.format_of(pt))
                {
                    told.push(Told::Packet(Box::new(Incoming {
                        mid,
                        rid,
                        format,
                        packet,
                    })));
                }
            }
            Event::KeyframeRequest(wanted) => told.push(Told::KeyframeWanted(wanted.mid)),
            Event::EgressBitrateEstimate(BweKind::Twcc { estimate, .. }) => {
                told.push(Told::Budget(estimate.as_u64()));
            }
            // What else there is does not concern a forwarder.
            _ => {}
        }
    }

    fn line(&self, mid: Mid) -> Option<Line> {
        let media = self.rtc.media(mid)?;
        let direction = media.direction();
        Some(Line {
            mid,
            is_audio: media.kind() == MediaKind::Audio,
            takes: direction.is_receiving(),
            gives: direction.is_sending(),
        })
    }

    /// Looked up once: asking the `Rtc` makes it look through everything again.
    fn source_of(&mut self, ssrc: Ssrc) -> Option<(Mid, Option<Rid>)> {
        if let Some(known) = self.sources.get(&ssrc) {
            return Some(*known);
        }
        let mut api = self.rtc.direct_api();
        let stream = api.stream_rx(&ssrc)?;
        let source = (stream.mid(), stream.rid());
        if self.sources.len() >= MAX_SOURCES {
            self.sources.clear();
        }
        self.sources.insert(ssrc, source);
        Some(source)
    }

    fn format_of(&self, pt: Pt) -> Option<Format> {
        let mut known = self.rtc.codec_config().iter();
        let params = known.find(|params| params.pt() == pt || params.red() == Some(pt))?;
        Some(Format {
            spec: params.spec(),
            pt: params.pt(),
            is_red: params.pt() != pt,
        })
    }

    /// What to send through an m-line that is coded so; `None` when the other side cannot take it.
    pub(crate) fn way_out(&mut self, mid: Mid, format: Format) -> Option<Way> {
        let remote = self.rtc.media(mid)?.remote_pts();
        let params = self.rtc.codec_config().iter();
        let (_, params) = params
            .filter(|params| remote.contains(&params.pt()))
            .filter_map(|params| Some((fits(&format.spec, &params.spec())?, params)))
            .min_by_key(|(rank, _)| *rank)?;
        let (pt, red) = (params.pt(), params.red());
        let ssrc = self.rtc.direct_api().stream_tx_by_mid(mid, None)?.ssrc();
        // Sound that comes twice names its codec within, by the number that its sender has for it.
        let red = red.filter(|_| pt == format.pt);
        Some(Way { ssrc, pt, red })
    }

    /// Takes a packet to go out with the next [`Self::flush`].
    pub(crate) fn write(&mut self, ssrc: Ssrc, packet: RtpWrite) {
        if let Some(stream) = self.rtc.direct_api().stream_tx(&ssrc) {
            stream.write_rtp(packet);
        }
    }

    /// Asks for a picture that stands alone; goes out with the next [`Self::flush`].
    pub(crate) fn ask_keyframe(&mut self, mid: Mid, rid: Option<Rid>) {
        if let Some(stream) = self.rtc.direct_api().stream_rx_by_mid(mid, rid) {
            stream.request_keyframe(KeyframeRequestKind::Pli);
        }
    }

    /// Says how many bits per second are sent at least if possible, and how many would be sent if all got through.
    pub(crate) fn want_bitrate(&mut self, current: u64, desired: u64) {
        let (current, desired) = (Bitrate::bps(current), Bitrate::bps(desired));
        self.rtc.bwe().set_bitrate(current, desired);
    }
}

/// Where a session puts what comes out of it.
pub(crate) struct Out<'a> {
    pub(crate) datagrams: &'a mut Vec<Datagram>,
    pub(crate) told: &'a mut Vec<Told>,
}
