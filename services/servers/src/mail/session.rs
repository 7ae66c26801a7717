//! One conversation by SMTP (RFC 5321), as much of it as senders use.

use std::io::{Error, ErrorKind};
use std::sync::PoisonError;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};

use super::Shared;

/// Longest line, bytes; RFC 5321 wants 1,000.
const MAX_LINE: u64 = 4_096;
/// Largest mail, bytes.
const MAX_MAIL: usize = 10 << 20;
/// Most receivers of one mail.
const MAX_RECEIVERS: usize = 100;

/// What comes after a conversation.
pub(super) enum Next<S> {
    /// Nothing.
    Over,
    /// The same anew, under TLS.
    Tls(S),
}

/// How a conversation stands with TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// There is none here.
    Clear,
    /// A client may ask for it.
    Offered,
    /// It was there before the first word.
    Wrapped,
    /// It came when the client asked, so that greetings have been said.
    Upgraded,
}

/// A conversation.
pub(super) struct Session<'a> {
    shared: &'a Shared,
    stage: Stage,
    signed_in: bool,
    /// How many receivers the mail has; `None` before there is one.
    receivers: Option<usize>,
}

impl<'a> Session<'a> {
    pub(super) fn new(shared: &'a Shared, stage: Stage) -> Self {
        Self {
            shared,
            stage,
            signed_in: shared.login.is_none(),
            receivers: None,
        }
    }

    pub(super) async fn run<S: AsyncRead + AsyncWrite + Unpin>(
        mut self,
        stream: S,
    ) -> std::io::Result<Next<S>> {
        let mut stream = BufReader::new(stream);
        if self.stage != Stage::Upgraded {
            say(&mut stream, "220 localhost catches mail").await?;
        }
        while let Some(line) = line(&mut stream).await? {
            let (verb, rest) = line.split_once(' ').unwrap_or((&line, ""));
            let answer = match verb.to_ascii_uppercase().as_str() {
                "EHLO" => self.capabilities(),
                "HELO" | "NOOP" => "250 localhost".to_owned(),
                "RSET" => {
                    self.forget();
                    "250 2.0.0 forgotten".to_owned()
                }
                "STARTTLS" if self.stage == Stage::Offered => {
                    say(&mut stream, "220 2.0.0 begin").await?;
                    // What was said ahead in clear must not count as said under TLS.
                    if !stream.buffer().is_empty() {
                        return Err(Error::new(ErrorKind::InvalidData, "words before TLS"));
                    }
                    return Ok(Next::Tls(stream.into_inner()));
                }
                "AUTH" => self.sign_in(&mut stream, rest).await?,
                "MAIL" if !self.signed_in => "530 5.7.0 sign in first".to_owned(),
                "MAIL" => {
                    self.receivers = Some(0);
                    "250 2.1.0 good".to_owned()
                }
                "RCPT" => self.receiver(),
                "DATA" if self.receivers.unwrap_or(0) == 0 => "503 5.5.1 to whom?".to_owned(),
                "DATA" => {
                    say(&mut stream, "354 end with a point on a line of its own").await?;
                    let mail = data(&mut stream).await?;
                    self.forget();
                    match mail {
                        Some(mail) => {
                            self.shared.keep(&mail)?;
                            "250 2.0.0 caught".to_owned()
                        }
                        None => "552 5.3.4 too large".to_owned(),
                    }
                }
                "QUIT" => {
                    say(&mut stream, "221 2.0.0 bye").await?;
                    return Ok(Next::Over);
                }
                _ => "502 5.5.1 not known here".to_owned(),
            };
            say(&mut stream, &answer).await?;
        }
        Ok(Next::Over)
    }

    fn forget(&mut self) {
        self.receivers = None;
    }

    fn capabilities(&mut self) -> String {
        self.forget();
        let mut lines = vec![
            "localhost".to_owned(),
            "8BITMIME".into(),
            "SMTPUTF8".into(),
            format!("SIZE {MAX_MAIL}"),
        ];
        if self.stage == Stage::Offered {
            lines.push("STARTTLS".into());
        }
        if self.shared.login.is_some() && self.stage != Stage::Offered {
            lines.push("AUTH PLAIN".into());
        }
        let last = lines.len() - 1;
        let lines: Vec<String> = lines
            .iter()
            .enumerate()
            .map(|(at, line)| format!("250{}{line}", if at == last { ' ' } else { '-' }))
            .collect();
        lines.join("\r\n")
    }

