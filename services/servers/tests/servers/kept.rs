use std::time::Instant;

use veza_servers::{Nats, NatsOptions, Postgres, PostgresOptions, Redis, RedisOptions, S3, S3Options, Tools};

use crate::{Folder, kept, runs};

#[tokio::test]
async fn postgres_keeps_rows_over_a_stop_and_a_kill() {
    let folder = Folder::new();
    let options = PostgresOptions {
        dir: folder.path("postgres"),
        throwaway: Some(kept()),
        port: None,
    };
    let start = Instant::now();
    let mut postgres = Postgres::start(&Tools::find(), options).await.unwrap();
    eprintln!("postgres started in {:?}", start.elapsed());
    postgres.sql("veza", "CREATE TABLE seen (n int)").await.unwrap();
    for n in 0..3 {
        postgres
            .sql("veza", &format!("INSERT INTO seen VALUES ({n})"))
            .await
            .unwrap();
        let (pid, port, url) = (postgres.pid(), postgres.port(), postgres.url());
        let exit = if n % 2 == 0 {
            postgres.kill9().await
        } else {
            postgres.stop().await
        };
        assert!(exit.asked && !runs(pid));
        postgres.restart().await.unwrap();
        assert_eq!((port, url), (postgres.port(), postgres.url()));
    }
    assert_eq!(
        postgres
            .sql("veza", "SELECT count(*) FROM seen")
            .await
            .unwrap()
            .trim(),
        "3"
    );
}

#[tokio::test]
async fn postgres_makes_a_data_folder_of_its_own_when_there_is_none() {
    let folder = Folder::new();
    let options = PostgresOptions {
        dir: folder.path("postgres"),
        ..PostgresOptions::default()
    };
    let start = Instant::now();
    let postgres = Postgres::start(&Tools::find(), options.clone()).await.unwrap();
    eprintln!("postgres made and started in {:?}", start.elapsed());
    let url = postgres.url();
    postgres.stop().await;
    let start = Instant::now();
    let again = Postgres::start(
        &Tools::find(),
        PostgresOptions {
            port: Some(postgres.port()),
            ..options
        },
    )
    .await
    .unwrap();
    eprintln!("postgres started again in {:?}", start.elapsed());
    assert_eq!(again.url(), url);
    assert_eq!(again.sql("veza", "SHOW fsync").await.unwrap().trim(), "on");
}

#[tokio::test]
async fn nats_comes_back_on_its_port_with_its_name() {
    let folder = Folder::new();
    for encryption_key in [None, Some("a key of this installation".to_owned())] {
        let dir = folder.path(if encryption_key.is_some() {
            "sealed"
        } else {
            "open"
        });
        let start = Instant::now();
        let mut nats = Nats::start(
            &Tools::find(),
            NatsOptions {
                dir,
                encryption_key,
                ..NatsOptions::default()
            },
        )
        .await
        .unwrap();
        eprintln!("nats started in {:?}", start.elapsed());
        let (name, url) = (nats.name().to_owned(), nats.url());
        nats.kill9().await;
        nats.restart().await.unwrap();
        let pid = nats.pid();
        nats.restart().await.unwrap();
        assert!(!runs(pid));
        assert_eq!((nats.name(), nats.url()), (name.as_str(), url));
    }
}

#[tokio::test]
async fn redis_comes_back_on_its_port() {
    let folder = Folder::new();
    let start = Instant::now();
    let options = RedisOptions {
        dir: folder.path("redis"),
        port: None,
        tls: None,
    };
    let mut redis = Redis::start(&Tools::find(), options).await.unwrap();
    eprintln!("redis started in {:?}", start.elapsed());
    let url = redis.url();
    redis.kill9().await;
    assert!(!redis.is_running());
    redis.restart().await.unwrap();
    assert_eq!(redis.url(), url);
}

#[tokio::test]
async fn s3_keeps_objects_over_a_stop_a_kill_and_other_ports() {
    let folder = Folder::new();
    let tools = Tools::find();
    let options = S3Options {
        dir: folder.path("s3"),
        port: None,
        tls: None,
    };
    let start = Instant::now();
    let mut s3 = S3::start(&tools, options.clone()).await.unwrap();
    eprintln!("s3 started in {:?}", start.elapsed());
    assert_eq!(signed(&s3, &["-X", "PUT"], "recordings").await, "");
    let segment = folder.path("segment");
    std::fs::write(&segment, "a segment").unwrap();
    assert_eq!(
        signed(&s3, &["-T", segment.to_str().unwrap()], "recordings/one").await,
        ""
    );
    s3.stop().await;
    s3.restart().await.unwrap();
    assert_eq!(signed(&s3, &[], "recordings/one").await, "a segment");
    s3.kill9().await;
    drop(s3);
    std::fs::remove_file(folder.path("s3").join("ports.json")).unwrap();
    let start = Instant::now();
    let s3 = S3::start(&tools, options).await.unwrap();
    eprintln!("s3 started again in {:?}", start.elapsed());
    assert_eq!(signed(&s3, &[], "recordings/one").await, "a segment");
    let unsigned = curl(&[&format!("{}/recordings/one", s3.url())]).await;
    assert!(unsigned.contains("AccessDenied"), "{unsigned}");
}

/// What the S3 server answers to a signed request.
async fn signed(s3: &S3, request: &[&str], object: &str) -> String {
    let user = format!("{}:{}", s3.access_key(), s3.secret_key());
    let url = format!("{}/{object}", s3.url());
    curl(
        &[
            request,
            &["--aws-sigv4", "aws:amz:us-east-1:s3", "--user", &user, &url],
        ]
        .concat(),
    )
    .await
}

async fn curl(args: &[&str]) -> String {
    let output = tokio::process::Command::new("curl")
        .arg("-sS")
        .args(args)
        .output()
        .await
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}
