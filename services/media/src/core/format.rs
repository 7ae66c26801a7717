//! How a payload is coded: where a picture stands alone, and who can show what somebody else sends.

use str0m::{
    format::{Codec, CodecSpec},
    media::Pt,
    rtp::{RedDecoder, Vp8Descriptor},
};

/// How the payload of a packet is coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Format {
    pub(crate) spec: CodecSpec,
    /// The number that its sender has for it.
    pub(crate) pt: Pt,
    /// The sound of packets before comes along once more (RFC 2198).
    pub(crate) is_red: bool,
}

impl Format {
    /// Ticks of its timestamps per second.
    pub(crate) fn clock_rate(self) -> u32 {
        match self.spec.codec {
            // RFC 3551, 4.5.2: an old mistake that stays.
            Codec::G722 => 8_000,
            _ => self.spec.clock_rate.get(),
        }
    }
}

/// How well a receiver that takes `taken` shows what is coded as `sent`, less is better; `None` when it cannot.
pub(crate) fn fits(sent: &CodecSpec, taken: &CodecSpec) -> Option<u8> {
    if sent == taken {
        return Some(0);
    }
    if sent.codec != taken.codec {
        return None;
    }
    let (sent, to) = (&sent.format, &taken.format);
    let fits = match taken.codec {
        Codec::H264 => {
            let profile = |level: Option<u32>| level.unwrap_or(BASELINE << 16) >> 16;
            let (from, into) = (profile(sent.profile_level_id), profile(to.profile_level_id));
            let modes = sent.packetization_mode.unwrap_or(0) == to.packetization_mode.unwrap_or(0);
            // What browsers call baseline is the part of it that all profiles have.
            modes && (from == into || from == BASELINE)
        }
        Codec::Vp9 => sent.profile_id.unwrap_or(0) == to.profile_id.unwrap_or(0),
        Codec::Av1 => sent.profile.unwrap_or(0) == to.profile.unwrap_or(0),
        Codec::H265 => {
            let profile = |of: &str0m::format::FormatParams| {
                of.h265_profile_tier_level
                    .map_or(MAIN, |known| known.profile_id())
            };
            profile(sent) == profile(to)
        }
        _ => true,
    };
    fits.then_some(1)
}

/// Baseline of H264.
const BASELINE: u32 = 0x42;
/// Main profile of H265.
const MAIN: u8 = 1;

/// What a packet has in front, read once for all who get it.
pub(crate) struct Front {
    /// Of VP8; `None` for other codecs and for packets that cannot be read.
    pub(crate) vp8: Option<Vp8Descriptor>,
    /// Whoever begins here can show it: sound always, a picture that stands alone.
    pub(crate) begins: bool,
    /// The sound alone, of a packet that brings what was before once more.
    pub(crate) alone: Option<std::sync::Arc<[u8]>>,
}

impl Front {
    pub(crate) fn of(format: Format, payload: &[u8]) -> Self {
        let codec = format.spec.codec;
        let vp8 = (codec == Codec::Vp8).then(|| Vp8Descriptor::parse(payload).ok());
        let vp8 = vp8.flatten();
        let begins = match codec {
            Codec::Vp8 => vp8.is_some_and(|front| front.starts_keyframe(payload)),
            Codec::Vp9 => begins_vp9(payload),
            Codec::Av1 => payload.first().is_some_and(|first| first & NEW_SEQUENCE != 0),
            Codec::H264 => h264_units(payload).any(|unit| matches!(unit, 5 | 7)),
            Codec::H265 => h265_units(payload).any(|unit| matches!(unit, 16..=23 | 32..=34)),
            codec => codec.is_audio(),
        };
        let alone = format.is_red.then(|| primary(payload)).flatten();
        Self { vp8, begins, alone }
    }
}

/// The bit of AV1 that says: nothing from before is needed (RTP payload format for AV1, 4.4).
const NEW_SEQUENCE: u8 = 0x08;

/// The sound of a packet without that of those before.
fn primary(payload: &[u8]) -> Option<std::sync::Arc<[u8]>> {
    let blocks = RedDecoder::decode(payload).ok()?;
    let primary = blocks.iter().find(|block| block.is_primary)?;
    Some(primary.payload.into())
}

/// RFC 9628, 4.2: begins a frame of the lowest layer, which leans on no picture before.
fn begins_vp9(payload: &[u8]) -> bool {
    let Some(&first) = payload.first() else {
        return false;
    };
    let has = |bit: u8| first & bit != 0;
    let (has_picture, leans, has_layer, is_first) = (has(0x80), has(0x40), has(0x20), has(0x08));
    let picture = match (has_picture, payload.get(1)) {
        (false, _) => 0,
        (true, Some(id)) if id & 0x80 != 0 => 2,
        (true, _) => 1,
    };
    let layer = payload.get(1 + picture).map_or(0, |layer| layer >> 1 & 0x07);
    !leans && is_first && (!has_layer || layer == 0)
}

/// The kinds of what begins in a packet of H264 (RFC 6184, 5.2).
fn h264_units(payload: &[u8]) -> impl Iterator<Item = u8> {
    let kind = |byte: &u8| byte & 0x1f;
    let (together, of_part) = match payload.first().map(kind) {
        // Several in one packet.
        Some(24) => (units(payload.get(1..)), None),
        // The first part of one.
        Some(28) => {
            let head = payload.get(1).filter(|head| **head & 0x80 != 0);
            (units(None), head.map(kind))
        }
        one => (units(None), one),
    };
    together
        .filter_map(move |unit| unit.first().map(kind))
        .chain(of_part)
}

