//! The other end: what a browser does, with pictures and sound that are numbers.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use str0m::{
    Candidate, Event, Input, Output, Rtc,
    change::{SdpAnswer, SdpPendingOffer},
    format::Codec,
    media::{
        Direction, Frequency, KeyframeRequestKind, MediaKind, MediaTime, Mid, Rid, Simulcast, SimulcastLayer,
    },
    net::{Protocol, Receive},
};
use veza_events::{ParticipantId, TrackId};

use super::super::session::Setup;

/// A picture is sent this often.
pub(super) const PICTURE: Duration = Duration::from_millis(33);
const SOUND: Duration = Duration::from_millis(20);
/// Who has seen nothing for this long asks for a picture that stands alone.
const FROZEN: Duration = Duration::from_millis(500);
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
    codec: Codec,
    simulcast: bool,
    /// Layers whose next picture stands alone.
    fresh: Vec<bool>,
    next_sound: Instant,
    next_picture: Instant,
    began: Instant,
    count: u8,
    /// Lines through which pictures come, and when one did.
    watched: HashMap<Mid, Instant>,
}

impl Client {
    pub(super) fn new(setup: &Setup, n: u8, now: Instant, simulcast: bool) -> Self {
        Self::of(setup, n, now, simulcast, (Codec::Vp8, false))
    }

    /// One that codes its picture so, and says all twice if it may.
    pub(super) fn of(
        setup: &Setup,
        n: u8,
        now: Instant,
        simulcast: bool,
        (codec, twice): (Codec, bool),
    ) -> Self {
        let address = SocketAddr::from(([10, 0, 0, n], 5_000));
        let mut config = Rtc::builder()
            .set_crypto_provider(Arc::clone(setup.crypto()))
            .clear_codecs()
            .enable_opus(true, twice)
            .set_reordering_size_audio(0);
        let defaults = str0m::format::CodecConfig::new_with_defaults();
        let of_codec = defaults.iter().filter(|params| params.spec().codec == codec);
        for params in of_codec {
            let spec = params.spec();
            config.codec_config().add_config(
                params.pt(),
                params.resend(),
                spec.codec,
                spec.clock_rate,
                spec.channels,
                spec.format,
            );
        }
        let mut rtc = config.build(now);
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
            codec,
            simulcast,
            fresh: vec![true; LAYERS.len()],
            next_sound: now,
            next_picture: now,
            began: now,
            count: 0,
            watched: HashMap::new(),
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

    /// Offers to begin the connection anew, from another address.
    pub(super) fn restart(&mut self, port: u16) -> (String, SdpPendingOffer) {
        self.address.set_port(port);
        let mut api = self.rtc.sdp_api();
        api.ice_restart(false);
        let (offer, pending) = api.apply().unwrap();
        (offer.to_sdp_string(), pending)
    }

    /// Takes the answer to that, which makes it forget where it was.
    pub(super) fn restarted(&mut self, pending: SdpPendingOffer, answer: &str) {
        let answer = SdpAnswer::from_sdp_string(answer).unwrap();
        self.rtc.sdp_api().accept_answer(pending, answer).unwrap();
        let candidate = Candidate::host(self.address, Protocol::Udp).unwrap();
        self.rtc.add_local_candidate(candidate);
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
        self.ask_for_pictures(now);
        if self.next_picture <= now {
            self.next_picture = now + PICTURE;
            self.show(now, MediaTime::from_90khz(elapsed * 9 / 100), out);
        }
    }

    /// What a browser does that sees nothing any more.
    fn ask_for_pictures(&mut self, now: Instant) {
        for (mid, at) in &mut self.watched {
            if now - *at < FROZEN {
                continue;
            }
            *at = now;
            if let Some(mut writer) = self.rtc.writer(*mid) {
                writer.request_keyframe(None, KeyframeRequestKind::Pli).unwrap();
            }
            self.due = now;
        }
    }

    fn show(&mut self, now: Instant, time: MediaTime, out: &mut Vec<Vec<u8>>) {
        let pt = self.pt(self.codec);
        self.count = self.count.wrapping_add(1);
        let layers = if self.simulcast { LAYERS.len() } else { 1 };
        for (layer, (rid, size)) in LAYERS.into_iter().enumerate().take(layers) {
            let stands_alone = std::mem::take(&mut self.fresh[layer]);
            let size = if stands_alone { size * KEYFRAME } else { size };
            let picture = picture(self.codec, stands_alone, size, self.count);
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
                    if data.params.spec().codec.is_video() {
                        self.watched.insert(data.mid, now);
                    }
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

/// A picture that is none, with as much in front as packetizers look at.
fn picture(codec: Codec, stands_alone: bool, size: usize, count: u8) -> Vec<u8> {
    let pick = |alone: &'static [u8], leans: &'static [u8]| if stands_alone { alone } else { leans };
    let front = match codec {
        Codec::Vp8 => pick(&[0], &[1]),
        Codec::Vp9 => pick(&[0x82], &[0x86]),
        Codec::H264 => pick(
            &[
                0, 0, 0, 1, 0x67, 0x42, 0xe0, 0x1f, 0, 0, 0, 1, 0x68, 0xce, 0x3c, 0, 0, 0, 1, 0x65,
            ],
            &[0, 0, 0, 1, 0x41],
        ),
        Codec::H265 => pick(&[0, 0, 0, 1, 0x26, 0x01], &[0, 0, 0, 1, 0x02, 0x01]),
        // A sequence header, then one unit that goes on to the end.
        Codec::Av1 => pick(&[0x0a, 2, 0, 0, 0x30], &[0x30]),
        other => panic!("no pictures are made for {other}"),
    };
    let mut picture = front.to_vec();
    picture.resize(size.max(picture.len()), 0x55);
    *picture.last_mut().unwrap() = count | 0x80;
    picture
}
