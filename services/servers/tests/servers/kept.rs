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
async fn s3_comes_back_on_its_ports() {
    let folder = Folder::new();
    let start = Instant::now();
    let mut s3 = S3::start(
        &Tools::find(),
        S3Options {
            dir: folder.path("s3"),
            port: None,
        },
    )
    .await
    .unwrap();
    eprintln!("s3 started in {:?}", start.elapsed());
    let start = Instant::now();
    s3.stop().await;
    eprintln!("s3 stopped in {:?}", start.elapsed());
    s3.restart().await.unwrap();
}