/// The kinds of what begins in a packet of H265 (RFC 7798, 4.4).
fn h265_units(payload: &[u8]) -> impl Iterator<Item = u8> {
    let kind = |byte: &u8| byte >> 1 & 0x3f;
    let (together, of_part) = match payload.first().map(kind) {
        Some(48) => (units(payload.get(2..)), None),
        Some(49) => {
            let head = payload.get(2).filter(|head| **head & 0x80 != 0);
            (units(None), head.map(|head| head & 0x3f))
        }
        one => (units(None), one),
    };
    together
        .filter_map(move |unit| unit.first().map(kind))
        .chain(of_part)
}

/// What lies together in one packet: each behind its length, two bytes.
fn units(payload: Option<&[u8]>) -> impl Iterator<Item = &[u8]> {
    let mut rest = payload.unwrap_or_default();
    std::iter::from_fn(move || {
        let (length, behind) = rest.split_first_chunk::<2>()?;
        let (unit, behind) = behind.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        rest = behind;
        Some(unit)
    })
}

#[cfg(test)]
mod tests {
    use str0m::{
        format::{CodecConfig, FormatParams},
        rtp::{RedEncoder, RedundantBlock},
    };

    use super::*;

    fn format(codec: Codec) -> Format {
        let mut config = CodecConfig::new_with_defaults();
        config.enable_g722(true, false);
        let found = config.params().iter().find(|params| params.spec().codec == codec);
        let params = found.unwrap();
        Format {
            spec: params.spec(),
            pt: params.pt(),
            is_red: false,
        }
    }

    #[test]
    fn it_is_known_where_a_picture_stands_alone() {
        for (codec, payload, begins) in [
            (Codec::Vp8, &[0x10, 0x00, 0x00][..], true),
            (Codec::Vp8, &[0x10, 0x01, 0x00], false),
            (Codec::Vp8, &[0x00, 0x00], false),
            (Codec::Vp9, &[0x08, 0x82], true),
            (Codec::Vp9, &[0x48, 0x86], false),
            (Codec::Vp9, &[0x00, 0x82], false),
            (Codec::Vp9, &[0xa8, 0x81, 0x00, 0x00, 0x00], true),
            (Codec::Vp9, &[0xa8, 0x01, 0x02, 0x00], false),
            (Codec::Vp9, &[], false),
            (Codec::Av1, &[0x18, 0x0a], true),
            (Codec::Av1, &[0x10, 0x32], false),
            (Codec::Av1, &[], false),
            (Codec::H264, &[0x67, 0x42], true),
            (Codec::H264, &[0x65, 0x88], true),
            (Codec::H264, &[0x41, 0x9a], false),
            (Codec::H264, &[0x78, 0, 1, 0x06, 0, 2, 0x67, 0x42], true),
            (Codec::H264, &[0x78, 0, 1, 0x06, 0, 9, 0x67], false),
            (Codec::H264, &[0x7c, 0x85, 0x00], true),
            (Codec::H264, &[0x7c, 0x45, 0x00], false),
            (Codec::H264, &[0x7c], false),
            (Codec::H265, &[0x40, 0x01], true),
            (Codec::H265, &[0x26, 0x01, 0xaf], true),
            (Codec::H265, &[0x02, 0x01, 0xd0], false),
            (
                Codec::H265,
                &[0x60, 0x01, 0, 2, 0x02, 0x01, 0, 2, 0x26, 0x01],
                true,
            ),
            (Codec::H265, &[0x62, 0x01, 0x93], true),
            (Codec::H265, &[0x62, 0x01, 0x13], false),
            (Codec::H265, &[], false),
            (Codec::Opus, &[0x01], true),
        ] {
            let front = Front::of(format(codec), payload);
            assert_eq!(front.begins, begins, "{codec} {payload:x?}");
        }
    }

    #[test]
    fn sound_that_comes_twice_can_be_taken_once() {
        let red = Format {
            is_red: true,
            ..format(Codec::Opus)
        };
        let before = RedundantBlock {
            pt: 111,
            timestamp_offset: 960,
            payload: vec![1, 2, 3],
        };
        let payload = RedEncoder::encode(111, &[4, 5], &[before]);
        let front = Front::of(red, &payload);
        assert_eq!(front.alone.as_deref(), Some(&[4, 5][..]));
        assert_eq!(Front::of(red, &[0xff]).alone, None, "nothing that can be read");
        assert_eq!(Front::of(format(Codec::Opus), &payload).alone, None);
    }

    #[test]
    fn who_takes_a_codec_may_not_take_all_of_it() {
        let h264 = |level: u32, mode: u8| CodecSpec {
            format: FormatParams {
                profile_level_id: Some(level),
                packetization_mode: Some(mode),
                ..FormatParams::default()
            },
            ..format(Codec::H264).spec
        };
        let constrained = h264(0x0042_e01f, 1);
        assert_eq!(fits(&constrained, &constrained), Some(0));
        assert_eq!(fits(&constrained, &h264(0x0064_001f, 1)), Some(1));
        assert_eq!(fits(&constrained, &h264(0x0042_e01f, 0)), None, "other packets");
        assert_eq!(fits(&h264(0x0064_001f, 1), &constrained), None, "high is more");
        let vp9 = |profile| CodecSpec {
            format: FormatParams {
                profile_id: profile,
                ..FormatParams::default()
            },
            ..format(Codec::Vp9).spec
        };
        assert_eq!(fits(&vp9(None), &vp9(Some(0))), Some(1));
        assert_eq!(fits(&vp9(Some(2)), &vp9(Some(0))), None);
        assert_eq!(fits(&vp9(Some(0)), &format(Codec::Vp8).spec), None);
        assert_eq!(format(Codec::G722).clock_rate(), 8_000);
        assert_eq!(format(Codec::Opus).clock_rate(), 48_000);
    }
}