    fn receiver(&mut self) -> String {
        let refusal = self.shared.refusal.lock();
        if let Some(refusal) = refusal.unwrap_or_else(PoisonError::into_inner).as_ref() {
            return refusal.clone();
        }
        match &mut self.receivers {
            None => "503 5.5.1 from whom?".to_owned(),
            Some(MAX_RECEIVERS..) => "452 4.5.3 too many".to_owned(),
            Some(receivers) => {
                *receivers += 1;
                "250 2.1.5 good".to_owned()
            }
        }
    }

    /// `AUTH PLAIN`: name and password behind zeros, in base64.
    async fn sign_in<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        stream: &mut BufReader<S>,
        rest: &str,
    ) -> std::io::Result<String> {
        let (mechanism, first) = rest.split_once(' ').unwrap_or((rest, ""));
        if !mechanism.eq_ignore_ascii_case("PLAIN") {
            return Ok("504 5.5.4 PLAIN alone".to_owned());
        }
        let mut given = first.to_owned();
        if given.is_empty() {
            say(stream, "334 ").await?;
            given = line(stream).await?.unwrap_or_default();
        }
        let Some((name, password)) = &self.shared.login else {
            return Ok("503 5.5.1 nobody signs in here".to_owned());
        };
        let wanted = base64(format!("\0{name}\0{password}").as_bytes());
        self.signed_in = given.trim() == wanted;
        Ok(if self.signed_in {
            "235 2.7.0 welcome".to_owned()
        } else {
            "535 5.7.8 name or password is wrong".to_owned()
        })
    }
}

async fn say<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut BufReader<S>,
    line: &str,
) -> std::io::Result<()> {
    stream.write_all(format!("{line}\r\n").as_bytes()).await?;
    stream.flush().await
}

/// The next line without its end; `None` at the end of the connection.
async fn line<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut BufReader<S>,
) -> std::io::Result<Option<String>> {
    let mut bytes = Vec::new();
    (&mut *stream)
        .take(MAX_LINE)
        .read_until(b'\n', &mut bytes)
        .await?;
    if bytes.is_empty() {
        return Ok(None);
    }
    if bytes.last() != Some(&b'\n') {
        return Err(Error::new(ErrorKind::InvalidData, "a line without end"));
    }
    Ok(Some(String::from_utf8_lossy(&bytes).trim_end().to_owned()))
}

/// A mail up to the point on a line of its own; `None` when it is too large.
async fn data<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut BufReader<S>,
) -> std::io::Result<Option<Vec<u8>>> {
    let (mut mail, mut large) = (Vec::new(), false);
    loop {
        let mut line = Vec::new();
        (&mut *stream).take(MAX_LINE).read_until(b'\n', &mut line).await?;
        if line.last() != Some(&b'\n') {
            return Err(Error::new(ErrorKind::UnexpectedEof, "a mail without end"));
        }
        if line == b".\r\n" || line == b".\n" {
            return Ok((!large).then_some(mail));
        }
        let line = line.strip_prefix(b".").unwrap_or(&line);
        large |= mail.len() + line.len() > MAX_MAIL;
        if !large {
            mail.extend_from_slice(line);
        }
    }
}

/// RFC 4648: a few bytes of a password are not worth a dependency.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for part in bytes.chunks(3) {
        let byte = |at: usize| u32::from(part.get(at).copied().unwrap_or(0));
        let word = byte(0) << 16 | byte(1) << 8 | byte(2);
        for at in 0..4 {
            let letter = LETTERS[(word >> (18 - 6 * at) & 63) as usize];
            out.push(if at <= part.len() { char::from(letter) } else { '=' });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn base64_is_that_of_rfc_4648() {
        let texts = ["", "f", "fo", "foo", "foob", "fooba", "foobar"];
        let expected = ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"];
        assert_eq!(texts.map(|text| super::base64(text.as_bytes())), expected);
    }
}
