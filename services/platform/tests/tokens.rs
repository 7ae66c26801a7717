//! Signing keys and ended sessions on a real server.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use async_nats::ConnectOptions;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use futures::future::join_all;
use uuid::Uuid;
use veza_events::SessionId;
use veza_platform::ambient;
use veza_platform::config::KeysConfig;
use veza_platform::event_log::{EventLog, LogOptions, StreamsSpec};
use veza_platform::keyring::Keks;
use veza_platform::lifecycle::Lifecycle;
use veza_platform::tokens::{
    ACR_ONE_FACTOR, Claims, Parties, Revocations, Rotation, SigningKeys, TokenError, Verifier,
};
use veza_testkit::{TestFolder, TestNats};

/// Whatever is waited for must come within this.
const SOON: Duration = Duration::from_secs(20);

struct Site {
    nats: TestNats,
    folder: TestFolder,
    lifecycle: Lifecycle,
}

impl Site {
    async fn new() -> Self {
        let site = Self {
            nats: TestNats::start().await,
            folder: TestFolder::new(),
            lifecycle: Lifecycle::default(),
        };
        site.log().await.apply(&StreamsSpec::builtin()).await.unwrap();
        site
    }

    async fn log(&self) -> EventLog {
        let server: async_nats::ServerAddr = self.nats.url().parse().unwrap();
        let (user, password) = (server.username().unwrap(), server.password().unwrap());
        let client = ConnectOptions::with_user_and_password(user.into(), password.into())
            .reconnect_delay_callback(|_| Duration::from_millis(50))
            .connect(&server)
            .await
            .unwrap();
        let options = LogOptions {
            lifecycle: self.lifecycle.clone(),
            ..LogOptions::new(&veza_platform::config::NatsConfig::default(), &self.lifecycle)
        };
        EventLog::connect(client, options)
    }

    async fn signing(&self, rotation: Rotation, audience: &str) -> SigningKeys {
        let file = self.folder.path().join("kek");
        Keks::create_file(&file).unwrap();
        let keys = KeysConfig {
            kek_file: Some(file),
            ..KeysConfig::default()
        };
        SigningKeys::open(
            &self.log().await,
            Keks::load(&keys).unwrap(),
            parties(audience),
            rotation,
        )
    }

    async fn verifier(&self) -> Verifier {
        let verifier = Verifier::start(&self.log().await, parties("veza"), &self.lifecycle);
        until(|| verifier.is_ready()).await;
        verifier
    }
}

fn parties(audience: &str) -> Parties {
    Parties {
        issuer: "https://veza.example".into(),
        audience: audience.into(),
    }
}

fn calm() -> Rotation {
    Rotation {
        every: Duration::from_hours(1),
        publish_ahead: Duration::from_mins(1),
        retire_after: Duration::from_mins(6),
    }
}

fn claims(life: Duration) -> Claims {
    let now = ambient::now();
    Claims {
        iss: String::new(),
        aud: String::new(),
        exp: (now + life).unix_timestamp(),
        nbf: now.unix_timestamp(),
        iat: now.unix_timestamp(),
        sub: Uuid::from_u128(1).into(),
        sid: ambient::new_uuid().into(),
        ver: 0,
        acr: ACR_ONE_FACTOR.into(),
        jti: ambient::new_uuid(),
        scope: None,
    }
}

