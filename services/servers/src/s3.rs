//! SeaweedFS as an S3 server: one process with master, volume, filer and S3 gateway in it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::error::ServerError;
use crate::process::{Launch, Process};
use crate::tools::Tools;
use crate::{delegate_to_process, folder, http, port, secret};

const S3_SERVER: &str = "the S3 server";
const USER: &str = "veza";

/// How often other ports are chosen when some were taken meanwhile.
const PORT_TRIES: u32 = 3;

/// How it is started.
#[derive(Debug, Clone, Default)]
pub struct S3Options {
    /// Folder for objects, keys and log; made if absent.
    pub dir: PathBuf,
    /// `None` takes a free port, and keeps it over restarts. The port 10,000 above is used as well.
    pub port: Option<u16>,
    /// Certificate and key (PEM): TLS on a second port.
    pub tls: Option<(PathBuf, PathBuf)>,
}

/// An S3 server. SeaweedFS waits for its own parts: it takes 2.5 s to start again, and 4 to 8 s the first
/// time.
#[derive(Debug)]
pub struct S3 {
    tools: Tools,
    dir: PathBuf,
    ports: Ports,
    secret: String,
    tls: Option<Tls>,
    process: Process,
}

#[derive(Debug)]
struct Tls {
    port: u16,
    certificate: PathBuf,
    key: PathBuf,
}

/// Each part also opens the port 10,000 above its own.
#[derive(Debug, Clone, Copy)]
struct Ports {
    s3: u16,
    master: u16,
    volume: u16,
    filer: u16,
}

impl S3 {
    /// Starts it and waits until it can serve objects.
    pub async fn start(tools: &Tools, options: S3Options) -> Result<Self, ServerError> {
        let s3 = Self::spawn(tools, options).await?;
        s3.ready().await?;
        Ok(s3)
    }

    /// Starts it without waiting: for those who have other things to do until [`S3::ready`].
    pub async fn spawn(tools: &Tools, options: S3Options) -> Result<Self, ServerError> {
        let dir = folder::create(&options.dir)?;
        folder::create(&dir.join("data"))?;
        let secret = secret::load_or_create(&dir.join("secret-key"))?;
        let tls = options.tls.map(|(certificate, key)| {
            let port = port::claim(S3_SERVER, None)?;
            Ok::<_, ServerError>(Tls {
                port,
                certificate,
                key,
            })
        });
        let tls = tls.transpose()?;
        let mut tries = 0;
        loop {
            let ports = Ports::choose(&dir, options.port)?;
            tries += 1;
            match launch(tools, &dir, ports, tls.as_ref(), &secret).await {
                // Eight ports are many to stay free between the look and the start: others will do.
                Err(ServerError::PortBusy { .. }) if options.port.is_none() && tries < PORT_TRIES => {
                    Ports::forget(&dir);
                }
                process => {
                    let process = process?;
                    return Ok(Self {
                        tools: tools.clone(),
                        dir,
                        ports,
                        secret,
                        tls,
                        process,
                    });
                }
            }
        }
    }

    /// Waits until it can serve objects.
    pub async fn ready(&self) -> Result<(), ServerError> {
        self.process.ready(|| answers(self.ports, self.pid())).await
    }

    /// `http://127.0.0.1:port`.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports.s3)
    }

    /// `https://127.0.0.1:port`, where it was started with a certificate.
    pub fn tls_url(&self) -> Option<String> {
        let port = self.tls.as_ref()?.port;
        Some(format!("https://127.0.0.1:{port}"))
    }

    /// The S3 port.
    pub fn port(&self) -> u16 {
        self.ports.s3
    }

    /// The key id to sign requests with.
    pub fn access_key(&self) -> &str {
        USER
    }

    /// The secret that belongs to [`S3::access_key`].
    pub fn secret_key(&self) -> &str {
        &self.secret
    }

    /// Starts it again on the same ports and data, stopping it first if it runs.
    pub async fn restart(&mut self) -> Result<(), ServerError> {
        if self.is_running() {
            self.stop().await;
        }
        self.process = launch(
            &self.tools,
            &self.dir,
            self.ports,
            self.tls.as_ref(),
            &self.secret,
        )
        .await?;
        self.ready().await
    }
}

delegate_to_process!(S3);

impl Drop for S3 {
    fn drop(&mut self) {
        // Its parts talk to each other through these, and it leaves them behind.
        for (part, port) in self.ports.parts() {
            let socket = format!("/tmp/seaweedfs-{part}-grpc-{}.sock", port.saturating_add(10_000));
            let _ = std::fs::remove_file(socket);
        }
    }
}

