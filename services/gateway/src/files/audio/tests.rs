use std::sync::LazyLock;

use proptest::{collection::vec, prelude::*};

use super::*;

/// A WAV (16 bit, mono, 8 kHz): silence, then a tone of full strength.
fn wav(silent_ms: u32, loud_ms: u32) -> Vec<u8> {
    let (silent, loud) = (silent_ms * 8, loud_ms * 8);
    let data = (silent + loud) * 2;
    let mut bytes = b"RIFF".to_vec();
    bytes.extend_from_slice(&(36 + data).to_le_bytes());
    bytes.extend_from_slice(b"WAVEfmt \x10\0\0\0\x01\0\x01\0\x40\x1f\0\0\x80\x3e\0\0\x02\0\x10\0data");
    bytes.extend_from_slice(&data.to_le_bytes());
    for at in 0..silent + loud {
        let value: i16 = match at {
            at if at < silent => 0,
            at if at % 16 < 8 => i16::MAX,
            _ => i16::MIN + 1,
        };
        bytes.extend_from_slice(&value.to_le_bytes());
    }
    bytes
}

#[test]
fn a_recording_shows_where_it_is_loud() {
    let sound = listen(wav(1_000, 1_000), 60);
    assert_eq!(sound.duration_ms, Some(2_000));
    assert_eq!(sound.peaks.len(), PEAKS);
    assert!(
        sound.peaks[..30].iter().all(|peak| *peak == 0),
        "{:?}",
        sound.peaks
    );
    assert!(
        sound.peaks[34..].iter().all(|peak| *peak > 250),
        "{:?}",
        sound.peaks
    );
}

#[test]
fn no_more_is_heard_than_allowed_and_the_whole_length_is_told() {
    let sound = listen(wav(0, 5_000), 1);
    assert_eq!(sound.duration_ms, Some(5_000));
    assert_eq!(sound.peaks.len(), PEAKS);
}

#[test]
fn what_cannot_be_heard_says_nothing() {
    for bytes in [b"".to_vec(), b"RIFF\0\0\0\0WAVE".to_vec(), vec![7; 5_000]] {
        assert_eq!(listen(bytes, 60), Sound::default());
    }
}

/// Half of it silent, half a loud tone, as an Ogg file of Opus in one of its modes: at few bits a second SILK and
/// CELT together, at many CELT alone.
fn ogg(seconds: u16, bits_per_second: u32) -> Vec<u8> {
    let half = u32::from(seconds) * 24_000;
    let tone = |at: u32| match at {
        at if at < half => 0.0,
        at if at % 96 < 48 => 0.8,
        _ => -0.8,
    };
    let samples: Vec<f32> = (0..half * 2).map(tone).collect();
    ruopus::encode_ogg_opus(&samples, 1, bits_per_second)
}

fn is_quiet_then_loud(sound: &Sound) {
    let peaks = &sound.peaks;
    assert_eq!(peaks.len(), PEAKS, "{sound:?}");
    assert!(peaks[..28].iter().all(|peak| *peak < 10), "{peaks:?}");
    assert!(peaks[36..60].iter().all(|peak| *peak > 150), "{peaks:?}");
}

#[test]
fn opus_is_heard_in_ogg_files() {
    for bits_per_second in [16_000, 96_000] {
        let sound = listen(ogg(2, bits_per_second), 60);
        is_quiet_then_loud(&sound);
        let heard = sound.duration_ms.unwrap();
        assert!((1_950..2_100).contains(&heard), "{heard}");
    }
}

/// What a browser records for a voice message: a second of silence, then one of 440 Hz.
#[test]
fn opus_is_heard_as_a_browser_records_it() {
    let sound = listen(include_bytes!("chromium.webm").to_vec(), 60);
    is_quiet_then_loud(&sound);
    let heard = sound.duration_ms.unwrap();
    assert!((1_900..2_200).contains(&heard), "{heard}");
}

static SPOKEN: LazyLock<Vec<u8>> = LazyLock::new(|| ogg(1, 24_000));

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// What is broken on its way, or on purpose, ends nothing. `PROPTEST_CASES` says how long to go on.
    #[test]
    fn no_bytes_are_too_bad_to_listen_to(edits in vec((any::<u16>(), any::<u8>()), 0..64), at_browser: bool) {
        let mut bytes = if at_browser {
            include_bytes!("chromium.webm").to_vec()
        } else {
            SPOKEN.clone()
        };
        for (at, byte) in edits {
            let at = usize::from(at) % bytes.len();
            bytes[at] = byte;
        }
        let sound = listen(bytes, 60);
        prop_assert!(sound.peaks.is_empty() || sound.peaks.len() == PEAKS);
    }

    #[test]
    fn no_packet_of_opus_is_too_bad_to_decode(packets in vec(vec(any::<u8>(), 0..300), 1..8)) {
        let mut decoder = OpusDecoder::new(1);
        for packet in packets {
            drop(decoder.decode_packet(&packet));
        }
    }
}
