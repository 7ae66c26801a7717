//! A platform for one test, and people on it.

use std::{collections::HashMap, path::PathBuf, time::Duration};

use serde_json::{Value, json};
use uuid::Uuid;
use veza_client::{Api, Conversation, Person, Talker};
use veza_testkit::{
    TestFolder,
    history::{Acked, Entry, History, Sent},
    veza_servers::{Fleet, FleetOptions, Tools},
};

pub(crate) const PASSWORD: &str = "correct horse battery staple";
/// Long enough for a machine with one busy core; nothing waits for it when all is well.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

pub(crate) struct Platform {
    pub(crate) fleet: Fleet,
    folder: TestFolder,
}

pub(crate) const EVERY_ROLE: [&str; 6] = ["accounts", "chat", "media", "projector", "gateway", "notifier"];

impl Platform {
    pub(crate) async fn start() -> Self {
        Self::with(&EVERY_ROLE, 1, &[]).await
    }

    /// One that also takes files.
    pub(crate) async fn with_files(env: &[(&'static str, &str)]) -> Self {
        Self::of(&EVERY_ROLE, 1, true, env).await
    }

    pub(crate) async fn with(
        roles: &[&'static str],
        nats_nodes: usize,
        env: &[(&'static str, &str)],
    ) -> Self {
        Self::of(roles, nats_nodes, false, env).await
    }

    async fn of(
        roles: &[&'static str],
        nats_nodes: usize,
        files: bool,
        env: &[(&'static str, &str)],
    ) -> Self {
        let folder = TestFolder::new();
        // Fast enough to register people by the dozen, and no limit in the way of a test that is not about it.
        let mut settings: Vec<(&'static str, String)> = [
            ("VEZA__ACCOUNTS__ARGON2_MEMORY_KIB", "64"),
            ("VEZA__ACCOUNTS__ARGON2_ITERATIONS", "1"),
            ("VEZA__REALTIME__FRAMES_PER_MINUTE", "1000000"),
            ("VEZA__REALTIME__FRAME_BURST", "1000000"),
            ("VEZA__REALTIME__RESTART_JITTER_MS", "100"),
            ("VEZA__MEDIA__LISTEN", "127.0.0.1:0"),
            ("VEZA__LIMITS__REQUESTS_PER_MINUTE_PER_ACCOUNT", "1000000"),
            ("VEZA__LIMITS__REQUESTS_PER_MINUTE_PER_ADDRESS", "1000000"),
            ("VEZA__LIMITS__REQUEST_BURST", "1000000"),
            ("VEZA__LIMITS__SIGN_IN_PER_MINUTE_PER_ADDRESS", "1000000"),
            ("VEZA__LIMITS__SIGN_IN_PER_MINUTE_PER_ACCOUNT", "1000000"),
            ("VEZA__LIMITS__REGISTRATIONS_PER_HOUR_PER_ADDRESS", "1000000"),
        ]
        .map(|(key, value)| (key, value.to_owned()))
        .into();
        settings.extend(env.iter().map(|(key, value)| (*key, (*value).to_owned())));
        let options = FleetOptions {
            dir: folder.path().to_owned(),
            binary: PathBuf::from(env!("CARGO_BIN_EXE_veza")),
            roles: roles.to_vec(),
            nats_nodes,
            s3: files,
            throwaway_postgres: Some(std::env::temp_dir().join("veza-test-postgres")),
            env: settings,
        };
        let fleet = Fleet::start(&Tools::find(), options)
            .await
            .unwrap_or_else(|error| panic!("{error}"));
        Self { fleet, folder }
    }

    /// For files of the test.
    pub(crate) fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    pub(crate) fn api(&self) -> Api {
        Api::new(&self.fleet.url())
    }

    /// People who share a space with one room besides `general`.
    pub(crate) async fn people<const N: usize>(&self, handles: [&str; N]) -> ([Person; N], Uuid, Uuid) {
        let mut people = Vec::new();
        for handle in handles {
            people.push(self.api().register(handle, handle, PASSWORD).await.unwrap());
        }
        let space = people[0].create_space("Lab").await.unwrap();
        let room = people[0].create_room(space, "talk").await.unwrap();
        let code = people[0].invite(space).await.unwrap();
        for person in &people[1..] {
            person.accept(&code).await.unwrap();
        }
        (people.try_into().unwrap(), space, room)
    }

    /// The messages of a room as Postgres has them, by sequence.
    pub(crate) async fn rows(&self, room: Uuid) -> Vec<Entry> {
        let statement = format!(
            "SELECT json_build_object('seq', seq, 'message', message, 'body', body)::text \
             FROM read.message WHERE room = '{room}' ORDER BY seq"
        );
        let lines = self
            .fleet
            .postgres
            .sql("veza", &statement)
            .await
            .unwrap_or_else(|error| panic!("{error}"));
        lines
            .lines()
            .filter(|line| !line.is_empty())
            .map(|line| entry(room, &serde_json::from_str(line).unwrap()))
            .collect()
    }
}

fn entry(room: Uuid, value: &Value) -> Entry {
    let id = |field: &str| value[field].as_str().unwrap().parse().unwrap();
    // A row has no command: the message's id is derived from it, and checked in the log.
    let (message, command) = (id("message"), Uuid::nil());
    Entry {
        seq: value["seq"].as_u64().unwrap(),
        room,
        message,
        command,
        body: value["body"].as_str().unwrap().to_owned(),
    }
}

/// Gathers what talkers of one room did and saw.
pub(crate) fn history(
    room: Uuid,
    log: Vec<Entry>,
    rows: Vec<Entry>,
    talkers: &[(&str, Conversation)],
) -> History {
    let commands: HashMap<Uuid, Uuid> = log.iter().map(|entry| (entry.message, entry.command)).collect();
    // Rows, and what a client loads from the history, carry no command.
    let with_command = |entry: Entry| match commands.get(&entry.message) {
        Some(&command) if entry.command.is_nil() => Entry { command, ..entry },
        _ => entry,
    };
    let rows = rows.into_iter().map(with_command).collect();
    let mut history = History {
        log,
        rows,
        ..History::default()
    };
    for (name, talk) in talkers {
        assert_eq!(talk.refused, Vec::<Value>::new(), "{name} was refused");
        history.sent.extend(talk.sent.iter().map(|(command, body)| Sent {
            command: *command,
            room,
            body: body.clone(),
        }));
        history.acked.extend(talk.acked.iter().map(|ack| Acked {
            command: ack.command,
            message: ack.message,
            seq: ack.seq,
        }));
        let shown = talk.shown.iter().map(|shown| Entry {
            seq: shown.seq,
            room,
            message: shown.message,
            command: shown.command,
            body: shown.body.clone(),
        });
        history
            .views
            .insert((*name).to_owned(), shown.map(with_command).collect());
    }
    history
}

/// Waits until every talker has an answer to everything it said and has seen `messages` messages.
pub(crate) async fn settle(
    talkers: &mut [(&'static str, Talker)],
    messages: usize,
) -> Vec<(&'static str, Conversation)> {
    let mut all = Vec::new();
    for (name, talker) in talkers {
        let done = |talk: &Conversation| talk.acked.len() == talk.sent.len() && talk.shown.len() >= messages;
        let settled = talker.until(PATIENCE, done).await;
        let talk = talker.conversation();
        assert!(
            settled,
            "{name}: {} sent, {} acked, {} of {messages} shown, {} reconnects, last {}, refused {:?}, {:?}",
            talk.sent.len(),
            talk.acked.len(),
            talk.shown.len(),
            talk.reconnects,
            talk.last_seq,
            talk.refused,
            talk.trouble
        );
        all.push((*name, talk));
    }
    all
}

/// Asks again until the answer is what it should be.
pub(crate) async fn eventually<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut ask: impl FnMut() -> F,
) -> T {
    let asking = async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, asking)
        .await
        .unwrap_or_else(|_| panic!("{what} did not happen"))
}

/// A message over HTTP.
pub(crate) fn words(body: &str) -> Value {
    json!({ "body": body })
}
