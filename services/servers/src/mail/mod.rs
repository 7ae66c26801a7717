//! A mail server that delivers nothing: what it is given lies in a folder, one `.eml` file for each mail.
//!
//! For a platform on one machine, and for tests. It runs inside this process, and ends when its value is dropped.

mod read;
mod session;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::error::ServerError;
use crate::{folder, port};

pub use read::CaughtMail;
use session::{Next, Session, Stage};

/// Connections at once; more wait.
const MAX_CONNECTIONS: usize = 64;
/// Mails that are kept; the oldest make room.
const MAX_KEPT: usize = 1_000;
/// Longest conversation.
const CONVERSATION: Duration = Duration::from_mins(10);

/// How a mail catcher is started.
#[derive(Debug, Clone, Default)]
pub struct MailCatcherOptions {
    /// Folder of the mails; made if absent.
    pub dir: PathBuf,
    /// Port on 127.0.0.1; a free one when absent.
    pub port: Option<u16>,
    /// Who may send, and with which password; everybody when absent.
    pub login: Option<(String, String)>,
    /// How it is spoken to under TLS.
    pub tls: Option<MailTls>,
}

/// TLS of a mail catcher.
#[derive(Debug, Clone)]
pub struct MailTls {
    /// File with its certificate, PEM.
    pub certificate: PathBuf,
    /// File with its key, PEM.
    pub key: PathBuf,
    /// Whether TLS comes first; else a client asks for it (STARTTLS).
    pub first: bool,
}

/// A running mail catcher.
#[derive(Debug)]
pub struct MailCatcher {
    port: u16,
    shared: Arc<Shared>,
    /// Holds the server; dropping aborts it.
    _server: JoinSet<()>,
}

struct Shared {
    dir: PathBuf,
    login: Option<(String, String)>,
    acceptor: Option<(TlsAcceptor, bool)>,
    /// What every receiver is refused with.
    refusal: Mutex<Option<String>>,
    count: AtomicU64,
    connections: AtomicU64,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared")
            .field("dir", &self.dir)
            .finish_non_exhaustive()
    }
}

impl MailCatcher {
    /// Starts to listen.
    pub async fn start(options: MailCatcherOptions) -> Result<Self, ServerError> {
        let dir = folder::create(&options.dir)?;
        let port = match options.port {
            Some(port) => port,
            None => port::free_port()?,
        };
        let acceptor = match &options.tls {
            Some(tls) => Some((acceptor(tls)?, tls.first)),
            None => None,
        };
        let busy = |_| ServerError::PortBusy {
            server: "mail catcher",
            port,
            owner: port::owner(port).map(|owner| owner.to_string()),
        };
        let listener = TcpListener::bind(("127.0.0.1", port)).await.map_err(busy)?;
        let shared = Arc::new(Shared {
            login: options.login,
            acceptor,
            refusal: Mutex::default(),
            count: AtomicU64::new(read::last(&dir) + 1),
            connections: AtomicU64::new(0),
            dir,
        });
        let mut server = JoinSet::new();
        server.spawn(listen(listener, Arc::clone(&shared)));
        Ok(Self {
            port,
            shared,
            _server: server,
        })
    }

    /// Where it listens on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `smtp://127.0.0.1:port`.
    pub fn url(&self) -> String {
        format!("smtp://127.0.0.1:{}", self.port)
    }

    /// Where the mails lie.
    pub fn dir(&self) -> &Path {
        &self.shared.dir
    }

    /// Answers every receiver with this from now on, such as `451 4.3.0 later`; takes mail again on `None`.
    pub fn refuse(&self, answer: Option<&str>) {
        let mut refusal = self.shared.refusal.lock().unwrap_or_else(PoisonError::into_inner);
        *refusal = answer.map(str::to_owned);
    }

    /// Connections that were made to it so far.
    pub fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::Relaxed)
    }

    /// What it caught, oldest first.
    pub fn caught(&self) -> Vec<CaughtMail> {
        CaughtMail::list(&self.shared.dir)
    }
}

async fn listen(listener: TcpListener, shared: Arc<Shared>) {
    let mut conversations = JoinSet::new();
    loop {
        while conversations.len() >= MAX_CONNECTIONS {
            conversations.join_next().await;
        }
        while conversations.try_join_next().is_some() {}
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        shared.connections.fetch_add(1, Ordering::Relaxed);
        let shared = Arc::clone(&shared);
        conversations.spawn(async move {
            let talk = converse(&shared, stream);
            if let Ok(Err(error)) = tokio::time::timeout(CONVERSATION, talk).await {
                tracing::debug!(%error, "a conversation with the mail catcher broke off");
            }
        });
    }
}

async fn converse(shared: &Shared, stream: TcpStream) -> std::io::Result<()> {
    let Some((acceptor, first)) = &shared.acceptor else {
        return Session::new(shared, Stage::Clear).run(stream).await.map(drop);
    };
    if *first {
        let stream = acceptor.accept(stream).await?;
        return Session::new(shared, Stage::Wrapped).run(stream).await.map(drop);
    }
    if let Next::Tls(stream) = Session::new(shared, Stage::Offered).run(stream).await? {
        let stream = acceptor.accept(stream).await?;
        Session::new(shared, Stage::Upgraded).run(stream).await?;
    }
    Ok(())
}

impl Shared {
    /// Keeps a mail. It is there as a whole or not at all.
    fn keep(&self, mail: &[u8]) -> std::io::Result<()> {
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        let path = self.dir.join(format!("{number:09}.eml"));
        let part = path.with_extension("part");
        std::fs::write(&part, mail)?;
        std::fs::rename(&part, &path)?;
        let kept = read::files(&self.dir);
        for old in kept.iter().rev().skip(MAX_KEPT) {
            std::fs::remove_file(old)?;
        }
        Ok(())
    }
}

fn acceptor(tls: &MailTls) -> Result<TlsAcceptor, ServerError> {
    let unreadable = |path: &Path, error: String| {
        ServerError::folder(path)(std::io::Error::new(std::io::ErrorKind::InvalidData, error))
    };
    let chain = CertificateDer::pem_file_iter(&tls.certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| unreadable(&tls.certificate, error.to_string()))?;
    let key =
        PrivateKeyDer::from_pem_file(&tls.key).map_err(|error| unreadable(&tls.key, error.to_string()))?;
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| unreadable(&tls.certificate, error.to_string()))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}
