//! Every codec, and connections that begin anew.

use str0m::format::Codec;

use super::{
    super::{News, PatchError, Wishes},
    client::{Client, LAYERS},
    net::Link,
    scenes::{Lines, Scene, seconds},
};

/// Two people who code their pictures so.
fn pair(codec: Codec, twice: [bool; 2]) -> Scene {
    let mut scene = Scene::new(0, &Lines(1, 1), Link::GOOD);
    let setup = scene.core.setup.clone();
    for (n, twice) in [1, 2].into_iter().zip(twice) {
        let client = Client::of(&setup, n, scene.now, true, (codec, twice));
        scene.enter(client, &Lines(1, 1), Link::GOOD);
    }
    scene
}

#[test]
fn layers_are_changed_in_pictures_of_every_codec() {
    for codec in [Codec::Vp8, Codec::Vp9, Codec::H264, Codec::H265, Codec::Av1] {
        let mut scene = pair(codec, [false; 2]);
        let face = scene.clients[1].face;
        scene.run(seconds(8));
        assert_eq!(scene.layer(0, face).as_deref(), Some("f"), "{codec}");
        let large = scene.got(0, face).between(scene.ago(1), scene.now);
        assert!(large.len() >= 25, "{codec}: {}", large.len());
        assert!(
            large.iter().all(|size| *size >= LAYERS[2].1),
            "{codec}: {large:?}"
        );
        let highest = Wishes {
            highest: [(face, 0)].into(),
            ..Wishes::default()
        };
        scene.core.wish(scene.clients[0].participant, highest);
        scene.run(seconds(3));
        let seen = scene.got(0, face);
        let small = seen.between(scene.ago(1), scene.now);
        assert!(small.len() >= 25, "{codec}: {}", small.len());
        let is_small = |size: &usize| *size < LAYERS[1].1;
        assert!(small.iter().all(is_small), "{codec}: {small:?}");
        // VP9 numbers its pictures by itself, which goes on as it comes: each change of layers is seen, and is no loss.
        let changes = if codec == Codec::Vp9 { 3 } else { 0 };
        assert!(seen.gaps <= changes, "{codec}: {}", seen.gaps);
    }
}

#[test]
fn who_cannot_show_a_codec_gets_nothing_of_it_and_all_the_rest() {
    let mut scene = Scene::new(1, &Lines(1, 1), Link::GOOD);
    let setup = scene.core.setup.clone();
    let client = Client::of(&setup, 2, scene.now, true, (Codec::H265, false));
    scene.enter(client, &Lines(1, 1), Link::GOOD);
    scene.run(seconds(3));
    for (n, other) in [(0, 1), (1, 0)] {
        let (voice, face) = (scene.clients[other].voice, scene.clients[other].face);
        assert!(scene.got(n, voice).frames.len() > 100, "{n}");
        assert!(scene.got(n, face).frames.is_empty(), "{n}");
    }
}

#[test]
fn sound_that_is_said_twice_goes_to_who_takes_it_and_once_to_others() {
    for twice in [[true, true], [false, true]] {
        let mut scene = pair(Codec::Vp8, twice);
        let voice = scene.clients[1].voice;
        scene.run(seconds(3));
        let heard = scene.got(0, voice);
        assert!(heard.frames.len() > 110, "{twice:?}: {}", heard.frames.len());
        assert!(heard.frames.iter().all(|(_, size)| *size == 80), "{twice:?}");
        // On a bad way, only who gets it twice misses little.
        scene.down[0].link.lost = 100;
        scene.run(seconds(10));
        let got = scene.got(0, voice).between(scene.ago(10), scene.now).len();
        let expected = if twice[0] { 480..=501 } else { 400..=480 };
        assert!(expected.contains(&got), "{twice:?}: {got}");
    }
}

#[test]
fn a_connection_that_begins_anew_from_another_place_goes_on() {
    let mut scene = Scene::new(2, &Lines(1, 1), Link::GOOD);
    let (voice, face) = (scene.clients[1].voice, scene.clients[1].face);
    scene.run(seconds(3));
    for port in [6_000, 6_001] {
        let (offer, pending) = scene.clients[0].restart(port);
        let answer = scene.core.offer(scene.now, scene.clients[0].participant, &offer);
        scene.clients[0].restarted(pending, &answer.unwrap().sdp);
        let then = scene.now;
        scene.run(seconds(3));
        for track in [voice, face] {
            let after = scene.got(0, track).between(then + seconds(1), scene.now);
            assert!(after.len() > 50, "{port}: {}", after.len());
        }
        let own = scene.got(1, scene.clients[0].voice);
        let heard = own.between(then + seconds(1), scene.now).len();
        assert!(heard > 90, "{port}: {heard}");
    }
    let gone = scene.news.iter().any(|news| matches!(news, News::Gone(..)));
    assert!(!gone, "nobody was given up");
}

#[test]
fn a_part_of_a_description_is_for_one_connection() {
    let mut scene = Scene::new(2, &Lines(1, 1), Link::GOOD);
    scene.run(seconds(2));
    let (now, one) = (scene.now, scene.clients[0].participant);
    let (offer, _) = scene.clients[0].restart(6_000);
    let first = scene.core.offer(now, one, &offer).unwrap().connection;
    let candidate = "a=mid:0\r\na=candidate:1 1 udp 2130706431 192.0.2.1 5000 typ host\r\n";
    let taken = scene.core.patch(now, one, candidate, Some(&first)).unwrap();
    assert_eq!((taken.fragment, &taken.connection), (None, &first));
    let stale = scene.core.patch(now, one, candidate, Some("else"));
    assert_eq!(stale.unwrap_err(), PatchError::Stale);
    for nonsense in ["", "a=ice-ufrag:half", candidate] {
        let refused = scene.core.patch(now, one, nonsense, None);
        assert!(
            matches!(refused, Err(PatchError::Bad(_))),
            "{nonsense:?}: {refused:?}"
        );
    }
    let anew = "a=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuvwx\r\n";
    let began = scene.core.patch(now, one, anew, None).unwrap();
    assert_ne!(began.connection, first);
    let way = began.fragment.unwrap();
    assert!(
        way.contains(&format!("a=ice-ufrag:{}\r\n", began.connection)),
        "{way}"
    );
    assert!(
        way.contains("a=candidate:") && way.contains("a=ice-pwd:"),
        "{way}"
    );
    let old = scene.core.patch(now, one, candidate, Some(&first));
    assert_eq!(old.unwrap_err(), PatchError::Stale);
    scene.core.leave(one);
    let gone = scene.core.patch(now, one, candidate, Some(&first));
    assert_eq!(gone.unwrap_err(), PatchError::NoPeer);
}
