use std::time::{Duration, Instant};

use veza_platform::contract::ProblemKind;
use veza_testkit::TestPostgres;

use crate::site::{PASSWORD, SOON, Site, caller, code, registration, signing_in};

#[tokio::test]
async fn without_postgres_those_known_sign_in_and_nobody_new_registers() {
    let mut postgres = TestPostgres::start().await;
    postgres.create_database("people").await.unwrap();
    let site = Site::with(1, &postgres.url_of("people"), |config| {
        config.postgres.acquire_timeout_ms = 2_000;
    })
    .await;
    let deadline = Instant::now() + SOON;
    while code(site.give(&caller(), &registration("ada")).await) == "platform.unavailable" {
        assert!(Instant::now() < deadline, "a busy machine, but not that busy");
    }
    postgres.kill9().await;

    let pair = site.sign_in("ada").await;
    let pair = site.refresh(&pair.refresh_token).await.unwrap();
    assert!(site.verify(&pair).is_ok());
    assert_eq!(
        code(site.give(&caller(), &signing_in("ada", "a wrong phrase")).await),
        "session.credentials"
    );
    let problem = site.give(&caller(), &registration("grace")).await.unwrap_err();
    assert_eq!(problem.kind, ProblemKind::Unavailable);
    assert!(problem.retry_after_ms.is_some());

    postgres.restart().await.unwrap();
    let deadline = Instant::now() + SOON;
    let command = caller();
    while let Err(problem) = site.give(&command, &registration("grace")).await {
        assert_eq!(problem.kind, ProblemKind::Unavailable, "{problem}");
        assert!(Instant::now() < deadline, "{problem}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(
        code(site.give(&caller(), &signing_in("grace", PASSWORD)).await),
        "done"
    );
}
