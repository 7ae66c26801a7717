#![expect(clippy::unwrap_used, reason = "a failed test panics")]

//! Wire names and shapes are storage: what was shipped must stay readable for ever.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use veza_events::{Event, Sealed, catalogue};

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../schemas")
        .join(name)
}

fn stems(folder: &Path) -> BTreeSet<String> {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect()
}

#[test]
fn the_committed_schemas_are_those_of_the_code() {
    let bless = std::env::var_os("VEZA_BLESS").is_some();
    for event in catalogue() {
        let path = folder("events").join(format!("{}.json", event.kind));
        let fresh = serde_json::to_value(&event.schema).unwrap();
        if bless {
            fs::write(&path, serde_json::to_string_pretty(&fresh).unwrap() + "\n").unwrap();
        }
        let committed = fs::read(&path).unwrap_or_default();
        // As values: the order of keys depends on which features other crates switch on.
        assert!(
            serde_json::from_slice(&committed).ok() == Some(fresh),
            "{} differs from the code. A shipped version takes optional fields only; anything else is a \
             new version with an upcast. Then: VEZA_BLESS=1 cargo test -p veza-events",
            path.display()
        );
    }
}

#[test]
fn every_version_ever_shipped_has_a_fixture_and_a_schema() {
    let written: BTreeSet<String> = catalogue()
        .into_iter()
        .map(|event| event.kind.to_owned())
        .collect();
    let fixtures = stems(&folder("events/fixtures"));
    assert_eq!(
        fixtures,
        stems(&folder("events")),
        "one fixture and one schema per version"
    );
    assert!(fixtures.is_superset(&written), "a fixture is missing");
}

#[test]
fn every_fixture_still_decodes_and_says_the_same() {
    for kind in stems(&folder("events/fixtures")) {
        let text = fs::read_to_string(folder("events/fixtures").join(format!("{kind}.json"))).unwrap();
        let event = Event::decode(&kind, text.as_bytes()).unwrap_or_else(|error| panic!("{kind}: {error}"));
        let again: serde_json::Value = serde_json::from_slice(&event.encode().unwrap()).unwrap();
        let fixture: serde_json::Value = serde_json::from_str(&text).unwrap();
        for (field, value) in fixture.as_object().unwrap() {
            assert_eq!(again.get(field), Some(value), "{kind}.{field}");
        }
    }
}

#[test]
fn names_say_aggregate_fact_and_version() {
    for event in catalogue() {
        let parts: Vec<&str> = event.kind.split('.').collect();
        let [aggregate, fact, version] = parts[..] else {
            panic!("{}", event.kind)
        };
        assert!(!aggregate.is_empty() && fact.bytes().all(|c| c.is_ascii_lowercase() || c == b'_'));
        assert!(
            version
                .strip_prefix('v')
                .is_some_and(|number| number.parse::<u16>().is_ok())
        );
    }
}

#[test]
fn a_field_in_clear_stops_the_event_from_being_written() {
    let event = veza_events::account::PasswordChanged {
        password: Sealed::from("hash"),
    };
    let event = Event::from(veza_events::account::AccountEvent::from(event));
    assert!(event.encode().is_err());
}

#[test]
fn an_unknown_type_is_told_from_a_broken_body() {
    use veza_events::DecodeError;
    assert!(matches!(
        Event::decode("room.sung.v1", b"{}"),
        Err(DecodeError::UnknownType(_))
    ));
    assert!(matches!(
        Event::decode("room.opened.v1", b"{"),
        Err(DecodeError::Shape { .. })
    ));
}
