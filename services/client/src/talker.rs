//! Somebody who stays in a room whatever happens to the connection or the servers.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use serde_json::{Value, json};
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
    time::Instant,
};
use uuid::Uuid;

use crate::{ClientError, Person, Socket, new_id};

/// Messages given but not yet sent.
const QUEUE: usize = 1_024;
/// Messages sent but not yet answered.
const IN_FLIGHT: usize = 4;
/// Messages of one page of history.
const PAGE: u64 = 200;
const SHORTEST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// A message as it was shown or acked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Sequence in the log.
    pub seq: u64,
    /// The message.
    pub message: Uuid,
    /// The command that led to it.
    pub command: Uuid,
    /// What it says; empty in an ack.
    pub body: String,
}

/// What a talker has done and seen so far.
#[derive(Clone, Debug, Default)]
pub struct Conversation {
    /// Commands given, with what they said.
    pub sent: Vec<(Uuid, String)>,
    /// Answers.
    pub acked: Vec<Message>,
    /// Messages in the order shown; those that came from the history have no command.
    pub shown: Vec<Message>,
    /// Refusals that repeating cannot mend.
    pub refused: Vec<Value>,
    /// How often the connection had to be made again.
    pub reconnects: u32,
    /// Why the last connection ended.
    pub trouble: Option<String>,
    /// How often an event did not follow the last one and the gap was asked for.
    pub gaps: u32,
    /// Sequence of the last event seen of the room.
    pub last_seq: u64,
}

/// A person in a room. Ends when dropped.
#[derive(Debug)]
pub struct Talker {
    say: mpsc::Sender<String>,
    conversation: watch::Receiver<Conversation>,
    task: JoinHandle<()>,
}

impl Drop for Talker {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Talker {
    /// Enters `room`, from its first message on.
    #[expect(
        clippy::disallowed_methods,
        reason = "a client has no lifecycle of the platform"
    )]
    pub fn start(person: Person, room: Uuid) -> Self {
        let (say, words) = mpsc::channel(QUEUE);
        let (report, conversation) = watch::channel(Conversation::default());
        let mind = Mind {
            person,
            room,
            words,
            report,
            waiting: VecDeque::new(),
            flying: BTreeMap::new(),
        };
        Self {
            say,
            conversation,
            task: tokio::spawn(mind.live()),
        }
    }

    /// Says something; waits only while very much is unsaid.
    pub async fn say(&self, body: impl Into<String>) {
        // It ends only with the talker itself.
        let _ = self.say.send(body.into()).await;
    }

    /// What has happened so far.
    pub fn conversation(&self) -> Conversation {
        self.conversation.borrow().clone()
    }

    /// Waits until `enough` says so; `false` when it did not `within` the given time.
    pub async fn until(&mut self, within: Duration, enough: impl FnMut(&Conversation) -> bool) -> bool {
        tokio::time::timeout(within, self.conversation.wait_for(enough))
            .await
            .is_ok_and(|found| found.is_ok())
    }
}

#[derive(Clone, Debug)]
struct Words {
    command: Uuid,
    body: String,
}

struct Mind {
    person: Person,
    room: Uuid,
    words: mpsc::Receiver<String>,
    report: watch::Sender<Conversation>,
    /// To be sent, in order.
    waiting: VecDeque<Words>,
    /// Sent on this connection, by frame id.
    flying: BTreeMap<u64, Words>,
}