async fn until(condition: impl Fn() -> bool) {
    let deadline = Instant::now() + SOON;
    while !condition() {
        assert!(Instant::now() < deadline, "it did not come");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn kid_of(token: &str) -> String {
    jsonwebtoken::decode_header(token).unwrap().kid.unwrap()
}

#[tokio::test]
async fn workers_that_start_together_make_one_key() {
    let site = Site::new().await;
    let workers = join_all((0..6).map(|_| site.signing(calm(), "veza"))).await;
    for outcome in join_all(workers.iter().map(SigningKeys::look_after)).await {
        outcome.unwrap();
    }
    let verifier = site.verifier().await;
    assert_eq!(verifier.jwks().keys.len(), 1);
    for worker in &workers {
        let token = worker.issue(claims(Duration::from_mins(5))).await.unwrap();
        assert!(verifier.verify(&token, ambient::now()).is_ok());
        assert_eq!(kid_of(&token), verifier.jwks().keys[0].kid);
    }
}

#[tokio::test]
async fn while_keys_change_under_use_no_token_fails() {
    let site = Site::new().await;
    let rotation = Rotation {
        every: Duration::from_millis(600),
        publish_ahead: Duration::from_millis(300),
        retire_after: Duration::from_secs(3),
    };
    let workers = [
        site.signing(rotation, "veza").await,
        site.signing(rotation, "veza").await,
    ];
    for worker in &workers {
        worker.look_after().await.unwrap();
        let life = &site.lifecycle;
        life.spawn("rotation", worker.clone().run(life.soft.clone()));
    }
    let verifier = site.verifier().await;
    let mut kids = BTreeSet::new();
    let mut live: Vec<(Instant, String)> = Vec::new();
    let began = Instant::now();
    while kids.len() < 6 {
        assert!(began.elapsed() < SOON, "{} keys", kids.len());
        for worker in &workers {
            let token = worker.issue(claims(Duration::from_mins(5))).await.unwrap();
            kids.insert(kid_of(&token));
            live.push((Instant::now(), token));
        }
        live.retain(|(made, _)| made.elapsed() < Duration::from_millis(2_500));
        for (made, token) in &live {
            let outcome = verifier.verify(token, ambient::now());
            assert!(outcome.is_ok(), "{outcome:?} after {:?}", made.elapsed());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let published = verifier.jwks().keys.len();
    assert!(published <= 10, "old keys go: {published} left of {}", kids.len());
    site.lifecycle.soft.cancel();
}

#[tokio::test]
async fn an_ended_session_is_refused_within_a_second_everywhere_and_by_those_who_come_later() {
    let site = Site::new().await;
    let signing = site.signing(calm(), "veza").await;
    signing.look_after().await.unwrap();
    let verifiers = [site.verifier().await, site.verifier().await];
    let mut listener = verifiers[0].ended_sessions();
    let (ended, open) = (claims(Duration::from_mins(5)), claims(Duration::from_mins(5)));
    let session: SessionId = ended.sid;
    let token = signing.issue(ended).await.unwrap();
    let other = signing.issue(open).await.unwrap();

    let revocations = Revocations::open(&site.log().await);
    revocations.end(session).await.unwrap();
    let told = Instant::now();
    for verifier in &verifiers {
        until(|| verifier.verify(&token, ambient::now()) == Err(TokenError::Revoked)).await;
        assert!(verifier.is_ended(session));
        assert!(verifier.verify(&other, ambient::now()).is_ok());
    }
    assert!(told.elapsed() < Duration::from_secs(1), "{:?}", told.elapsed());
    assert_eq!(listener.recv().await.unwrap(), session);
    let later = site.verifier().await;
    assert_eq!(later.verify(&token, ambient::now()), Err(TokenError::Revoked));
}

#[tokio::test]
async fn tokens_of_others_and_of_other_times_are_refused() {
    let site = Site::new().await;
    let signing = site.signing(calm(), "veza").await;
    signing.look_after().await.unwrap();
    let verifier = site.verifier().await;
    let refused = |token: &str| verifier.verify(token, ambient::now()).unwrap_err();

    let other_audience = site.signing(calm(), "someone-else").await;
    let token = other_audience
        .issue(claims(Duration::from_mins(5)))
        .await
        .unwrap();
    assert_eq!(refused(&token), TokenError::Invalid);

    let mut old = claims(Duration::ZERO);
    old.exp -= 10;
    old.nbf -= 300;
    assert_eq!(refused(&signing.issue(old).await.unwrap()), TokenError::Expired);

    let good = signing.issue(claims(Duration::from_mins(5))).await.unwrap();
    let (head, signature) = good.rsplit_once('.').unwrap();
    let header = format!(r#"{{"alg":"none","typ":"at+jwt","kid":"{}"}}"#, kid_of(&good));
    let payload = head.split('.').nth(1).unwrap();
    for forged in [
        format!("{}.{payload}.", BASE64URL.encode(&header)),
        format!("{}.{payload}.{signature}", BASE64URL.encode(&header)),
        format!("{head}."),
        format!("{head}.{}", BASE64URL.encode([0; 64])),
    ] {
        assert_eq!(refused(&forged), TokenError::Invalid);
    }

    let stranger = Site::new().await;
    let foreign = stranger.signing(calm(), "veza").await;
    let token = foreign.issue(claims(Duration::from_mins(5))).await.unwrap();
    assert_eq!(refused(&token), TokenError::Invalid);
}

#[tokio::test]
async fn without_nats_tokens_are_made_and_checked_as_before() {
    let mut site = Site::new().await;
    let signing = site.signing(calm(), "veza").await;
    signing.look_after().await.unwrap();
    let verifier = site.verifier().await;
    site.nats.kill9().await;
    let token = signing.issue(claims(Duration::from_mins(5))).await.unwrap();
    assert!(verifier.verify(&token, ambient::now()).is_ok());

    // Back again, a session that ends is heard of as before.
    site.nats.restart().await.unwrap();
    let session = verifier.verify(&token, ambient::now()).unwrap().sid;
    let revocations = Revocations::open(&site.log().await);
    let deadline = Instant::now() + SOON;
    while let Err(problem) = revocations.end(session).await {
        assert!(Instant::now() < deadline, "{problem}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    until(|| verifier.verify(&token, ambient::now()) == Err(TokenError::Revoked)).await;
}

#[tokio::test]
async fn before_keys_are_known_nothing_is_accepted() {
    let site = Site::new().await;
    let verifier = Verifier::start(&site.log().await, parties("veza"), &site.lifecycle);
    assert_eq!(
        verifier.verify("a.b.c", ambient::now()),
        Err(TokenError::NotReady)
    );
}
