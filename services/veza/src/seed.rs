//! `veza up --seed demo`: something to look at. Made by the same commands that the doors give, so every
//! fact of it is decided, sealed and stored like any other; only the limits per person are not in the way.

use anyhow::Context;
use futures::{StreamExt, TryStreamExt, stream};
use veza_events::{AccountId, CommandId, RoomId, SpaceId, room::Mentions, space::RoomKind};
use veza_platform::{
    ambient,
    bus::Bus,
    contract::{
        Caller, Problem, Sensitive,
        accounts::Register,
        chat::{AcceptInvite, CreateInvite, CreateRoom, CreateSpace, Post, Preset},
    },
    invite_code,
};

use crate::console::Console;

const PEOPLE: [(&str, &str); 3] = [("ada", "Ada"), ("grace", "Grace"), ("linus", "Linus")];
const ROOMS: [&str; 2] = ["workshop", "garden"];
/// Messages in all.
const MESSAGES: usize = 2_000;
/// Messages under way at once, few enough that nobody's order is surprising.
const IN_FLIGHT: usize = 32;
const LINES: [&str; 8] = [
    "Good morning!",
    "Has anyone looked at the new build?",
    "Yes, it starts in three seconds here.",
    "I wrote it down in the notes.",
    "Can we talk about it at ten?",
    "Sure. Same room?",
    "The log says it was stored before it was shown. I like that.",
    "Coffee first. ☕",
];

/// Makes the demo and says who can sign in; leaves everything alone when its people exist already.
pub(crate) async fn demo(bus: &Bus, console: &Console) -> anyhow::Result<()> {
    // Not a constant: a demo that somebody leaves open must not have a password that everybody knows.
    let password = Sensitive::new(format!("demo-{}", ambient::new_uuid().simple()));
    let mut people = Vec::new();
    for (handle, name) in PEOPLE {
        match register(bus, handle, name, &password).await {
            Ok(account) => people.push(account),
            Err(problem) if people.is_empty() && problem.code == "account.handle_taken" => {
                console.say("  the demo is there already");
                return Ok(());
            }
            Err(problem) => return Err(problem).with_context(|| format!("registering {handle}")),
        }
    }
    let (space, rooms) = shared_rooms(bus, &people).await?;

    let bar = console.bar("messages", MESSAGES as u64);
    stream::iter(0..MESSAGES)
        .map(|number| {
            let post = Post {
                space,
                room: rooms[number % rooms.len()],
                body: LINES[number * 5 / 3 % LINES.len()].to_owned(),
                reply_to: None,
                attachments: Vec::new(),
                mentions: Mentions::default(),
            };
            let author = caller(people[number % people.len()]);
            let bar = &bar;
            async move { bus.chat(&author, &post).await.map(|_| bar.inc(1)) }
        })
        .buffered(IN_FLIGHT)
        .try_for_each(|()| async { Ok(()) })
        .await?;
    bar.finish_and_clear();
    console.say(format_args!(
        "  demo: sign in as ada, grace or linus with {}",
        password.expose()
    ));
    Ok(())
}

fn caller(account: AccountId) -> Caller {
    Caller {
        command: CommandId::new(ambient::new_uuid()),
        account: Some(account),
        session: None,
        seen: None,
    }
}

async fn register(bus: &Bus, handle: &str, name: &str, password: &Sensitive) -> Result<AccountId, Problem> {
    let nobody = Caller {
        command: CommandId::new(ambient::new_uuid()),
        account: None,
        session: None,
        seen: None,
    };
    let command = Register {
        handle: handle.to_owned(),
        email: format!("{handle}@example.org"),
        password: password.clone(),
        display_name: Some(name.to_owned()),
    };
    bus.accounts(&nobody, &command)
        .await
        .map(|registered| registered.account)
}

async fn shared_rooms(bus: &Bus, people: &[AccountId]) -> anyhow::Result<(SpaceId, Vec<RoomId>)> {
    let (&owner, others) = people.split_first().context("a demo has people")?;
    let by = caller(owner);
    let space = by.command.derive(owner.uuid(), "space");
    bus.chat(
        &by,
        &CreateSpace {
            space,
            name: "Demo".to_owned(),
            preset: Preset::Open,
        },
    )
    .await?;
    let mut rooms = Vec::new();
    for name in ROOMS {
        let command = CreateRoom {
            category: None,
            private: false,
            space,
            name: name.to_owned(),
            kind: RoomKind::Text,
        };
        rooms.push(bus.chat(&caller(owner), &command).await?.room);
    }
    let invite = CreateInvite {
        space,
        max_uses: None,
        expires_at: None,
    };
    let code = invite_code::decode(&bus.chat(&caller(owner), &invite).await?.code)?;
    for &person in others {
        let command = AcceptInvite {
            space,
            digest: code.digest.clone(),
        };
        bus.chat(&caller(person), &command).await?;
    }
    Ok((space, rooms))
}
