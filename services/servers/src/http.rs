//! Just enough HTTP to ask a server on this machine how it is.

use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// Longer answers are cut.
const LONGEST_ANSWER: u64 = 4 << 20;

/// Status and body of a page; status 0 if what answers does not speak HTTP.
pub(crate) async fn get(port: u16, path: &str) -> std::io::Result<(u16, String)> {
    let ask = async {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
        // Version 1.0 answers come in one piece, and end where the connection does.
        let request = format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.take(LONGEST_ANSWER).read_to_end(&mut answer).await?;
        Ok::<_, std::io::Error>(String::from_utf8_lossy(&answer).into_owned())
    };
    let answer = tokio::time::timeout(ANSWER_WITHIN, ask).await??;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .unwrap_or(0);
    Ok((status, body.to_owned()))
}

/// Whether a page answers 200.
pub(crate) async fn is_ok(port: u16, path: &str) -> bool {
    get(port, path).await.is_ok_and(|(status, _)| status == 200)
}

/// A page of JSON; `null` if there is none.
pub(crate) async fn get_json(port: u16, path: &str) -> Value {
    let (_, body) = get(port, path).await.unwrap_or_default();
    serde_json::from_str(&body).unwrap_or_default()
}
