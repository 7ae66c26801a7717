//! Real servers as child processes on loopback: NATS with JetStream, PostgreSQL, Redis, and an S3 server; and a mail
//! server of our own that delivers nothing.
//!
//! For `veza up`, which runs a whole platform on one machine, and for tests. Each server has its data,
//! password and log in a folder of its own, is ready when `start` returns, and is gone when its value is
//! dropped or this process ends. What is stored in a server, and who may do what there, is not decided here.

mod error;
mod fleet;
mod folder;
mod http;
mod log;
mod mail;
mod nats;
mod port;
mod postgres;
mod process;
mod redis;
mod role;
mod s3;
mod secret;
mod tools;

pub use error::ServerError;
pub use fleet::{Fleet, FleetNats, FleetOptions};
pub use mail::{CaughtMail, MailCatcher, MailCatcherOptions, MailTls};
pub use nats::{Nats, NatsCluster, NatsOptions};
pub use port::{PortOwner, free_port, owner as port_owner};
pub use postgres::{Postgres, PostgresOptions};
pub use process::Exit;
pub use redis::{Redis, RedisOptions};
pub use role::{Role, RoleOptions};
pub use s3::{S3, S3Options};
pub use tools::{PostgresInstall, Tools};

/// What all servers have in common, on the struct itself.
macro_rules! delegate_to_process {
    ($server:ty) => {
        impl $server {
            /// The process id of the server as last started.
            pub fn pid(&self) -> u32 {
                self.process.pid()
            }

            /// Whether it has not ended yet.
            pub fn is_running(&self) -> bool {
                self.process.is_running()
            }

            /// Resolves when the server as last started has ended, whoever wanted it.
            pub fn wait_exited(&self) -> impl Future<Output = $crate::Exit> + Send + 'static + use<> {
                self.process.exited()
            }

            /// Ends it in good order; killed if that takes too long.
            pub async fn stop(&self) -> $crate::Exit {
                self.process.stop().await
            }

            /// SIGKILL, as a crash would be; returns when it is gone.
            pub async fn kill9(&self) -> $crate::Exit {
                self.process.kill().await
            }

            /// Freezes it (SIGSTOP): its connections stay open and nothing answers.
            pub fn pause(&self) {
                self.process.pause();
            }

            /// Ends a [`pause`](Self::pause).
            pub fn resume(&self) {
                self.process.resume();
            }
        }
    };
}
pub(crate) use delegate_to_process;
