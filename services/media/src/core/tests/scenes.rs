use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use uuid::Uuid;
use veza_events::{RoomId, TrackId, call::TrackSource};

use super::{
    super::{Core, News, Publish, SlotView, Wishes, session::Setup},
    client::{Client, Got, LAYERS},
    net::{Link, Net, Wire},
};

pub(super) const ROOM: RoomId = RoomId::new(Uuid::from_u128(1));
const STEP: Duration = Duration::from_millis(1);

/// A room full of people.
pub(super) struct Scene {
    pub(super) core: Core,
    pub(super) server: SocketAddr,
    pub(super) clients: Vec<Client>,
    pub(super) up: Vec<Wire>,
    pub(super) down: Vec<Wire>,
    pub(super) net: Net,
    pub(super) now: Instant,
    pub(super) news: Vec<News>,
}

/// Lines for others' sound and pictures.
pub(super) struct Lines(pub(super) usize, pub(super) usize);

impl Scene {
    pub(super) fn new(people: u8, lines: &Lines, link: Link) -> Self {
        let now = Instant::now();
        let server = SocketAddr::from(([10, 9, 9, 9], 7_000));
        let setup = Setup::new(vec![server], 1_000_000).unwrap();
        let mut scene = Self {
            core: Core::new(setup.clone(), now),
            server,
            clients: Vec::new(),
            up: Vec::new(),
            down: Vec::new(),
            net: Net::new(),
            now,
            news: Vec::new(),
        };
        for n in 1..=people {
            let client = Client::new(&setup, n, now, true);
            scene.enter(client, lines, link);
        }
        scene
    }

    pub(super) fn enter(&mut self, mut client: Client, lines: &Lines, link: Link) {
        let (now, participant) = (self.now, client.participant);
        self.core.join(now, ROOM, participant);
        let (offer, pending) = client.offer(lines.0, lines.1);
        let voice = Publish {
            track: client.voice,
            mid: client.sound.to_string(),
            source: TrackSource::Microphone,
            layers: Vec::new(),
        };
        assert!(!self.core.publish(participant, &voice), "its line has not come");
        let answer = self.core.offer(now, participant, &offer).unwrap();
        let answer = str0m::change::SdpAnswer::from_sdp_string(&answer.sdp).unwrap();
        client.rtc.sdp_api().accept_answer(pending, answer).unwrap();
        let publish = |track: TrackId, mid: str0m::media::Mid, source, layers| Publish {
            track,
            mid: mid.to_string(),
            source,
            layers,
        };
        let face = publish(client.face, client.picture, TrackSource::Camera, client.layers());
        assert!(self.core.publish(participant, &face));
        let again = Publish {
            track: TrackId::new(Uuid::from_u128(7)),
            ..face
        };
        assert!(!self.core.publish(participant, &again), "each line has one track");
        self.clients.push(client);
        self.up.push(Wire::new(link));
        self.down.push(Wire::new(link));
    }

    /// As many seconds before now.
    pub(super) fn ago(&self, seconds: u64) -> Instant {
        let before = self.now.checked_sub(Duration::from_secs(seconds));
        before.expect("the test has run for that long")
    }

    pub(super) fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.now += STEP;
            self.step();
        }
    }

    fn step(&mut self) {
        let now = self.now;
        let mut sent = Vec::new();
        while let Some(flying) = self.net.arrived(now) {
            if flying.to == self.server {
                self.core.receive(now, flying.from, &flying.bytes);
            } else if let Some(n) = self.clients.iter().position(|client| client.address == flying.to) {
                self.clients[n].receive(now, flying.from, &flying.bytes, &mut sent);
                self.send_up(n, &mut sent);
            }
        }
        if self.core.due() <= now || !self.core.inbox.is_empty() {
            self.core.turn(now);
        }
        for n in 0..self.clients.len() {
            self.clients[n].turn(now, &mut sent);
            self.send_up(n, &mut sent);
        }
        for datagram in self.core.take_datagrams() {
            let n = self
                .clients
                .iter()
                .position(|client| client.address.ip() == datagram.to.ip());
            let wire = &mut self.down[n.unwrap()];
            self.net.send(now, wire, self.server, datagram.to, datagram.bytes);
        }
        self.news.extend(self.core.take_news());
    }

    fn send_up(&mut self, n: usize, sent: &mut Vec<Vec<u8>>) {
        for bytes in sent.drain(..) {
            let from = self.clients[n].address;
            self.net.send(self.now, &mut self.up[n], from, self.server, bytes);
        }
    }

    /// What client `n` has now, by kind of line.
    pub(super) fn slots(&self, n: usize) -> Vec<SlotView> {
        let of_n = self.news.iter().rev().find_map(|news| match news {
            News::Slots(_, participant, slots) if *participant == self.clients[n].participant => {
                Some(slots.clone())
            }
            _ => None,
        });
        of_n.unwrap_or_default()
    }

    /// What client `n` got of a track that stayed in one slot.
    pub(super) fn got(&self, n: usize, track: TrackId) -> Got {
        let slot = self.slots(n).into_iter().find(|slot| slot.track == Some(track));
        let mid = slot.expect("the track has a slot").mid;
        let found = self.clients[n].got.iter().find(|(known, _)| ***known == *mid);
        found.map(|(_, got)| got.clone()).unwrap_or_default()
    }

    pub(super) fn layer(&self, n: usize, track: TrackId) -> Option<String> {
        let slots = self.slots(n);
        slots.into_iter().find(|slot| slot.track == Some(track))?.layer
    }
}

