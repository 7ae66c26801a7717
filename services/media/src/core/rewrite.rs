//! What one subscriber sees of a slot is one unbroken stream, whatever track and layer it comes from: sequence numbers,
//! timestamps and the picture numbers of VP8 go on where the source before left off.

use std::time::Instant;

use str0m::rtp::{Vp8Descriptor, Vp8Patch};

/// Widest picture number of VP8, 15 bits.
const PICTURE_ID: u16 = 0x7fff;
/// A picture number of 7 bits.
const SHORT_PICTURE_ID: u16 = 0x7f;

/// The numbers of one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Numbers {
    /// Extended sequence number.
    pub(crate) seq: u64,
    /// Timestamp in the clock of the codec.
    pub(crate) time: u32,
    /// Picture number and number of the base layer, where VP8 has them.
    pub(crate) vp8: Vp8Numbers,
}

/// What VP8 counts by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Vp8Numbers {
    pub(crate) picture: Option<u16>,
    pub(crate) base: Option<u8>,
}

impl Vp8Numbers {
    pub(crate) fn of(descriptor: &Vp8Descriptor) -> Self {
        Self {
            picture: descriptor.picture_id(),
            base: descriptor.tl0_pic_idx(),
        }
    }

    /// How the descriptor of a packet is changed to have these numbers.
    pub(crate) fn patch(self, descriptor: &Vp8Descriptor) -> Option<Vp8Patch> {
        let with = |picture: Option<u16>| {
            let mut patch = descriptor.patch();
            if let (Some(picture), Some(_)) = (picture, descriptor.picture_id()) {
                patch = patch.picture_id(picture);
            }
            if let (Some(base), Some(_)) = (self.base, descriptor.tl0_pic_idx()) {
                patch = patch.tl0_pic_idx(base);
            }
            patch.build().ok()
        };
        // A sender that counts in 7 bits goes on doing so.
        with(self.picture).or_else(|| with(self.picture.map(|picture| picture & SHORT_PICTURE_ID)))
    }
}

/// Rewrites the numbers of what goes into one slot.
#[derive(Clone, Debug)]
pub(crate) struct Rewriter {
    /// Sequence number for the next source to begin at.
    next_seq: u64,
    /// The newest that went out, and when.
    last: Option<(Numbers, Instant)>,
    from: Option<Origin>,
}

/// Where the present source began, as it counts and as the subscriber does.
#[derive(Clone, Copy, Debug)]
struct Origin {
    source: Numbers,
    out: Numbers,
}

impl Rewriter {
    /// Begins at `seq`; below 65,536, since receivers begin to count there.
    pub(crate) fn new(seq: u16) -> Self {
        Self {
            next_seq: u64::from(seq),
            last: None,
            from: None,
        }
    }

    /// Lets another source go on from here, beginning with this packet.
    pub(crate) fn begin(&mut self, now: Instant, source: Numbers, clock_rate: u32) {
        let out = match self.last {
            None => Numbers {
                seq: self.next_seq,
                ..source
            },
            Some((last, at)) => {
                let elapsed = now.saturating_duration_since(at).as_micros();
                let ticks = elapsed * u128::from(clock_rate) / 1_000_000;
                let ticks = u32::try_from(ticks).unwrap_or(u32::MAX).max(1);
                Numbers {
                    seq: self.next_seq,
                    time: last.time.wrapping_add(ticks),
                    vp8: Vp8Numbers {
                        picture: follow(last.vp8.picture, source.vp8.picture, |picture| {
                            picture.wrapping_add(1) & PICTURE_ID
                        }),
                        base: follow(last.vp8.base, source.vp8.base, |base| base.wrapping_add(1)),
                    },
                }
            }
        };
        self.from = Some(Origin { source, out });
    }

