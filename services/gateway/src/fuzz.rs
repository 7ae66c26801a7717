//! Targets for a fuzzer: what strangers send. `./veza test` runs each for a moment; `cargo bolero test -p veza-gateway
//! fuzz::<target>` goes on, led by the code it covers.

use std::time::Duration;

use bolero::check;

/// How long a target runs as a test.
pub(crate) const MOMENT: Duration = Duration::from_secs(2);

/// Changes of a seed: which one, and bytes that are set, put in or (from 256 on) taken out at a place.
pub(crate) type Edits = (u8, Vec<(u16, u16)>);

/// A seed with a few changes: nearer to what is almost right than bytes at random.
pub(crate) fn edited(seeds: &[&[u8]], (which, edits): &Edits) -> Vec<u8> {
    let mut bytes = seeds[usize::from(*which) % seeds.len()].to_vec();
    for &(at, what) in edits.iter().take(32) {
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

#[test]
fn search_words() {
    let seeds: [&[u8]; 3] = [
        b"from:@ada in:#talk has:file \"two words\" -not",
        b"before:2026-11-24 after:2026-01-01 on:2026-02-30",
        "été caf\u{301}é 日本語 -\"a b\" has:nothing".as_bytes(),
    ];
    check!()
        .with_test_time(MOMENT)
        .with_type::<Edits>()
        .for_each(|edits| {
            let text = String::from_utf8_lossy(&edited(&seeds, edits)).into_owned();
            if let Err(error) = veza_readmodel::SearchWords::parse(&text) {
                assert!(!error.to_string().is_empty());
            }
        });
}
