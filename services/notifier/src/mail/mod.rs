//! Mail on its way out: to the one server that the settings name, over a few connections that stay open.

mod words;

use std::time::{Duration, SystemTime};

use anyhow::Context;
use lettre::message::header::{ContentTransferEncoding, ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart, SinglePart};
use lettre::transport::smtp::PoolConfig;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use url::Url;
use veza_platform::ambient;
use veza_platform::config::{Config, MailConfig};

pub use words::Words;

/// A connection that nobody has used for so long is closed.
const IDLE: Duration = Duration::from_secs(30);

/// One mail.
#[derive(Clone)]
pub struct Mail {
    /// To whom: an address.
    pub to: String,
    /// What it says.
    pub words: Words,
    /// Where one click unsubscribes (RFC 8058).
    pub unsubscribe: Option<String>,
}

/// Neither address nor words are for logs.
impl std::fmt::Debug for Mail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mail").finish_non_exhaustive()
    }
}

/// Why a mail did not go out. Says no address: what servers answer often repeats it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MailError {
    /// The server is away, or wants it later.
    #[error("the mail server is away, or asks to come back{}", code(*.0))]
    Later(Option<u16>),
    /// The server does not want it; another time it would not either.
    #[error("the mail server refused{}", code(*.0))]
    Refused(Option<u16>),
    /// It is no address that mail can be sent to.
    #[error("the address cannot be mailed to")]
    Address,
}

fn code(code: Option<u16>) -> String {
    code.map(|code| format!(" ({code})")).unwrap_or_default()
}

/// Sends mail. Cheap to clone; clones share the connections.
#[derive(Clone)]
pub struct Mailer {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
}

impl Mailer {
    /// The server of the settings; `None` in an installation without mail. Makes no connection.
    ///
    /// # Errors
    /// When the settings cannot be used.
    pub fn new(config: &Config) -> anyhow::Result<Option<Self>> {
        let mail = &config.mail;
        if !mail.is_on() {
            return Ok(None);
        }
        let from: Mailbox = mail.from.parse().context("reading `mail.from`")?;
        let url: Url = mail
            .smtp_url
            .expose()
            .parse()
            .map_err(|_| anyhow::anyhow!("`mail.smtp_url` is no address"))?;
        let host = url.host_str().context("`mail.smtp_url` names no server")?;
        let (tls, usual) = match url.scheme() {
            "smtps" => (Tls::Wrapper(tls_of(mail, host)?), 465),
            "smtp+starttls" => (Tls::Required(tls_of(mail, host)?), 587),
            _ => (Tls::None, 25),
        };
        let public = config.gateway.public_url.parse::<Url>().ok();
        let name = public.and_then(|url| url.host_str().map(str::to_owned));
        let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host)
            .port(url.port().unwrap_or(usual))
            .tls(tls)
            .hello_name(ClientId::Domain(name.unwrap_or_else(|| "localhost".to_owned())))
            .timeout(Some(Duration::from_millis(mail.timeout_ms)))
            .pool_config(
                PoolConfig::new()
                    .min_idle(0)
                    .max_size(mail.max_connections.max(1))
                    .idle_timeout(IDLE),
            );
        if !url.username().is_empty() {
            builder = builder.credentials(credentials(mail, &url));
        }
        Ok(Some(Self {
            transport: builder.build(),
            from,
        }))
    }

    /// Brings one mail to the server.
    ///
    /// # Errors
    /// [`MailError`].
    pub async fn send(&self, mail: &Mail) -> Result<(), MailError> {
        let message = self.message(mail)?;
        match self.transport.send(message).await {
            Ok(_) => Ok(()),
            Err(error) => {
                let code = error.status().map(u16::from);
                if error.is_permanent() || error.is_client() {
                    Err(MailError::Refused(code))
                } else {
                    // What the server says may repeat the address: only its kind is told.
                    tracing::debug!(
                        mail.tls = error.is_tls(),
                        mail.timeout = error.is_timeout(),
                        mail.code = code,
                        "the mail server did not take a mail"
                    );
                    Err(MailError::Later(code))
                }
            }
        }
    }

    /// Closes the connections.
    pub async fn close(&self) {
        self.transport.shutdown().await;
    }

    fn message(&self, mail: &Mail) -> Result<Message, MailError> {
        let to = mail.to.parse().map_err(|_| MailError::Address)?;
        let domain = self.from.email.domain();
        let mut message = Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, to))
            .subject(&mail.words.subject)
            .date(SystemTime::from(ambient::now()))
            .message_id(Some(format!("<{}@{domain}>", ambient::new_uuid())))
            .raw_header(header("Auto-Submitted", "auto-generated"));
        if let Some(link) = &mail.unsubscribe {
            message = message
                .raw_header(header("List-Unsubscribe", &format!("<{link}>")))
                .raw_header(header("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"));
        }
        let both = MultiPart::alternative()
            .singlepart(part(ContentType::TEXT_PLAIN, &mail.words.text))
            .singlepart(part(ContentType::TEXT_HTML, &mail.words.html));
        message.multipart(both).map_err(|_| MailError::Address)
    }
}

impl std::fmt::Debug for Mailer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mailer").finish_non_exhaustive()
    }
}

/// Always the same encoding, so that a server that splits long lines changes nothing.
fn part(kind: ContentType, text: &str) -> SinglePart {
    SinglePart::builder()
        .header(kind)
        .header(ContentTransferEncoding::QuotedPrintable)
        .body(text.to_owned())
}

/// A header of ours: ASCII, and not to be folded.
fn header(name: &'static str, value: &str) -> HeaderValue {
    let name = HeaderName::new_from_ascii_str(name);
    HeaderValue::dangerous_new_pre_encoded(name, value.to_owned(), value.to_owned())
}

fn credentials(mail: &MailConfig, url: &Url) -> Credentials {
    let clear = |text: &str| {
        percent_encoding::percent_decode_str(text)
            .decode_utf8_lossy()
            .into_owned()
    };
    let password = match url.password() {
        Some(password) => clear(password),
        None => mail.password.expose().to_owned(),
    };
    Credentials::new(clear(url.username()), password)
}

fn tls_of(mail: &MailConfig, host: &str) -> anyhow::Result<TlsParameters> {
    let mut tls = TlsParameters::builder(host.to_owned());
    if let Some(file) = &mail.ca_file {
        let pem = std::fs::read(file).with_context(|| format!("reading {}", file.display()))?;
        tls = tls.add_root_certificate(Certificate::from_pem(&pem).context("reading `mail.ca_file`")?);
    }
    tls.build().context("preparing TLS for the mail server")
}