    /// The packet as the subscriber is to see it; `None` for one from before the source was switched to.
    pub(crate) fn map(&mut self, now: Instant, packet: Numbers) -> Option<Numbers> {
        let Origin { source, out } = self.from?;
        let ahead = packet.seq.checked_sub(source.seq)?;
        let mapped = Numbers {
            seq: out.seq + ahead,
            time: out.time.wrapping_add(packet.time.wrapping_sub(source.time)),
            vp8: Vp8Numbers {
                picture: shift(packet.vp8.picture, source.vp8.picture, out.vp8.picture)
                    .map(|picture| picture & PICTURE_ID),
                base: match (packet.vp8.base, source.vp8.base, out.vp8.base) {
                    (Some(base), Some(from), Some(to)) => Some(to.wrapping_add(base.wrapping_sub(from))),
                    (base, ..) => base,
                },
            },
        };
        if mapped.seq >= self.next_seq {
            self.next_seq = mapped.seq + 1;
            self.last = Some((mapped, now));
        }
        Some(mapped)
    }
}

fn follow<T>(last: Option<T>, source: Option<T>, next: impl Fn(T) -> T) -> Option<T> {
    let source = source?;
    Some(last.map_or(source, next))
}

fn shift(packet: Option<u16>, from: Option<u16>, to: Option<u16>) -> Option<u16> {
    match (packet, from, to) {
        (Some(packet), Some(from), Some(to)) => Some(to.wrapping_add(packet.wrapping_sub(from))),
        (packet, ..) => packet,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn packet(seq: u64, time: u32, picture: u16, base: u8) -> Numbers {
        Numbers {
            seq,
            time,
            vp8: Vp8Numbers {
                picture: Some(picture),
                base: Some(base),
            },
        }
    }

    #[test]
    fn a_switch_is_not_seen_in_the_numbers() {
        let start = Instant::now();
        let mut slot = Rewriter::new(100);
        slot.begin(start, packet(70_000, 5_000, 9, 3), 90_000);
        let first = slot.map(start, packet(70_000, 5_000, 9, 3)).unwrap();
        assert_eq!(first, packet(100, 5_000, 9, 3));
        assert_eq!(slot.map(start, packet(70_001, 8_000, 10, 4)).unwrap().seq, 101);
        let later = start + Duration::from_millis(100);
        slot.begin(later, packet(3, 900_000, 0x7fff, 255), 90_000);
        let switched = slot.map(later, packet(3, 900_000, 0x7fff, 255)).unwrap();
        assert_eq!(switched, packet(102, 17_000, 11, 5));
        let next = slot.map(later, packet(4, 903_000, 0, 0)).unwrap();
        assert_eq!(
            next,
            packet(103, 20_000, 12, 6),
            "numbers wrap as their field does"
        );
    }

    #[test]
    fn what_comes_late_keeps_its_place_and_what_is_from_before_is_left_out() {
        let now = Instant::now();
        let mut slot = Rewriter::new(1);
        slot.begin(now, packet(10, 0, 0, 0), 90_000);
        let seqs: Vec<_> = [10, 12, 11, 9]
            .into_iter()
            .map(|seq| slot.map(now, packet(seq, 0, 0, 0)).map(|numbers| numbers.seq))
            .collect();
        assert_eq!(seqs, [Some(1), Some(3), Some(2), None]);
        slot.begin(now, packet(500, 0, 0, 0), 90_000);
        assert_eq!(slot.map(now, packet(500, 0, 0, 0)).unwrap().seq, 4, "never twice");
    }

    #[test]
    fn sound_has_no_picture_numbers() {
        let now = Instant::now();
        let plain = |seq| Numbers {
            seq,
            time: 7,
            vp8: Vp8Numbers::default(),
        };
        let mut slot = Rewriter::new(9);
        slot.begin(now, plain(1), 48_000);
        assert_eq!(slot.map(now, plain(1)), Some(plain(9)));
        let mut unset = Rewriter::new(9);
        assert_eq!(unset.map(now, plain(1)), None, "nothing was begun");
    }

    #[test]
    fn a_descriptor_of_seven_bits_stays_one() {
        // X, then PictureID of 7 bits, then a payload.
        let payload = [0x90, 0x80, 0x05, 0x00];
        let descriptor = Vp8Descriptor::parse(&payload).unwrap();
        let numbers = Vp8Numbers {
            picture: Some(0x1234),
            base: Some(1),
        };
        assert!(numbers.patch(&descriptor).is_some());
        assert_eq!(Vp8Numbers::of(&descriptor).picture, Some(5));
    }
}
