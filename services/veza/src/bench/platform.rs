//! The platform that a bench measures, with the limits per person out of the way.

use std::{
    path::PathBuf,
    sync::atomic::{AtomicU32, Ordering},
};

use anyhow::Context;
use uuid::Uuid;
use veza_servers::{Fleet, FleetOptions, Tools};

use veza_client::{Api, Person};

/// A folder that is gone when the bench is.
#[derive(Debug)]
pub(super) struct Folder(pub(super) PathBuf);

impl Folder {
    pub(super) fn new() -> anyhow::Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("veza-bench-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).with_context(|| format!("creating {}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed stays in the system's folder for such things.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Starts one process of each of `roles`.
pub(super) async fn start(folder: &Folder, roles: &[&'static str]) -> anyhow::Result<Fleet> {
    let many = "1000000".to_owned();
    let env = [
        "VEZA__REALTIME__FRAMES_PER_MINUTE",
        "VEZA__REALTIME__FRAME_BURST",
        "VEZA__REALTIME__MAX_SOCKETS_PER_ACCOUNT",
        "VEZA__LIMITS__REQUESTS_PER_MINUTE_PER_ACCOUNT",
        "VEZA__LIMITS__REQUESTS_PER_MINUTE_PER_ADDRESS",
        "VEZA__LIMITS__REQUEST_BURST",
        "VEZA__LIMITS__SIGN_IN_PER_MINUTE_PER_ADDRESS",
        "VEZA__LIMITS__REGISTRATIONS_PER_HOUR_PER_ADDRESS",
        "VEZA__GATEWAY__MAX_CONNECTIONS_PER_ADDRESS",
    ];
    let mut env: Vec<(&'static str, String)> = env.into_iter().map(|name| (name, many.clone())).collect();
    env.push(("VEZA__TELEMETRY__LOG_FILTER", "warn".to_owned()));
    // People register here by the dozen; how slow a password hash is made is not what is measured.
    env.push(("VEZA__ACCOUNTS__ARGON2_MEMORY_KIB", "8192".to_owned()));
    let options = FleetOptions {
        dir: folder.0.clone(),
        binary: std::env::current_exe()?,
        roles: roles.to_vec(),
        nats_nodes: 1,
        s3: false,
        throwaway_postgres: None,
        env,
    };
    Ok(Fleet::start(&Tools::find(), options).await?)
}

/// `count` people who are all members of one space; the first owns it.
pub(super) async fn people(url: &str, count: usize) -> anyhow::Result<(Vec<Person>, Uuid)> {
    let api = Api::new(url);
    let password = Uuid::to_string(&veza_platform::ambient::new_uuid());
    let mut people = Vec::with_capacity(count);
    for number in 0..count {
        people.push(
            api.register(&format!("bench{number}"), "Bench", &password)
                .await?,
        );
    }
    let space = people[0].create_space("Bench").await?;
    let code = people[0].invite(space).await?;
    for person in &people[1..] {
        person.accept(&code).await?;
    }
    Ok((people, space))
}
