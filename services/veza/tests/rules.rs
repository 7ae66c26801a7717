//! The rules of ARCHITECTURE.md that a compiler does not check.

#![expect(clippy::unwrap_used, reason = "a failed test panics")]

use std::{collections::BTreeSet, fs, path::Path, process::Command};

use serde_json::Value;

/// Which crates of ours each crate may depend on.
const MAY_SEE: &[(&str, &[&str])] = &[
    ("veza-events", &[]),
    ("veza-domain", &["veza-events"]),
    ("veza-platform", &["veza-events", "veza-domain"]),
    ("veza-readmodel", &["veza-events"]),
    ("veza-accounts", &["veza-events", "veza-domain", "veza-platform"]),
    ("veza-chat", &["veza-events", "veza-domain", "veza-platform"]),
    ("veza-media", &["veza-events", "veza-domain", "veza-platform"]),
    (
        "veza-projector",
        &[
            "veza-events",
            "veza-platform",
            "veza-readmodel",
            "veza-migrations",
        ],
    ),
    (
        "veza-notifier",
        &["veza-events", "veza-domain", "veza-platform", "veza-readmodel"],
    ),
    (
        "veza-gateway",
        &["veza-events", "veza-platform", "veza-readmodel"],
    ),
    ("veza-migrations", &[]),
    ("veza-servers", &[]),
    ("veza-client", &[]),
    (
        "veza-testkit",
        &[
            "veza-events",
            "veza-platform",
            "veza-servers",
            "veza-migrations",
            "veza-client",
        ],
    ),
];

fn metadata() -> Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Normal dependencies; tests may see more.
fn ours(package: &Value) -> BTreeSet<&str> {
    let dependencies = package["dependencies"].as_array().unwrap();
    let normal = dependencies
        .iter()
        .filter(|dependency| dependency["kind"].is_null());
    normal
        .map(|dependency| dependency["name"].as_str().unwrap())
        .filter(|name| name.starts_with("veza"))
        .collect()
}

#[test]
fn crates_see_only_what_they_may() {
    let metadata = metadata();
    for package in metadata["packages"].as_array().unwrap() {
        let name = package["name"].as_str().unwrap();
        if name == "veza" {
            continue;
        }
        let rule = MAY_SEE.iter().find(|(known, _)| *known == name);
        let (_, allowed) =
            rule.unwrap_or_else(|| panic!("{name} has no rule; add it here and to ARCHITECTURE.md"));
        let seen = ours(package);
        let allowed: BTreeSet<&str> = allowed.iter().copied().collect();
        assert!(
            seen.is_subset(&allowed),
            "{name} sees {:?}",
            seen.difference(&allowed)
        );
    }
}

#[test]
fn the_testkit_is_for_tests_only() {
    let metadata = metadata();
    for package in metadata["packages"].as_array().unwrap() {
        assert!(!ours(package).contains("veza-testkit"), "{}", package["name"]);
    }
}

/// Source files below `folder`, with or without tests.
fn sources(folder: &Path, tests: bool, found: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && (tests || !path.ends_with("tests")) && !path.ends_with("target") {
            sources(&path, tests, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn only_the_event_log_publishes_events() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut files = Vec::new();
    for folder in ["services", "domain", "events"] {
        sources(&root.join(folder), false, &mut files);
    }
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let inside = file.components().any(|part| part.as_os_str() == "event_log");
        let bench = file.components().any(|part| part.as_os_str() == "bench");
        let publishes = text.contains("jetstream::new") || text.contains("Nats-Expected-Last");
        assert!(
            inside || bench || !publishes,
            "{} goes past the event log",
            file.display()
        );
    }
}

#[test]
fn every_feature_is_shown_by_a_test_that_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut files = Vec::new();
    for folder in ["services", "domain", "events"] {
        sources(&root.join(folder), true, &mut files);
    }
    let code: Vec<String> = files
        .iter()
        .map(|file| fs::read_to_string(file).unwrap())
        .collect();
    let features = fs::read_to_string(root.join("docs/features.md")).unwrap();
    let mut shown = 0;
    for test in features
        .lines()
        .filter(|line| line.starts_with('|'))
        .flat_map(|line| line.split('`'))
        .filter(|part| part.starts_with("veza") && part.contains("::"))
    {
        let name = format!("fn {}(", test.rsplit("::").next().unwrap());
        assert!(
            code.iter().any(|text| text.contains(&name)),
            "there is no test {test}"
        );
        shown += 1;
    }
    assert!(shown > 30, "only {shown} features");
}