pub(super) fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

#[test]
fn two_people_see_and_hear_each_other() {
    let mut scene = Scene::new(2, &Lines(2, 2), Link::GOOD);
    scene.run(seconds(6));
    for (n, other) in [(0, 1), (1, 0)] {
        let other = (scene.clients[other].voice, scene.clients[other].face);
        let heard = scene.got(n, other.0);
        assert!(heard.frames.len() > 250, "{}", heard.frames.len());
        assert!(heard.longest_pause() < Duration::from_millis(100));
        let seen = scene.got(n, other.1);
        assert!(seen.frames.len() > 140, "{}", seen.frames.len());
        assert_eq!(seen.gaps, 0);
        assert_eq!(
            scene.layer(n, other.1).as_deref(),
            Some("f"),
            "on a good link the best layer comes"
        );
    }
    for client in &scene.clients {
        let took = client.connected.unwrap() - scene.ago(6);
        assert!(took < seconds(1), "{took:?}");
    }
}

#[test]
fn what_is_lost_on_the_way_comes_again() {
    for lost in [20, 50, 100] {
        let mut scene = Scene::new(2, &Lines(1, 1), Link::losing(lost));
        scene.run(seconds(10));
        let seen = scene.got(0, scene.clients[1].face);
        let heard = scene.got(0, scene.clients[1].voice);
        let late = scene.ago(5);
        let pictures = seen.between(late, scene.now).len();
        assert!(pictures > 100, "{lost} of 1,000 lost: {pictures} pictures in 5 s");
        let sounds = heard.between(late, scene.now).len();
        let arrived = u64::try_from(sounds).unwrap() * 1_000 / 250;
        // Twice over a link: up and down.
        assert!(
            arrived + 60 > 1_000 - 2 * lost,
            "{lost} of 1,000 lost: {arrived} heard"
        );
    }
}

#[test]
fn on_a_narrow_link_the_picture_falls_a_layer_and_comes_back_and_the_sound_never_stops() {
    let mut scene = Scene::new(2, &Lines(1, 1), Link::GOOD);
    let (voice, face) = (scene.clients[1].voice, scene.clients[1].face);
    scene.run(seconds(6));
    assert_eq!(scene.layer(0, face).as_deref(), Some("f"));
    scene.down[0].link.rate = 450_000;
    scene.run(seconds(14));
    let narrow = scene.layer(0, face);
    assert_eq!(
        narrow.as_deref(),
        Some("q"),
        "400 kbit/s and sound are too much for 450"
    );
    let (from, to) = (scene.ago(4), scene.now);
    let small = scene.got(0, face).between(from, to);
    assert!(small.len() > 80, "{} pictures", small.len());
    scene.down[0].link.rate = 0;
    scene.run(seconds(30));
    assert_eq!(scene.layer(0, face).as_deref(), Some("f"), "what fits comes back");
    let pause = scene.got(0, voice).longest_pause();
    assert!(pause < Duration::from_millis(600), "{pause:?}");
    let late = scene.got(0, face).between(scene.ago(1), scene.now);
    assert!(late.iter().all(|size| *size >= LAYERS[2].1), "{late:?}");
}

#[test]
fn of_many_the_loudest_are_heard() {
    let mut scene = Scene::new(5, &Lines(2, 1), Link::GOOD);
    for (n, level) in [-90, -15, -90, -20, -90].into_iter().enumerate() {
        scene.clients[n].level = level;
    }
    scene.run(seconds(4));
    let mut heard: Vec<_> = scene.slots(0).iter().filter_map(|slot| slot.track).collect();
    heard.retain(|track| scene.clients.iter().any(|client| client.voice == *track));
    heard.sort_unstable();
    assert_eq!(heard, [scene.clients[1].voice, scene.clients[3].voice]);
    let speaking = scene.news.iter().rev().find_map(|news| match news {
        News::Speakers(_, speaking) => Some(speaking.clone()),
        _ => None,
    });
    let mut speaking = speaking.unwrap();
    speaking.sort_unstable();
    assert_eq!(speaking, heard);
    let face = scene
        .slots(4)
        .iter()
        .filter_map(|slot| slot.track)
        .find(|track| scene.clients.iter().any(|client| client.face == *track));
    assert!(
        [scene.clients[1].face, scene.clients[3].face].contains(&face.unwrap()),
        "the one picture is of one who speaks"
    );
}

