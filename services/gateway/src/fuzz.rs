//! What strangers send, as fuzz targets: good inputs with a few bytes changed, and a check of what must hold whatever
//! they are. `PROPTEST_CASES=10000000 cargo test -p veza-gateway fuzz` goes on for hours; what fails is kept beside the target.

use proptest::collection::vec;
use proptest::prelude::*;

/// Runs of a target in an ordinary test.
pub(crate) const CASES: u32 = 4096;

/// Changes of a seed: which one, and bytes that are set, put in or (from 512 on) taken out at a place.
pub(crate) type Edits = (u8, Vec<(u16, u16)>);

/// Up to 32 changes.
pub(crate) fn edits() -> impl Strategy<Value = Edits> {
    (any::<u8>(), vec((any::<u16>(), 0..0x300_u16), 0..32))
}

/// A seed with a few changes: nearer to what is almost right than bytes at random.
pub(crate) fn edited(seeds: &[&[u8]], (which, edits): &Edits) -> Vec<u8> {
    let mut bytes = seeds[usize::from(*which) % seeds.len()].to_vec();
    for &(at, what) in edits {
        let at = usize::from(at) % (bytes.len() + 1);
        let byte = what.to_le_bytes()[0];
        match what {
            0..0x100 if at < bytes.len() => bytes[at] = byte,
            0..0x200 => bytes.insert(at, byte),
            _ if at < bytes.len() => {
                bytes.remove(at);
            }
            _ => bytes.extend_from_within(..at.min(64)),
        }
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig { cases: CASES, ..ProptestConfig::default() })]

    #[test]
    fn words_of_a_search(edits in edits()) {
        let seeds: [&[u8]; 3] = [
            b"from:@ada in:#talk has:file \"two words\" -not",
            b"before:2026-11-24 after:2026-01-01 on:2026-02-30",
            "\u{e9}t\u{e9} caf\u{e9}\u{301} \u{65e5}\u{672c}\u{8a9e} -\"a b\" has:nothing".as_bytes(),
        ];
        let text = String::from_utf8_lossy(&edited(&seeds, &edits)).into_owned();
        if let Err(error) = veza_readmodel::SearchWords::parse(&text) {
            prop_assert!(!error.to_string().is_empty());
        }
    }
}
