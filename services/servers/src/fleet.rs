//! A whole platform of separate processes on this machine: the servers, and every role beside them. What
//! whole-system tests shake and benches measure.

use std::path::{Path, PathBuf};

use crate::error::ServerError;
use crate::port;
use crate::process;
use crate::role::{Role, RoleOptions};
use crate::tools::Tools;
use crate::{Nats, NatsCluster, NatsOptions, Postgres, PostgresOptions, Redis, RedisOptions, S3, S3Options};

/// How a fleet is started.
#[derive(Debug, Clone)]
pub struct FleetOptions {
    /// Folder for everything; made if absent.
    pub dir: PathBuf,
    /// The `veza` binary.
    pub binary: PathBuf,
    /// Roles to run, one process for each mention.
    pub roles: Vec<&'static str>,
    /// NATS nodes: 1, or 3 for a cluster.
    pub nats_nodes: usize,
    /// Whether there is a store for files; its first start takes some seconds.
    pub s3: bool,
    /// As [`PostgresOptions::throwaway`].
    pub throwaway_postgres: Option<PathBuf>,
    /// Further settings, over those that the fleet needs.
    pub env: Vec<(&'static str, String)>,
}

/// The NATS of a fleet.
#[expect(clippy::large_enum_variant, reason = "a fleet has one")]
#[derive(Debug)]
pub enum FleetNats {
    /// One node.
    Single(Nats),
    /// Several.
    Cluster(NatsCluster),
}

/// A running platform.
#[derive(Debug)]
pub struct Fleet {
    /// The event log.
    pub nats: FleetNats,
    /// Read models and keys.
    pub postgres: Postgres,
    /// Caches.
    pub redis: Redis,
    /// Files, if asked for.
    pub s3: Option<S3>,
    /// The roles, in the order they were asked for.
    pub roles: Vec<Role>,
    gateway_port: u16,
    env: Vec<(&'static str, String)>,
    options: FleetOptions,
    tools: Tools,
}

impl Fleet {
    /// Starts the servers side by side, sets them up, then starts the roles side by side.
    pub async fn start(tools: &Tools, options: FleetOptions) -> Result<Self, ServerError> {
        let with_s3 = async {
            let dir = options.dir.join("s3");
            if !options.s3 {
                return Ok(None);
            }
            S3::start(
                tools,
                S3Options {
                    dir,
                    ..S3Options::default()
                },
            )
            .await
            .map(Some)
        };
        let ((nats, postgres, redis), s3) = tokio::try_join!(servers(tools, &options), with_s3)?;
        let gateway_port = port::free_port()?;
        let mut env = settings(&options.dir, &nats, &postgres, &redis, gateway_port);
        env.extend(files(s3.as_ref()));
        env.extend(options.env.iter().cloned());
        let setup = process::plain(&options.binary, &["setup"], &env, &options.dir);
        process::run(tools, setup).await?;
        let mut fleet = Self {
            nats,
            postgres,
            redis,
            s3,
            roles: Vec::new(),
            gateway_port,
            env,
            options,
            tools: tools.clone(),
        };
        for role in fleet.options.roles.clone() {
            fleet.add(role).await?;
        }
        Ok(fleet)
    }

    /// Starts one more process of a role and gives its place in `roles`. Only one gateway: it has a fixed port.
    pub async fn add(&mut self, role: &'static str) -> Result<usize, ServerError> {
        let options = RoleOptions {
            binary: self.options.binary.clone(),
            role,
            dir: self.options.dir.join(format!("{role}-{}", self.roles.len())),
            env: self.env.clone(),
        };
        self.roles.push(Role::start(&self.tools, options).await?);
        Ok(self.roles.len() - 1)
    }

    /// The first process of this role.
    pub fn role_mut(&mut self, name: &str) -> Option<&mut Role> {
        self.roles.iter_mut().find(|role| role.name() == name)
    }

    /// `http://127.0.0.1:port` of the gateway.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.gateway_port)
    }

    /// The settings that its roles run with.
    pub fn env(&self) -> &[(&'static str, String)] {
        &self.env
    }

    /// Runs a command of the binary that ends by itself, with the settings of this fleet; gives what it printed.
    pub async fn run(&self, args: &[&str]) -> Result<String, ServerError> {
        let command = process::plain(&self.options.binary, args, &self.env, &self.options.dir);
        process::run(&self.tools, command).await
    }
}

async fn servers(tools: &Tools, options: &FleetOptions) -> Result<(FleetNats, Postgres, Redis), ServerError> {
    let nats = async {
        let dir = options.dir.join("nats");
        if options.nats_nodes > 1 {
            return Ok(FleetNats::Cluster(
                NatsCluster::start(tools, &dir, options.nats_nodes).await?,
            ));
        }
        Ok(FleetNats::Single(
            Nats::start(
                tools,
                NatsOptions {
                    dir,
                    ..NatsOptions::default()
                },
            )
            .await?,
        ))
    };
    let postgres = Postgres::start(
        tools,
        PostgresOptions {
            dir: options.dir.join("postgres"),
            port: None,
            throwaway: options.throwaway_postgres.clone(),
        },
    );
    let redis = Redis::start(
        tools,
        RedisOptions {
            dir: options.dir.join("redis"),
            port: None,
            tls: None,
        },
    );
    tokio::try_join!(nats, postgres, redis)
}

fn files(s3: Option<&S3>) -> Vec<(&'static str, String)> {
    let Some(s3) = s3 else {
        return vec![("VEZA__S3__ENDPOINT", String::new())];
    };
    vec![
        ("VEZA__S3__ENDPOINT", s3.url()),
        ("VEZA__S3__ACCESS_KEY", s3.access_key().to_owned()),
        ("VEZA__S3__SECRET_KEY", s3.secret_key().to_owned()),
    ]
}

fn settings(
    dir: &Path,
    nats: &FleetNats,
    postgres: &Postgres,
    redis: &Redis,
    gateway_port: u16,
) -> Vec<(&'static str, String)> {
    let (nats_url, replicas) = match nats {
        FleetNats::Single(node) => (node.url(), 1),
        FleetNats::Cluster(cluster) => (cluster.url(), cluster.nodes().len()),
    };
    vec![
        ("VEZA__PROFILE", "development".to_owned()),
        ("VEZA__NATS__URL", nats_url),
        ("VEZA__NATS__REPLICAS", replicas.to_string()),
        ("VEZA__POSTGRES__URL", postgres.url()),
        ("VEZA__REDIS__URL", redis.url()),
        ("VEZA__KEYS__KEK_FILE", dir.join("kek").display().to_string()),
        ("VEZA__GATEWAY__LISTEN", format!("127.0.0.1:{gateway_port}")),
        (
            "VEZA__GATEWAY__PUBLIC_URL",
            format!("http://127.0.0.1:{gateway_port}"),
        ),
    ]
}
