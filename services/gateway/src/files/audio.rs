//! Recordings: how long they play and how loud they are, for a bar that people can see and click into.

use std::io::Cursor;

use ruopus::OpusDecoder;
use symphonia::core::audio::Channels;
use symphonia::core::codecs::audio::well_known::CODEC_ID_OPUS;
use symphonia::core::codecs::audio::{AudioCodecParameters, AudioDecoder, AudioDecoderOptions};
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{FormatOptions, TrackType};
use symphonia::core::io::{MediaSourceStream, MediaSourceStreamOptions};
use symphonia::core::meta::MetadataOptions;
use symphonia::core::packet::Packet;

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
    let rate = match params.codec {
        // Whatever it was recorded at (RFC 7845, 5.1).
        CODEC_ID_OPUS => 48_000,
        _ => u64::from(params.sample_rate?).max(1),
    };
    let announced = track.num_frames.map(|frames| frames.saturating_mul(1_000) / rate);
    let Some(mut decoder) = Decoder::of(&params) else {
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
        let Some(channels) = decoder.decode(&packet, &mut samples) else {
            continue;
        };
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

/// What makes samples of packets.
enum Decoder {
    Opus(Box<OpusDecoder>),
    Other(Box<dyn AudioDecoder>),
}

impl Decoder {
    /// `None` for a codec that is unknown here.
    fn of(params: &AudioCodecParameters) -> Option<Self> {
        if params.codec == CODEC_ID_OPUS {
            // Of more channels, packets are several streams (RFC 7845, 5.1.1).
            let channels = params.channels.as_ref().map_or(1, Channels::count);
            return (channels <= 2).then(|| Self::Opus(Box::new(OpusDecoder::new(1))));
        }
        let options = AudioDecoderOptions::default();
        let decoder = symphonia::default::get_codecs().make_audio_decoder(params, &options);
        decoder.ok().map(Self::Other)
    }

    /// Fills `samples` with those of a packet, interleaved. Returns of how many channels, or `None` if it cannot be
    /// decoded.
    fn decode(&mut self, packet: &Packet, samples: &mut Vec<f32>) -> Option<usize> {
        match self {
            Self::Opus(decoder) => {
                *samples = decoder.decode_packet(&packet.data).ok()?;
                Some(1)
            }
            Self::Other(decoder) => {
                let sound = decoder.decode(packet).ok()?;
                samples.resize(sound.samples_interleaved(), 0.0);
                sound.copy_to_slice_interleaved(samples);
                Some(sound.spec().channels().count().max(1))
            }
        }
    }
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
mod tests;
