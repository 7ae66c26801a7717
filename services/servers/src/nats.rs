//! nats-server: one node, or a cluster of them on this machine.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::TcpStream;

use crate::error::ServerError;
use crate::process::{Launch, Process};
use crate::tools::Tools;
use crate::{delegate_to_process, folder, http, port, secret};

const NATS: &str = "NATS";
const USER: &str = "veza";
const SERVER_CONF: &str = include_str!("../../../nats/server.conf");
const CLUSTER_CONF: &str = include_str!("../../../nats/cluster.conf");
/// A server that is asked must answer within this, or is asked again.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);
/// How long a fresh cluster may take to agree on a leader.
const LEADER_WITHIN: Duration = Duration::from_secs(30);

/// How a node is started.
#[derive(Debug, Clone, Default)]
pub struct NatsOptions {
    /// Folder for streams, configuration, password and log; made if absent.
    pub dir: PathBuf,
    /// Client port; `None` takes a free one, and keeps it over restarts.
    pub port: Option<u16>,
    /// Encrypts the files of the streams; `None` leaves them unencrypted.
    pub encryption_key: Option<String>,
    /// Opens the monitoring page (`/healthz`, `/jsz`) on a free port.
    pub monitor: bool,
}

/// A nats-server with JetStream.
#[derive(Debug)]
pub struct Nats {
    tools: Tools,
    node: Node,
    process: Process,
}

/// All that stays the same over restarts.
#[derive(Debug, Clone)]
struct Node {
    name: String,
    dir: PathBuf,
    port: u16,
    monitor: Option<u16>,
    password: String,
    encryption_key: Option<String>,
    cluster: Option<Membership>,
}

#[derive(Debug, Clone)]
struct Membership {
    port: u16,
    password: String,
    others: Vec<u16>,
}

impl Nats {
    /// Starts it and waits until it answers under its own name.
    pub async fn start(tools: &Tools, options: NatsOptions) -> Result<Self, ServerError> {
        let dir = folder::create(&options.dir)?;
        let password = secret::load_or_create(&dir.join("password"))?;
        // Any name will do, if it stays: it tells our server from another on the same port.
        let name = format!("veza-{}", &secret::load_or_create(&dir.join("name"))?[..9]);
        let node = Node {
            name,
            port: port::claim(NATS, options.port)?,
            monitor: options.monitor.then(port::free_port).transpose()?,
            dir,
            password,
            encryption_key: options.encryption_key,
            cluster: None,
        };
        let process = node.launch(tools).await?;
        Ok(Self {
            tools: tools.clone(),
            node,
            process,
        })
    }

    /// `nats://user:password@127.0.0.1:port`.
    pub fn url(&self) -> String {
        format!(
            "nats://{USER}:{}@127.0.0.1:{}",
            self.node.password, self.node.port
        )
    }

    /// The client port.
    pub fn port(&self) -> u16 {
        self.node.port
    }

    /// The server's name, as JetStream reports it for leaders and replicas.
    pub fn name(&self) -> &str {
        &self.node.name
    }

    /// The port of the monitoring page, if it was asked for.
    pub fn monitor_port(&self) -> Option<u16> {
        self.node.monitor
    }

    /// Starts it again on the same port and data, stopping it first if it runs.
    pub async fn restart(&mut self) -> Result<(), ServerError> {
        if self.is_running() {
            self.stop().await;
        }
        self.process = self.node.launch(&self.tools).await?;
        Ok(())
    }
}

delegate_to_process!(Nats);

impl Node {
    async fn launch(&self, tools: &Tools) -> Result<Process, ServerError> {
        for port in [
            Some(self.port),
            self.monitor,
            self.cluster.as_ref().map(|cluster| cluster.port),
        ]
        .into_iter()
        .flatten()
        {
            port::claim(NATS, Some(port))?;
        }
        for (file, text) in [("server.conf", SERVER_CONF), ("cluster.conf", CLUSTER_CONF)] {
            let path = self.dir.join(file);
            std::fs::write(&path, text).map_err(ServerError::folder(path))?;
        }
        let config = if self.cluster.is_some() {
            "cluster.conf"
        } else {
            "server.conf"
        };
        let launch = Launch {
            server: NATS,
            program: tools.nats_server()?.to_owned(),
            args: vec!["-c".into(), config.into()],
            env: self.variables(),
            folder: self.dir.clone(),
            log: self.dir.join("nats.log"),
            run_as: None,
            stop_signal: Signal::INT,
            stop_within: Duration::from_secs(10),
        };
        let process = Process::start(tools, launch).await?;
        process.ready(|| self.answers()).await?;
        Ok(process)
    }

    /// What the committed configuration files read from the environment.
    fn variables(&self) -> Vec<(&'static str, String)> {
        let quoted = |text: &str| format!("\"{text}\"");
        let mut variables = vec![
            ("VEZA_NATS_NAME", quoted(&self.name)),
            ("VEZA_NATS_HOST", "127.0.0.1".to_owned()),
            ("VEZA_NATS_PORT", self.port.to_string()),
            (
                "VEZA_NATS_MONITOR",
                format!("127.0.0.1:{}", self.monitor.unwrap_or(0)),
            ),
            (
                "VEZA_NATS_DATA",
                quoted(&self.dir.join("data").display().to_string()),
            ),
            (
                "VEZA_NATS_KEY",
                quoted(self.encryption_key.as_deref().unwrap_or_default()),
            ),
            ("VEZA_NATS_USER", USER.to_owned()),
            ("VEZA_NATS_PASSWORD", quoted(&self.password)),
        ];
        if let Some(cluster) = &self.cluster {
            let route = |port| format!("\"nats://{USER}:{}@127.0.0.1:{port}\"", cluster.password);
            let routes: Vec<String> = cluster.others.iter().map(route).collect();
            variables.extend([
                ("VEZA_NATS_CLUSTER", format!("127.0.0.1:{}", cluster.port)),
                ("VEZA_NATS_ROUTES", format!("[{}]", routes.join(", "))),
                ("VEZA_NATS_ROUTE_USER", USER.to_owned()),
                ("VEZA_NATS_ROUTE_PASSWORD", quoted(&cluster.password)),
            ]);
        }
        variables
    }

