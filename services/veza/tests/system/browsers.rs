//! Browsers, for tests: a server for the page of `examples/call`, and Chromium with a camera and a microphone that
//! are not there.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    process::Stdio,
    sync::{Arc, Mutex},
};

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    process::{Child, Command},
};

/// What the pages have reported last, by name.
type Reports = Arc<Mutex<HashMap<String, Value>>>;

/// Serves the example, and takes reports at `/<name>`.
pub(crate) struct Pages {
    pub(crate) origin: String,
    reports: Reports,
    listener: Option<TcpListener>,
}

impl Pages {
    pub(crate) async fn bind() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self {
            origin: format!("http://{}", listener.local_addr().unwrap()),
            reports: Arc::default(),
            listener: Some(listener),
        }
    }

    /// Serves to the end of the test.
    pub(crate) fn serve(&mut self) -> tokio::task::JoinHandle<()> {
        let (listener, reports) = (self.listener.take().unwrap(), Arc::clone(&self.reports));
        #[expect(clippy::disallowed_methods, reason = "a test has no role")]
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let reports = Arc::clone(&reports);
                tokio::spawn(async move { answer(stream, reports).await });
            }
        })
    }

    pub(crate) fn report(&self, name: &str) -> Value {
        let reports = self.reports.lock().unwrap();
        reports.get(name).cloned().unwrap_or_default()
    }
}

/// One request, one answer: enough for a page and its script.
async fn answer(mut stream: TcpStream, reports: Reports) {
    let (mut request, mut piece) = (Vec::new(), [0; 4_096]);
    let (head, body) = loop {
        let Ok(read @ 1..) = stream.read(&mut piece).await else {
            return;
        };
        request.extend_from_slice(&piece[..read]);
        let text = String::from_utf8_lossy(&request).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length")
                .then(|| value.trim().parse::<usize>().ok())?
        });
        if body.len() >= length.unwrap_or(0) {
            break (head.to_owned(), body.to_owned());
        }
    };
    let mut words = head.split(' ');
    let (method, path) = (words.next().unwrap_or(""), words.next().unwrap_or("/"));
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/call");
    let (kind, content) = match (method, path) {
        ("POST", name) => {
            let report = serde_json::from_str(&body).unwrap_or_default();
            let name = name.trim_start_matches('/').to_owned();
            reports.lock().unwrap().insert(name, report);
            ("text/plain", Vec::new())
        }
        (_, "/call.js" | "/watch.js") => ("text/javascript", std::fs::read(folder.join(&path[1..])).unwrap()),
        (_, "/watch.html") => ("text/html", std::fs::read(folder.join("watch.html")).unwrap()),
        _ => ("text/html", std::fs::read(folder.join("index.html")).unwrap()),
    };
    let length = content.len();
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.ok();
    stream.write_all(&content).await.ok();
}

/// A browser that shows one page. Ends with the test.
pub(crate) struct Browser(#[expect(dead_code, reason = "ends what it holds")] Child);

impl Browser {
    /// Opens `url` with a profile of its own in `folder`.
    pub(crate) fn open(url: &str, folder: &Path) -> Self {
        let chromium = ["/usr/bin/chromium", "/usr/bin/chromium-browser"]
            .map(PathBuf::from)
            .into_iter()
            .find(|path| path.exists())
            .expect("run `./veza test`: Chromium is missing");
        let profile = format!("--user-data-dir={}", folder.display());
        // The beeps that Chromium makes by itself are too short to be somebody who speaks.
        std::fs::create_dir_all(folder).unwrap();
        let voice = folder.join("voice.wav");
        std::fs::write(&voice, sound()).unwrap();
        let voice = format!("--use-file-for-fake-audio-capture={}", voice.display());
        let child = Command::new(chromium)
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-quic",
                "--disable-dev-shm-usage",
                "--no-first-run",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                "--autoplay-policy=no-user-gesture-required",
                "--use-fake-device-for-media-stream",
                "--use-fake-ui-for-media-stream",
                &voice,
                &profile,
                url,
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        Self(child)
    }
}

/// Somebody who says words for five seconds, then nothing for three: a WAV file, which begins again at its end.
fn sound() -> Vec<u8> {
    const RATE: u32 = 48_000;
    let mut samples = Vec::new();
    for n in 0..RATE * 8 {
        // Words of 0.4 seconds, with 0.1 between them.
        let speaks = n < RATE * 5 && n % (RATE / 2) < RATE * 2 / 5;
        // A voice of 150 vibrations a second, with as many overtones as there are in one.
        let (period, slope) = (RATE / 150, 24_000 / (RATE / 150));
        let height = i32::try_from(n % period * slope).unwrap() - 12_000;
        let sample = if speaks { height } else { 0 };
        samples.extend_from_slice(&i16::try_from(sample).unwrap().to_le_bytes());
    }
    let length = u32::try_from(samples.len()).unwrap();
    let mut file = Vec::new();
    file.extend_from_slice(b"RIFF");
    file.extend_from_slice(&(length + 36).to_le_bytes());
    file.extend_from_slice(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
    file.extend_from_slice(&RATE.to_le_bytes());
    file.extend_from_slice(&(RATE * 2).to_le_bytes());
    file.extend_from_slice(b"\x02\0\x10\0data");
    file.extend_from_slice(&length.to_le_bytes());
    file.extend_from_slice(&samples);
    file
}
