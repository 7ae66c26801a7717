//! The servers of a local platform: started together, watched, started again after a crash.

use std::{
    future::Future,
    path::{Path, PathBuf},
    pin::Pin,
    time::Duration,
};

use anyhow::Context;
use tokio::time::Instant;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use veza_platform::{
    config::{Config, Secret, ServiceUrl},
    lifecycle::Lifecycle,
};
use veza_servers::{
    Exit, MailCatcher, MailCatcherOptions, Nats, NatsOptions, Postgres, PostgresOptions, Redis, RedisOptions,
    S3, S3Options, ServerError, Tools,
};

use crate::console::Console;

/// A server that crashes more often than this within [`CRASH_WINDOW`] is given up.
const MAX_CRASHES: usize = 5;
const CRASH_WINDOW: Duration = Duration::from_mins(1);
/// Whom mail of a local platform comes from.
const MAIL_FROM: &str = "Veza <veza@localhost>";

/// The servers of our own; those that the settings name elsewhere are not among them.
pub(super) struct Stack {
    children: Vec<Child>,
    /// Runs in this process.
    mail: Option<MailCatcher>,
}

enum Child {
    Nats(Nats),
    Postgres(Postgres),
    Redis(Redis),
    S3(S3),
}

/// Does the same with whichever server it is.
macro_rules! each {
    ($child:expr, $server:ident => $body:expr) => {
        match $child {
            Child::Nats($server) => $body,
            Child::Postgres($server) => $body,
            Child::Redis($server) => $body,
            Child::S3($server) => $body,
        }
    };
}

impl Child {
    fn name(&self) -> &'static str {
        match self {
            Self::Nats(_) => "NATS",
            Self::Postgres(_) => "Postgres",
            Self::Redis(_) => "Redis",
            Self::S3(_) => "S3",
        }
    }

    fn exited(&self) -> Pin<Box<dyn Future<Output = Exit> + Send>> {
        each!(self, server => Box::pin(server.wait_exited()))
    }

    async fn restart(&mut self) -> Result<(), ServerError> {
        each!(self, server => server.restart().await)
    }

    async fn stop(&self) {
        each!(self, server => server.stop().await);
    }
}

impl Stack {
    /// Starts, side by side, every server that the settings do not name elsewhere, and names it there.
    pub(super) async fn start(data: &Path, config: &mut Config) -> anyhow::Result<Self> {
        let tools = Tools::find();
        let defaults = Config::default();
        let nats = async {
            let options = NatsOptions {
                dir: data.join("nats"),
                ..NatsOptions::default()
            };
            own(config.nats.url == defaults.nats.url, Nats::start(&tools, options)).await
        };
        let postgres = async {
            let options = PostgresOptions {
                dir: data.join("postgres"),
                ..PostgresOptions::default()
            };
            own(
                config.postgres.url == defaults.postgres.url,
                Postgres::start(&tools, options),
            )
            .await
        };
        let redis = async {
            let options = RedisOptions {
                dir: data.join("redis"),
                port: None,
                tls: None,
            };
            own(
                config.redis.url == defaults.redis.url,
                Redis::start(&tools, options),
            )
            .await
        };
        let s3 = async {
            let options = S3Options {
                dir: data.join("s3"),
                port: None,
                tls: None,
            };
            // It takes up to eight seconds, and nothing stores objects in the first of them.
            own(
                config.s3.endpoint == defaults.s3.endpoint,
                S3::spawn(&tools, options),
            )
            .await
        };
        let mail = own(!config.mail.is_on(), catch_mail(data));
        let (nats, postgres, redis, s3, mail) =
            tokio::try_join!(nats, postgres, redis, s3, mail).context("starting the servers")?;

        let mut children = Vec::new();
        if let Some(nats) = nats {
            config.nats.url = ServiceUrl::new(nats.url());
            children.push(Child::Nats(nats));
        }
        if let Some(postgres) = postgres {
            config.postgres.url = ServiceUrl::new(postgres.url());
            children.push(Child::Postgres(postgres));
        }
        if let Some(redis) = redis {
            config.redis.url = ServiceUrl::new(redis.url());
            children.push(Child::Redis(redis));
        }
        if let Some(s3) = s3 {
            config.s3.endpoint = s3.url();
            config.s3.access_key = Secret::new(s3.access_key());
            config.s3.secret_key = Secret::new(s3.secret_key());
            children.push(Child::S3(s3));
        }
        if let Some(mail) = &mail {
            config.mail.smtp_url = ServiceUrl::new(mail.url());
            if config.mail.from.is_empty() {
                MAIL_FROM.clone_into(&mut config.mail.from);
            }
        }
        config
            .keys
            .kek_file
            .get_or_insert_with(|| data.join("keys").join("kek"));
        Ok(Self { children, mail })
    }

    /// Watches the servers: a crash is said, and the server is started again.
    pub(super) fn supervise(self, lifecycle: &Lifecycle, console: &Console) -> Supervision {
        let supervision = Supervision {
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
            _mail: self.mail,
        };
        for child in self.children {
            let task = watch(
                child,
                supervision.stop.clone(),
                lifecycle.clone(),
                console.clone(),
            );
            supervision.tasks.spawn(task);
        }
        supervision
    }
}

async fn catch_mail(data: &Path) -> Result<MailCatcher, ServerError> {
    let options = MailCatcherOptions {
        dir: mail_folder(data),
        ..MailCatcherOptions::default()
    };
    MailCatcher::start(options).await
}

/// Where mails lie that a local platform has sent.
pub(crate) fn mail_folder(data: &Path) -> PathBuf {
    data.join("mail")
}

async fn own<S>(
    ours: bool,
    start: impl Future<Output = Result<S, ServerError>>,
) -> Result<Option<S>, ServerError> {
    if ours { start.await.map(Some) } else { Ok(None) }
}

/// The watch over all servers; they outlive the roles, which still need them to drain.
pub(super) struct Supervision {
    stop: CancellationToken,
    tasks: TaskTracker,
    /// Ends when it is dropped.
    _mail: Option<MailCatcher>,
}

impl Supervision {
    /// Ends all servers in good order.
    pub(super) async fn stop(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

async fn watch(mut child: Child, stop: CancellationToken, lifecycle: Lifecycle, console: Console) {
    let mut crashes: Vec<Instant> = Vec::new();
    loop {
        let exit = tokio::select! {
            exit = child.exited() => exit,
            () = stop.cancelled() => return child.stop().await,
        };
        crashes.retain(|crash| crash.elapsed() < CRASH_WINDOW);
        crashes.push(Instant::now());
        if crashes.len() > MAX_CRASHES {
            return lifecycle.fail(
                child.name(),
                format!("crashed {MAX_CRASHES} times within a minute; {exit}"),
            );
        }
        console.say(format_args!("{exit}; starting it again"));
        if let Err(error) = child.restart().await {
            return lifecycle.fail(child.name(), format!("could not be started again: {error}"));
        }
        console.say(format_args!("{} is back", child.name()));
    }
}