    /// A port that could not be opened is only a line in the server's log, so the name counts: it
    /// stands in the `INFO` line with which every nats-server greets.
    async fn answers(&self) -> Result<bool, ServerError> {
        let greeting = async {
            let stream = TcpStream::connect(("127.0.0.1", self.port)).await?;
            let mut line = String::new();
            BufReader::new(stream.take(64 << 10)).read_line(&mut line).await?;
            Ok::<_, std::io::Error>(line)
        };
        let Ok(Ok(line)) = tokio::time::timeout(ANSWER_WITHIN, greeting).await else {
            return Ok(false);
        };
        let info: Value = line
            .strip_prefix("INFO ")
            .and_then(|info| serde_json::from_str(info).ok())
            .unwrap_or_default();
        match info["server_name"].as_str() {
            Some(name) if name == self.name => Ok(true),
            Some(_) => Err(ServerError::NotOurs {
                server: NATS,
                port: self.port,
            }),
            None => Ok(false),
        }
    }
}

/// Several nodes on this machine that replicate among themselves.
#[derive(Debug)]
pub struct NatsCluster {
    nodes: Vec<Nats>,
}

impl NatsCluster {
    /// Starts `size` nodes under `dir` and waits until all follow one leader.
    pub async fn start(tools: &Tools, dir: &Path, size: usize) -> Result<Self, ServerError> {
        let dir = folder::create(dir)?;
        let password = secret::load_or_create(&dir.join("password"))?;
        let route_password = secret::load_or_create(&dir.join("route-password"))?;
        let mut members = Vec::new();
        for _ in 0..size {
            members.push(port::free_port()?);
        }
        let mut starting = tokio::task::JoinSet::new();
        for (index, &member) in members.iter().enumerate() {
            let name = format!("n{}", index + 1);
            let node = Node {
                dir: dir.join(&name),
                name,
                port: port::free_port()?,
                monitor: Some(port::free_port()?),
                password: password.clone(),
                encryption_key: None,
                cluster: Some(Membership {
                    port: member,
                    password: route_password.clone(),
                    others: members.iter().copied().filter(|&other| other != member).collect(),
                }),
            };
            folder::create(&node.dir)?;
            let tools = tools.clone();
            starting.spawn(async move {
                let process = node.launch(&tools).await?;
                Ok::<_, ServerError>(Nats { tools, node, process })
            });
        }
        let mut nodes = starting
            .join_all()
            .await
            .into_iter()
            .collect::<Result<Vec<_>, _>>()?;
        nodes.sort_by(|a, b| a.name().cmp(b.name()));
        let cluster = Self { nodes };
        cluster.settled().await?;
        Ok(cluster)
    }

    /// The addresses of all nodes, separated by commas.
    pub fn url(&self) -> String {
        let urls: Vec<String> = self.nodes.iter().map(Nats::url).collect();
        urls.join(",")
    }

    /// The nodes, named `n1`, `n2`, …
    pub fn nodes(&self) -> &[Nats] {
        &self.nodes
    }

    /// The node of that name, to stop or restart it.
    pub fn node_mut(&mut self, name: &str) -> Option<&mut Nats> {
        self.nodes.iter_mut().find(|node| node.name() == name)
    }

    /// Name of the node that leads the cluster's own decisions; waits until there is one.
    /// (Each stream has a leader of its own: see its `cluster.leader`.)
    pub async fn leader(&self) -> Result<String, ServerError> {
        self.until(|_| true).await
    }

    /// Waits until there is a leader and every node follows it. A node that is killed before may leave
    /// the others without a majority that knows each other, and so without a leader for good.
    pub async fn settled(&self) -> Result<String, ServerError> {
        let others = self.nodes.len() - 1;
        self.until(|meta| {
            let replicas = meta["replicas"].as_array().map(Vec::as_slice).unwrap_or_default();
            replicas.len() == others && replicas.iter().all(|replica| replica["current"] == true)
        })
        .await
    }

    /// Asks every node whether it leads, until one does and what it says of the cluster is `enough`.
    async fn until(&self, enough: impl Fn(&Value) -> bool) -> Result<String, ServerError> {
        let search = async {
            loop {
                for node in self.nodes.iter().filter(|node| node.is_running()) {
                    let jetstream = http::get_json(node.monitor_port().unwrap_or_default(), "/jsz").await;
                    let meta = &jetstream["meta_cluster"];
                    if meta["leader"] == node.name() && enough(meta) {
                        return node.name().to_owned();
                    }
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let not_ready = |_| ServerError::NotReady {
            server: "the NATS cluster",
            after: LEADER_WITHIN,
            log: self
                .nodes
                .first()
                .map(|node| node.node.dir.join("nats.log"))
                .unwrap_or_default(),
            last_words: String::new(),
        };
        tokio::time::timeout(LEADER_WITHIN, search)
            .await
            .map_err(not_ready)
    }

    /// Ends all nodes in good order.
    pub async fn stop(&self) {
        for node in &self.nodes {
            node.stop().await;
        }
    }
}
