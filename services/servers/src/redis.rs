//! Redis (or Valkey) as a cache: nothing is written to disk, a restart begins empty.

use std::path::PathBuf;
use std::time::Duration;

use rustix::process::Signal;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::error::ServerError;
use crate::process::{Launch, Process};
use crate::tools::Tools;
use crate::{delegate_to_process, folder, port, secret};

const REDIS: &str = "Redis";
const ANSWER_WITHIN: Duration = Duration::from_secs(1);

/// How it is started.
#[derive(Debug, Clone, Default)]
pub struct RedisOptions {
    /// Folder for configuration, password and log; made if absent.
    pub dir: PathBuf,
    /// `None` takes a free port, and keeps it over restarts.
    pub port: Option<u16>,
    /// Certificate and key (PEM): TLS on a second port.
    pub tls: Option<(PathBuf, PathBuf)>,
}

/// A Redis server.
#[derive(Debug)]
pub struct Redis {
    tools: Tools,
    dir: PathBuf,
    port: u16,
    tls: Option<Tls>,
    password: String,
    process: Process,
}

#[derive(Debug)]
struct Tls {
    port: u16,
    certificate: PathBuf,
    key: PathBuf,
}

impl Redis {
    /// Starts it and waits until it answers.
    pub async fn start(tools: &Tools, options: RedisOptions) -> Result<Self, ServerError> {
        let dir = folder::create(&options.dir)?;
        let password = secret::load_or_create(&dir.join("password"))?;
        let port = port::claim(REDIS, options.port)?;
        let tls = options.tls.map(|(certificate, key)| {
            let port = port::claim(REDIS, None)?;
            Ok::<_, ServerError>(Tls {
                port,
                certificate,
                key,
            })
        });
        let tls = tls.transpose()?;
        let process = launch(tools, &dir, port, tls.as_ref(), &password).await?;
        Ok(Self {
            tools: tools.clone(),
            dir,
            port,
            tls,
            password,
            process,
        })
    }

    /// `redis://:password@127.0.0.1:port`.
    pub fn url(&self) -> String {
        format!("redis://:{}@127.0.0.1:{}", self.password, self.port)
    }

    /// `rediss://:password@127.0.0.1:port`, where it was started with a certificate.
    pub fn tls_url(&self) -> Option<String> {
        let port = self.tls.as_ref()?.port;
        Some(format!("rediss://:{}@127.0.0.1:{port}", self.password))
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Starts it again, empty, on the same port, stopping it first if it runs.
    pub async fn restart(&mut self) -> Result<(), ServerError> {
        if self.is_running() {
            self.stop().await;
        }
        port::claim(REDIS, Some(self.port))?;
        self.process = launch(
            &self.tools,
            &self.dir,
            self.port,
            self.tls.as_ref(),
            &self.password,
        )
        .await?;
        Ok(())
    }
}

delegate_to_process!(Redis);

async fn launch(
    tools: &Tools,
    dir: &std::path::Path,
    port: u16,
    tls: Option<&Tls>,
    password: &str,
) -> Result<Process, ServerError> {
    let secure = tls.map_or_else(String::new, |tls| {
        format!(
            "tls-port {}\ntls-cert-file \"{}\"\ntls-key-file \"{}\"\ntls-auth-clients no\n",
            tls.port,
            tls.certificate.display(),
            tls.key.display()
        )
    });
    // A cache must not refuse writes when it is full, hence the eviction of whatever was used least lately.
    let config = format!(
        "bind 127.0.0.1\nport {port}\nrequirepass {password}\ndir \"{}\"\nsave \"\"\nappendonly no\n\
         daemonize no\nmaxmemory 256mb\nmaxmemory-policy allkeys-lru\n{secure}",
        dir.display()
    );
    secret::write_private(&dir.join("redis.conf"), &config)?;
    let launch = Launch {
        server: REDIS,
        program: tools.redis_server()?.to_owned(),
        args: vec!["redis.conf".into()],
        env: Vec::new(),
        folder: dir.to_owned(),
        log: dir.join("redis.log"),
        run_as: None,
        stop_signal: Signal::TERM,
        stop_within: Duration::from_secs(5),
    };
    let process = Process::start(tools, launch).await?;
    process.ready(|| answers(port, password)).await?;
    Ok(process)
}

/// Only our own server knows the password.
async fn answers(port: u16, password: &str) -> Result<bool, ServerError> {
    const ANSWER: &[u8] = b"+OK\r\n+PONG\r\n";
    let ask = async {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream
            .write_all(format!("AUTH {password}\r\nPING\r\n").as_bytes())
            .await?;
        let mut answer = [0; ANSWER.len()];
        stream.read_exact(&mut answer).await?;
        Ok::<_, std::io::Error>(answer == ANSWER)
    };
    Ok(matches!(
        tokio::time::timeout(ANSWER_WITHIN, ask).await,
        Ok(Ok(true))
    ))
}
