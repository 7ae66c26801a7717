//! A real object store behind TLS.

use std::process::Command;

use veza_platform::blobs::{BlobError, create_bucket};
use veza_platform::config::{S3Config, Secret};
use veza_testkit::{TestCertificates, TestS3};

/// Names the store for [`what_a_process_of_veza_does`].
const STORE: &str = "TEST_STORE";

/// This machine trusts the authority of the certificate only in the processes that are told so.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_is_reached_over_tls_by_those_who_trust_its_authority() {
    let certificates = TestCertificates::new();
    let s3 = TestS3::start_tls(&certificates).await;
    let run = |trusted: &TestCertificates| {
        let mut process = Command::new(std::env::current_exe().unwrap());
        process.args([
            "--exact",
            "--ignored",
            "--nocapture",
            "what_a_process_of_veza_does",
        ]);
        let store = format!(
            "{} {} {}",
            s3.tls_url().unwrap(),
            s3.access_key(),
            s3.secret_key()
        );
        process.env(STORE, store).env("SSL_CERT_FILE", trusted.ca());
        let output = process.output().unwrap();
        (
            output.status.success(),
            String::from_utf8_lossy(&output.stdout).into_owned(),
        )
    };
    let (worked, told) = run(&certificates);
    assert!(worked && told.contains("made a bucket"), "{told}");
    let (worked, told) = run(&TestCertificates::new());
    assert!(worked && told.contains("away"), "{told}");
}

#[tokio::test]
#[ignore = "a part of the test above, in a process of its own"]
async fn what_a_process_of_veza_does() {
    #[expect(
        clippy::disallowed_methods,
        reason = "no setting: the other test says it to this one"
    )]
    let store = std::env::var(STORE).unwrap();
    let mut parts = store.split(' ');
    let mut next = || parts.next().unwrap();
    let config = S3Config {
        endpoint: next().into(),
        access_key: Secret::new(next()),
        secret_key: Secret::new(next()),
        max_tries: 1,
        ..S3Config::default()
    };
    assert!(config.endpoint.starts_with("https://"));
    let told = match create_bucket(&config).await {
        Ok(()) => "made a bucket",
        Err(BlobError::Unavailable(_)) => "away",
        Err(error) => panic!("{error}"),
    };
    println!("{told}");
}