impl Ports {
    /// Lets the next choice be a free one.
    fn forget(dir: &Path) {
        // Absent when nothing was chosen yet.
        let _ = std::fs::remove_file(dir.join("ports.json"));
    }

    /// Those of the last run where they are still free: with others it has to find its volumes anew.
    fn choose(dir: &Path, wanted: Option<u16>) -> Result<Self, ServerError> {
        let path = dir.join("ports.json");
        let stored: Value = std::fs::read_to_string(&path)
            .ok()
            .and_then(|text| serde_json::from_str(&text).ok())
            .unwrap_or_default();
        let stored = |part: &str| stored[part].as_u64().and_then(|port| u16::try_from(port).ok());
        let inner = |part: &str| match stored(part) {
            Some(port) if port::is_free(port) && port::is_free(port.saturating_add(10_000)) => Ok(port),
            _ => port::free_port_pair(),
        };
        let ports = Self {
            s3: wanted.map_or_else(|| inner("s3"), Ok)?,
            master: inner("master")?,
            volume: inner("volume")?,
            filer: inner("filer")?,
        };
        let text = Value::from_iter(ports.parts());
        std::fs::write(&path, text.to_string()).map_err(ServerError::folder(path))?;
        Ok(ports)
    }

    fn parts(self) -> [(&'static str, u16); 4] {
        [
            ("s3", self.s3),
            ("master", self.master),
            ("volume", self.volume),
            ("filer", self.filer),
        ]
    }
}

async fn launch(
    tools: &Tools,
    dir: &Path,
    ports: Ports,
    tls: Option<&Tls>,
    secret: &str,
) -> Result<Process, ServerError> {
    for (_, port) in ports.parts() {
        port::claim(S3_SERVER, Some(port))?;
        port::claim(S3_SERVER, Some(port.saturating_add(10_000)))?;
    }
    let identity = json!({ "identities": [{
        "name": USER,
        "credentials": [{ "accessKey": USER, "secretKey": secret }],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }] });
    secret::write_private(&dir.join("identities.json"), &identity.to_string())?;
    // Without these keys its inner ports serve every object to every user of the machine.
    let inner_key = secret::load_or_create(&dir.join("inner-key"))?;
    let security: String = [
        "jwt.signing",
        "jwt.signing.read",
        "jwt.filer_signing",
        "jwt.filer_signing.read",
    ]
    .map(|section| format!("[{section}]\nkey = \"{inner_key}\"\n"))
    .concat();
    secret::write_private(&dir.join("security.toml"), &security)?;
    let Ports {
        s3,
        master,
        volume,
        filer,
    } = ports;
    let args = format!(
        "-logtostderr=true server -ip=127.0.0.1 -ip.bind=127.0.0.1 -dir=data -s3 -s3.config=identities.json \
         -s3.port={s3} -master.port={master} -volume.port={volume} -filer.port={filer} -s3.port.iceberg=0 -s3.port.lance=0 \
         -master.telemetry=false -master.raftHashicorp -master.electionTimeout=1s -master.volumeSizeLimitMB=1024 -volume.max=0 -volume.preStopSeconds=0 \
         -s3.localSocket=s3.sock -filer.localSocket=filer.sock"
    );
    let mut args: Vec<OsString> = args.split_whitespace().map(Into::into).collect();
    if let Some(tls) = tls {
        args.push(format!("-s3.port.https={}", tls.port).into());
        args.push(format!("-s3.cert.file={}", tls.certificate.display()).into());
        args.push(format!("-s3.key.file={}", tls.key.display()).into());
    }
    let launch = Launch {
        server: S3_SERVER,
        program: tools.weed()?.to_owned(),
        args,
        env: Vec::new(),
        folder: dir.to_owned(),
        log: dir.join("s3.log"),
        run_as: None,
        stop_signal: Signal::TERM,
        // Asked to stop, it waits 15 s for streams among its own parts. All data is with the system by then.
        stop_within: Duration::from_secs(1),
    };
    Process::start(tools, launch).await
}

/// The gateway answers before the volumes are known, and reads would fail until they are.
async fn answers(ports: Ports, pid: u32) -> Result<bool, ServerError> {
    let port = ports.s3;
    if !http::is_ok(port, "/healthz").await {
        return Ok(false);
    }
    if port::owner(port).is_some_and(|owner| owner.pid != pid) {
        return Err(ServerError::NotOurs {
            server: S3_SERVER,
            port,
        });
    }
    let status = http::get_json(ports.master, "/dir/status").await;
    Ok(status["Topology"]["DataCenters"].is_array())
}
