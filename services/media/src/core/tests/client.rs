//! The other end: what a browser does, with pictures and sound that are numbers.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use str0m::{
    Candidate, Event, Input, Output, Rtc,
    change::SdpPendingOffer,
    format::Codec,
    media::{Direction, Frequency, MediaKind, MediaTime, Mid, Rid, Simulcast, SimulcastLayer},
    net::{Protocol, Receive},
};
use veza_events::{ParticipantId, TrackId};

use super::super::session::Setup;

/// A picture is sent this often.
pub(super) const PICTURE: Duration = Duration::from_millis(33);
const SOUND: Duration = Duration::from_millis(20);
/// Bytes of one picture of each layer: about 100, 400 and 1,200 kbit/s.
pub(super) const LAYERS: [(&str, usize); 3] = [("q", 410), ("h", 1_650), ("f", 5_000)];
/// A picture that stands alone is this much larger.
const KEYFRAME: usize = 4;

/// What came in through one line.
#[derive(Clone, Debug, Default)]
pub(super) struct Got {
    /// When, and how large.
    pub(super) frames: Vec<(Instant, usize)>,
    /// Frames before which one was missing.
    pub(super) gaps: usize,
}

impl Got {
    pub(super) fn between(&self, from: Instant, to: Instant) -> Vec<usize> {
        let within = self.frames.iter().filter(|(at, _)| *at >= from && *at < to);
        within.map(|(_, size)| *size).collect()
    }

    /// Longest time without any, from the first on.
    pub(super) fn longest_pause(&self) -> Duration {
        let pairs = self.frames.windows(2);
        pairs
            .map(|pair| pair[1].0 - pair[0].0)
            .max()
            .unwrap_or(Duration::MAX)
    }
}

pub(super) struct Client {
    pub(super) rtc: Rtc,
    pub(super) address: SocketAddr,
    pub(super) participant: ParticipantId,
    pub(super) voice: TrackId,
    pub(super) face: TrackId,
    pub(super) sound: Mid,
    pub(super) picture: Mid,
    pub(super) got: HashMap<Mid, Got>,
    /// How loud it is.
    pub(super) level: i8,
    /// Requests for pictures that stand alone that came in.
    pub(super) keyframes_wanted: usize,
    pub(super) connected: Option<Instant>,
    pub(super) due: Instant,
    simulcast: bool,
    /// Layers whose next picture stands alone.
    fresh: Vec<bool>,
    next_sound: Instant,
    next_picture: Instant,
    began: Instant,
    count: u8,
}

impl Client {
    pub(super) fn new(setup: &Setup, n: u8, now: Instant, simulcast: bool) -> Self {
        let address = SocketAddr::from(([10, 0, 0, n], 5_000));
        let mut rtc = Rtc::builder()
            .set_crypto_provider(Arc::clone(setup.crypto()))
            .clear_codecs()
            .enable_opus(true, false)
            .enable_vp8(true)
            .set_reordering_size_audio(0)
            .build(now);
        rtc.add_local_candidate(Candidate::host(address, Protocol::Udp).unwrap());
        let id = |what: u128| uuid::Uuid::from_u128(u128::from(n) << 8 | what);
        Self {
            rtc,
            address,
            participant: id(1).into(),
            voice: id(2).into(),
            face: id(3).into(),
            sound: Mid::from("none"),
            picture: Mid::from("none"),
            got: HashMap::new(),
            level: -30,
            keyframes_wanted: 0,
            connected: None,
            due: now,
            simulcast,
            fresh: vec![true; LAYERS.len()],
            next_sound: now,
            next_picture: now,
            began: now,
            count: 0,
        }
    }

    /// Offers its sound and picture, and lines to get others through.
    pub(super) fn offer(&mut self, sounds: usize, pictures: usize) -> (String, SdpPendingOffer) {
        let simulcast = self.simulcast.then(|| {
            let mut simulcast = Simulcast::new();
            for (rid, _) in LAYERS {
                simulcast.add_send_layer(SimulcastLayer::new(rid));
            }
            simulcast
        });
        let mut api = self.rtc.sdp_api();
        self.sound = api.add_media(MediaKind::Audio, Direction::SendOnly, None, None, None);
        self.picture = api.add_media(MediaKind::Video, Direction::SendOnly, None, None, simulcast);
        for _ in 0..sounds {
            api.add_media(MediaKind::Audio, Direction::RecvOnly, None, None, None);
        }
        for _ in 0..pictures {
            api.add_media(MediaKind::Video, Direction::RecvOnly, None, None, None);
        }
        let (offer, pending) = api.apply().unwrap();
        (offer.to_sdp_string(), pending)
    }