impl Mind {
    async fn live(mut self) {
        let mut pause = SHORTEST_PAUSE;
        loop {
            let connected = Instant::now();
            // Whatever went wrong, the answer is the same: connect anew and go on where it was.
            let Err(trouble) = self.connected().await else {
                return;
            };
            self.put_back();
            self.report.send_modify(|so_far| {
                so_far.reconnects += 1;
                so_far.trouble = Some(trouble.to_string());
            });
            if connected.elapsed() > LONGEST_PAUSE {
                pause = SHORTEST_PAUSE;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// One connection. `Ok` when nobody listens any more.
    async fn connected(&mut self) -> Result<(), ClientError> {
        let resume = json!({ self.room.to_string(): self.last_seq() });
        let mut socket = Socket::connect(&self.person, &resume).await?;
        loop {
            while self.flying.len() < IN_FLIGHT
                && let Some(words) = self.waiting.pop_front()
            {
                let id = socket.fresh_id();
                let frame = json!({
                    "t": "send", "id": id, "room": self.room, "command_id": words.command, "body": words.body
                });
                self.flying.insert(id, words);
                socket.send(&frame).await?;
            }
            tokio::select! {
                frame = socket.next() => self.take(&mut socket, &frame?).await?,
                body = self.words.recv(), if self.waiting.len() < IN_FLIGHT => match body {
                    Some(body) => self.think(body),
                    None => return Ok(()),
                },
            }
        }
    }

    fn think(&mut self, body: String) {
        let words = Words {
            command: new_id(),
            body,
        };
        self.report
            .send_modify(|so_far| so_far.sent.push((words.command, words.body.clone())));
        self.waiting.push_back(words);
    }

    /// What was not answered is to be said again, first.
    fn put_back(&mut self) {
        while let Some((_, words)) = self.flying.pop_last() {
            self.waiting.push_front(words);
        }
    }

    fn last_seq(&self) -> u64 {
        self.report.borrow().last_seq
    }

    async fn take(&mut self, socket: &mut Socket, frame: &Value) -> Result<(), ClientError> {
        match frame["t"].as_str() {
            Some("ack") => self.acked(frame),
            Some("event") => self.event(socket, frame).await?,
            Some("fill") => {
                for event in frame["events"].as_array().into_iter().flatten() {
                    self.show(event);
                }
                self.seen(frame["to"].as_u64());
            }
            Some("reset") => self.snapshot(frame["head"].as_u64()).await?,
            Some("lag") => self.ask_for_gap(socket).await?,
            Some("error") => return self.refused(frame),
            _ => {}
        }
        Ok(())
    }

    fn acked(&mut self, frame: &Value) {
        let Some(words) = frame["id"].as_u64().and_then(|id| self.flying.remove(&id)) else {
            return;
        };
        if let Some(message) = message_of(frame, words.command, String::new()) {
            self.report.send_modify(|so_far| so_far.acked.push(message));
        }
    }

    async fn event(&mut self, socket: &mut Socket, frame: &Value) -> Result<(), ClientError> {
        let (seq, last) = (frame["seq"].as_u64().unwrap_or(0), self.last_seq());
        if seq <= last {
            return Ok(());
        }
        if frame["prev"].as_u64() != Some(last) {
            self.report.send_modify(|so_far| so_far.gaps += 1);
            return self.ask_for_gap(socket).await;
        }
        self.show(frame);
        self.seen(Some(seq));
        Ok(())
    }

    async fn ask_for_gap(&mut self, socket: &mut Socket) -> Result<(), ClientError> {
        let rooms = json!({ self.room.to_string(): self.last_seq() });
        socket.send(&json!({ "t": "resume", "rooms": rooms })).await
    }

    /// A message is shown when it is one, and when it is not older than what is shown already.
    fn show(&mut self, event: &Value) {
        let command = event["command_id"]
            .as_str()
            .and_then(|id| id.parse().ok())
            .unwrap_or_default();
        let body = event["data"]["body"].as_str().unwrap_or_default().to_owned();
        if event["type"] != "room.message_posted.v1" || event["seq"].as_u64() <= Some(self.last_seq()) {
            return;
        }
        if let Some(message) = message_of(event, command, body) {
            self.report.send_modify(|so_far| so_far.shown.push(message));
        }
    }

    fn seen(&mut self, seq: Option<u64>) {
        if let Some(seq) = seq {
            self.report
                .send_modify(|so_far| so_far.last_seq = so_far.last_seq.max(seq));
        }
    }

    /// What cannot be filled in is loaded from the history.
    async fn snapshot(&mut self, head: Option<u64>) -> Result<(), ClientError> {
        loop {
            let path = format!(
                "/v1/rooms/{}/messages?after={}&limit={PAGE}",
                self.room,
                self.last_seq()
            );
            let page = self.person.get(&path).await?;
            let messages = page["items"].as_array().cloned().unwrap_or_default();
            for message in &messages {
                let text = |field: &str| message[field].as_str().and_then(|id| id.parse().ok());
                let (Some(id), Some(seq)) = (text("id"), message["seq"].as_u64()) else {
                    continue;
                };
                let shown = Message {
                    seq,
                    message: id,
                    command: text("command_id").unwrap_or_default(),
                    body: message["body"].as_str().unwrap_or_default().to_owned(),
                };
                self.report.send_modify(|so_far| so_far.shown.push(shown));
                self.seen(Some(seq));
            }
            if messages.is_empty() {
                self.seen(head);
                return Ok(());
            }
        }
    }

    fn refused(&mut self, frame: &Value) -> Result<(), ClientError> {
        let words = frame["id"].as_u64().and_then(|id| self.flying.remove(&id));
        let passing = frame["retry_after_ms"].is_u64();
        match words {
            // Said again on a fresh connection, before anything else: the order of one person's words stays.
            Some(words) if passing => {
                self.put_back();
                self.waiting.push_front(words);
                Err(ClientError::Frame(frame.clone()))
            }
            // A gap that could not be filled just now: a fresh connection asks for it again.
            None if passing => Err(ClientError::Frame(frame.clone())),
            _ => {
                self.report
                    .send_modify(|so_far| so_far.refused.push(frame.clone()));
                Ok(())
            }
        }
    }
}

fn message_of(frame: &Value, command: Uuid, body: String) -> Option<Message> {
    let message = frame["message"]
        .as_str()
        .or(frame["data"]["message"].as_str())?
        .parse()
        .ok()?;
    Some(Message {
        seq: frame["seq"].as_u64()?,
        message,
        command,
        body,
    })
}