#[test]
fn who_is_pinned_is_seen_and_who_is_not_on_screen_is_not_sent() {
    let mut scene = Scene::new(4, &Lines(3, 1), Link::GOOD);
    let wanted = scene.clients[2].face;
    let wishes = Wishes {
        pinned: vec![wanted],
        highest: [(wanted, 0)].into(),
        ..Wishes::default()
    };
    scene.core.wish(scene.clients[0].participant, wishes);
    let nothing = Wishes {
        visible: Some(Vec::new()),
        ..Wishes::default()
    };
    scene.core.wish(scene.clients[1].participant, nothing);
    scene.run(seconds(4));
    assert_eq!(
        scene.layer(0, wanted).as_deref(),
        Some("q"),
        "no more than is of use"
    );
    let seen = scene.slots(1).into_iter().filter_map(|slot| slot.track);
    let voices: Vec<_> = scene.clients.iter().map(|client| client.voice).collect();
    assert!(
        seen.into_iter().all(|track| voices.contains(&track)),
        "only sound"
    );
}

#[test]
fn nothing_of_a_muted_or_withdrawn_track_gets_through() {
    let mut scene = Scene::new(2, &Lines(1, 1), Link::GOOD);
    let (voice, face) = (scene.clients[1].voice, scene.clients[1].face);
    scene.run(seconds(3));
    let (heard, seen) = (scene.got(0, voice).frames.len(), scene.got(0, face).frames.len());
    assert!(heard > 50 && seen > 30, "{heard} {seen}");
    scene.core.mute(ROOM, voice, true);
    scene.core.unpublish(scene.clients[1].participant, face);
    scene.run(Duration::from_millis(200));
    let then = scene.now;
    scene.run(seconds(2));
    let after: usize = scene.clients[0]
        .got
        .values()
        .map(|got| got.between(then, scene.now).len())
        .sum();
    assert_eq!(after, 0);
    scene.core.mute(ROOM, voice, false);
    scene.run(seconds(1));
    let again = scene.got(0, voice).between(then, scene.now).len();
    assert!(again > 40, "{again}");
}

#[test]
fn however_many_come_in_one_is_asked_for_few_whole_pictures() {
    let mut scene = Scene::new(1, &Lines(1, 1), Link::GOOD);
    scene.run(seconds(2));
    let before = scene.clients[0].keyframes_wanted;
    let setup = scene.core.setup.clone();
    for n in 2..=9 {
        let client = Client::new(&setup, n, scene.now, true);
        scene.enter(client, &Lines(1, 1), Link::GOOD);
    }
    let pin = Wishes {
        pinned: vec![scene.clients[0].face],
        ..Wishes::default()
    };
    for n in 1..9 {
        scene.core.wish(scene.clients[n].participant, pin.clone());
    }
    scene.run(seconds(5));
    let asked = scene.clients[0].keyframes_wanted - before;
    assert!((1..=24).contains(&asked), "{asked}");
    for n in 1..9 {
        let seen = scene.got(n, scene.clients[0].face).frames.len();
        assert!(seen > 80, "{n}: {seen}");
    }
}

#[test]
fn who_leaves_is_gone_for_everybody_and_strangers_are_nobody() {
    let mut scene = Scene::new(3, &Lines(2, 2), Link::GOOD);
    scene.run(seconds(2));
    let gone = (scene.clients[2].participant, scene.clients[2].voice);
    scene.core.leave(gone.0);
    assert_eq!(scene.core.len(), 2);
    scene.clients.truncate(2);
    scene.core.take_datagrams();
    scene.run(seconds(1));
    assert!(scene.slots(0).iter().all(|slot| slot.track != Some(gone.1)));
    let before = scene.core.carried.strangers;
    let stranger = SocketAddr::from(([10, 0, 0, 99], 1));
    for bytes in [&b""[..], b"x", &[0; 20], &[0x80; 40], &[0x00, 0x01, 0x00, 0x00]] {
        scene.core.receive(scene.now, stranger, bytes);
    }
    assert_eq!(scene.core.carried.strangers, before + 5);
    assert!(scene.core.offer(scene.now, gone.0, "v=0").is_err());
}

#[test]
fn who_falls_silent_or_never_comes_is_given_up() {
    let mut scene = Scene::new(2, &Lines(1, 1), Link::GOOD);
    let setup = scene.core.setup.clone();
    let never = Client::new(&setup, 3, scene.now, false);
    scene.core.join(scene.now, ROOM, never.participant);
    scene.run(seconds(3));
    scene.up[1].link.lost = 1_000;
    scene.run(seconds(40));
    let gone = |participant| scene.news.contains(&News::Gone(ROOM, participant));
    assert!(gone(scene.clients[1].participant));
    assert!(gone(never.participant));
    assert!(!gone(scene.clients[0].participant));
}

#[test]
fn an_offer_that_is_none_is_refused() {
    let mut scene = Scene::new(1, &Lines(1, 1), Link::GOOD);
    let participant = scene.clients[0].participant;
    for sdp in [
        "",
        "v=0",
        "v=0\r\no=- 1 1 IN IP4 0\r\ns=-\r\nt=0 0\r\n",
        "m=audio",
    ] {
        assert!(scene.core.offer(scene.now, participant, sdp).is_err(), "{sdp:?}");
    }
    assert!(!scene.core.candidate(scene.now, participant, "candidate:nonsense"));
    scene.run(seconds(2));
    assert!(scene.clients[0].connected.is_some(), "a bad offer breaks nothing");
}