    pub(super) fn layers(&self) -> Vec<String> {
        let names = LAYERS.iter().map(|(name, _)| (*name).to_owned());
        if self.simulcast {
            names.collect()
        } else {
            Vec::new()
        }
    }

    pub(super) fn receive(&mut self, now: Instant, from: SocketAddr, bytes: &[u8], out: &mut Vec<Vec<u8>>) {
        let received = Receive::new(Protocol::Udp, from, self.address, bytes).unwrap();
        self.rtc.handle_input(Input::Receive(now, received)).unwrap();
        self.drain(now, out);
    }

    /// Lets time pass, and says and shows what is due.
    pub(super) fn turn(&mut self, now: Instant, out: &mut Vec<Vec<u8>>) {
        if self.due <= now {
            self.rtc.handle_input(Input::Timeout(now)).unwrap();
            self.drain(now, out);
        }
        if self.connected.is_none() {
            return;
        }
        let elapsed = u64::try_from((now - self.began).as_micros()).unwrap();
        if self.next_sound <= now {
            self.next_sound = now + SOUND;
            let (sound, level) = (self.sound, self.level);
            let pt = self.pt(Codec::Opus);
            let time = MediaTime::new(elapsed * 48 / 1_000, Frequency::FORTY_EIGHT_KHZ);
            let writer = self.rtc.writer(sound).unwrap().audio_level(level, level > -50);
            writer.write(pt, now, time, vec![7; 80]).unwrap();
            self.drain(now, out);
        }
        if self.next_picture <= now {
            self.next_picture = now + PICTURE;
            self.show(now, MediaTime::from_90khz(elapsed * 9 / 100), out);
        }
    }

    fn show(&mut self, now: Instant, time: MediaTime, out: &mut Vec<Vec<u8>>) {
        let pt = self.pt(Codec::Vp8);
        self.count = self.count.wrapping_add(1);
        let layers = if self.simulcast { LAYERS.len() } else { 1 };
        for (layer, (rid, size)) in LAYERS.into_iter().enumerate().take(layers) {
            let stands_alone = std::mem::take(&mut self.fresh[layer]);
            // The lowest bit of the first byte says whether a picture of VP8 leans on others.
            let mut picture =
                vec![u8::from(!stands_alone); if stands_alone { size * KEYFRAME } else { size }];
            picture[1] = self.count;
            let mut writer = self.rtc.writer(self.picture).unwrap();
            if self.simulcast {
                writer = writer.rid(Rid::from(rid));
            }
            writer.write(pt, now, time, picture).unwrap();
            self.drain(now, out);
        }
    }

    fn pt(&self, codec: Codec) -> str0m::media::Pt {
        let params = self
            .rtc
            .codec_config()
            .find(|params| params.spec().codec == codec);
        params.unwrap().pt()
    }

    pub(super) fn drain(&mut self, now: Instant, out: &mut Vec<Vec<u8>>) {
        loop {
            match self.rtc.poll_output().unwrap() {
                Output::Timeout(due) => {
                    self.due = due;
                    return;
                }
                Output::Transmit(datagram) => out.push(datagram.contents.into()),
                Output::Event(Event::Connected) => self.connected = Some(now),
                Output::Event(Event::MediaData(data)) => {
                    let got = self.got.entry(data.mid).or_default();
                    got.frames.push((now, data.data.len()));
                    got.gaps += usize::from(!data.contiguous);
                }
                Output::Event(Event::KeyframeRequest(wanted)) => {
                    self.keyframes_wanted += 1;
                    for (layer, (rid, _)) in LAYERS.iter().enumerate() {
                        if wanted.rid.is_none_or(|wanted| wanted == Rid::from(*rid)) {
                            self.fresh[layer] = true;
                        }
                    }
                }
                Output::Event(_) => {}
            }
        }
    }
}
