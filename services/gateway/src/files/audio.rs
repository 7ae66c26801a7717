//! Recordings: how long they play and how loud they are, for a bar that people can see and click into.

use std::io::Cursor;

use symphonia::core::codecs::audio::AudioDecoderOptions;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{FormatOptions, TrackType};
use symphonia::core::io::{MediaSourceStream, MediaSourceStreamOptions};
use symphonia::core::meta::MetadataOptions;

/// Parts of the time that are told apart.
const PEAKS: usize = 64;
/// Parts that are gathered before it is known how long it plays; each a tenth of a second.
const PARTS_A_SECOND: u64 = 10;

/// What was heard. Nothing, where the format or the codec is unknown here: that keeps nobody from sending it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sound {
    pub(crate) duration_ms: Option<u64>,
    /// [`PEAKS`] of them, or none.
    pub(crate) peaks: Vec<u8>,
}

/// Listens to at most `max_seconds` of a recording.
pub(super) fn listen(bytes: Vec<u8>, max_seconds: u64) -> Sound {
    hear(bytes, max_seconds).unwrap_or_default()
}

fn hear(bytes: Vec<u8>, max_seconds: u64) -> Option<Sound> {
    let source = MediaSourceStream::new(Box::new(Cursor::new(bytes)), MediaSourceStreamOptions::default());
    let (format, meta) = (FormatOptions::default(), MetadataOptions::default());
    let mut format = symphonia::default::get_probe()
        .probe(&Hint::new(), source, format, meta)
        .ok()?;
    let track = format.default_track(TrackType::Audio)?;
    let id = track.id;
    let params = track.codec_params.as_ref()?.audio()?.clone();
    let rate = u64::from(params.sample_rate?).max(1);
    let announced = track.num_frames.map(|frames| frames.saturating_mul(1_000) / rate);
    let Ok(mut decoder) =
        symphonia::default::get_codecs().make_audio_decoder(&params, &AudioDecoderOptions::default())
    else {
        return Some(Sound {
            duration_ms: announced,
            peaks: Vec::new(),
        });
    };
    let (mut frames, mut samples, mut parts) = (0_u64, Vec::<f32>::new(), Vec::<f32>::new());
    while let Ok(Some(packet)) = format.next_packet() {
        if packet.track_id != id {
            continue;
        }
        // One packet that cannot be decoded is a crackle, not the end.
        let Ok(sound) = decoder.decode(&packet) else {
            continue;
        };
        let channels = sound.spec().channels().count().max(1);
        samples.resize(sound.samples_interleaved(), 0.0);
        sound.copy_to_slice_interleaved(&mut samples);
        for frame in samples.chunks(channels) {
            let loudest = frame.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
            let part = usize::try_from(frames * PARTS_A_SECOND / rate).unwrap_or(usize::MAX);
            if parts.len() <= part {
                parts.resize(part + 1, 0.0);
            }
            parts[part] = parts[part].max(loudest);
            frames += 1;
        }
        if frames / rate >= max_seconds {
            break;
        }
    }
    let heard = frames * 1_000 / rate;
    Some(Sound {
        duration_ms: Some(announced.map_or(heard, |announced| announced.max(heard))),
        peaks: peaks(&parts),
    })
}

/// Brings the parts to a fixed number.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to a byte"
)]
fn peaks(parts: &[f32]) -> Vec<u8> {
    if parts.is_empty() {
        return Vec::new();
    }
    let peak = |at: usize| {
        let begin = at * parts.len() / PEAKS;
        let end = ((at + 1) * parts.len() / PEAKS).max(begin + 1).min(parts.len());
        let loudest = parts[begin..end]
            .iter()
            .fold(0.0_f32, |most, value| most.max(*value));
        (loudest * 255.0).clamp(0.0, 255.0) as u8
    };
    (0..PEAKS).map(peak).collect()
}

#[cfg(test)]
mod tests {
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
}
