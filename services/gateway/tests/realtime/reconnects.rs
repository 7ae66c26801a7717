//! Clients that lose their connection again and again, at whatever moment, miss nothing and see nothing twice: of a
//! room, and of what their account is told.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use veza_events::{AccountId, RoomId};
use veza_platform::ambient;
use veza_platform::notices::Notices;

use crate::client::{Client, View};
use crate::stage::{SOON, Stage};

const CLIENTS: usize = 5;
const RECONNECTS: usize = 100;
/// Messages that are said before the clients stop losing their connections, and a while longer.
const MESSAGES: usize = 100_000;

/// What a client was told about its account: it follows the chain.
#[derive(Default)]
struct Account {
    last: u64,
    seen: Vec<u64>,
}

impl Account {
    fn take(&mut self, frame: &Value) {
        match frame["t"].as_str() {
            Some("account") => {
                assert_eq!(frame["prev"], json!(self.last), "a chain: {frame}");
                self.last = frame["seq"].as_u64().unwrap();
                self.seen.push(self.last);
            }
            Some("reset") if frame["room"].is_null() => panic!("everything can be told: {frame}"),
            _ => {}
        }
    }
}

struct Person {
    account: AccountId,
    view: View,
    told: Account,
}

impl Person {
    async fn connect(&self, stage: &Stage, room: RoomId) -> Client {
        let mut client = Client::connect(stage.address).await;
        let (ticket, _) = stage.world.ticket(self.account);
        client.account = Some(self.account);
        let resume = json!({room.to_string(): self.view.last, "account": self.told.last});
        client
            .send(json!({"t": "hello", "ticket": ticket, "resume": resume}))
            .await;
        client
    }

    async fn take(&mut self, client: &mut Client, room: RoomId) {
        let frame = client.next().await;
        self.told.take(&frame);
        if let Some(from) = self.view.take(&frame, room) {
            client
                .send(json!({"t": "resume", "rooms": {room.to_string(): from}}))
                .await;
        }
    }
}

fn dice(below: u32) -> u32 {
    u32::from_be_bytes(ambient::random()) % below
}

/// Says messages and tells the accounts until it is asked to stop. Returns what was said and told.
async fn talk(
    stage: Arc<Stage>,
    room: RoomId,
    accounts: Vec<AccountId>,
    stop: Arc<AtomicBool>,
) -> (BTreeMap<u64, String>, BTreeMap<AccountId, Vec<u64>>) {
    let author = stage.world.member();
    let notices = Notices::open(&stage.world.log);
    let (mut said, mut told) = (BTreeMap::new(), BTreeMap::<_, Vec<u64>>::new());
    for n in 0..MESSAGES {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let seq = stage.world.say(room, author, &n.to_string()).await;
        said.insert(seq, n.to_string());
        if n % 8 == 0 {
            let account = accounts[n / 8 % accounts.len()];
            let notice = json!({"type": "account.test", "at": "2026-01-02T03:04:05Z", "data": {}});
            let seq = notices.tell(account, None, &notice).await.unwrap();
            told.entry(account).or_default().push(seq);
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    (said, told)
}

async fn come_and_go(stage: Arc<Stage>, room: RoomId, mut person: Person) -> Person {
    for _ in 0..RECONNECTS {
        let mut client = person.connect(&stage, room).await;
        for _ in 0..dice(25) {
            person.take(&mut client, room).await;
        }
        if dice(3) == 0 {
            tokio::time::sleep(Duration::from_millis(dice(30).into())).await;
        }
    }
    person
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_hundred_reconnects_at_random_points_leave_no_gap_and_no_double() {
    let stage = Arc::new(Stage::start().await);
    let (room, opened) = stage.world.room().await;
    let mut people = Vec::new();
    for _ in 0..CLIENTS {
        let account = stage.world.member();
        let mut client = Client::connect(stage.address).await;
        let ready = client.hello(&stage.world, account, &[]).await;
        let told = Account {
            last: ready["account_head"].as_u64().unwrap(),
            ..Account::default()
        };
        let view = View::from(opened);
        people.push(Person { account, view, told });
    }
    let accounts = people.iter().map(|person| person.account).collect();
    let stop = Arc::new(AtomicBool::new(false));
    let talking = tokio::spawn(talk(Arc::clone(&stage), room, accounts, Arc::clone(&stop)));
    let coming = people
        .into_iter()
        .map(|person| tokio::spawn(come_and_go(Arc::clone(&stage), room, person)));
    let mut people = Vec::new();
    for person in coming.collect::<Vec<_>>() {
        people.push(person.await.unwrap());
    }
    stop.store(true, Ordering::Relaxed);
    let (said, told) = talking.await.unwrap();
    let head = *said.keys().last().unwrap();
    for mut person in people {
        let mut client = person.connect(&stage, room).await;
        let expected = told.get(&person.account).cloned().unwrap_or_default();
        let rest = async {
            while person.view.last < head || person.told.seen.len() < expected.len() {
                person.take(&mut client, room).await;
            }
        };
        tokio::time::timeout(SOON, rest)
            .await
            .expect("everything arrives");
        assert_eq!(person.view.resets, 0);
        assert_eq!(person.view.seen, said, "every message once, in order");
        assert_eq!(person.told.seen, expected, "every notice once, in order");
    }
    stage.stop().await.unwrap();
}
