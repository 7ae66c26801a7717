//! What is done about messages that are there.

use veza_events::{
    Event, MessageId, RoomId,
    room::{Opened, RoomEvent},
};
use veza_platform::{
    ambient,
    contract::{
        Problem,
        chat::{ChangeMember, ChangeMessage, MessageChange, OpenThread, Posted, Preset, SeenMessage},
    },
};

use super::site::{Home, Person, Site, assert_fenced, code};

fn change(home: Home, original: &Posted, change: MessageChange) -> ChangeMessage {
    ChangeMessage {
        space: home.space,
        room: home.room,
        message: original.message,
        posted: original.position.seq,
        change,
        seen: SeenMessage::default(),
    }
}

fn edit(body: &str) -> MessageChange {
    MessageChange::Edit {
        body: body.into(),
        mentions: veza_events::room::Mentions::default(),
    }
}

fn react(emoji: &str) -> MessageChange {
    MessageChange::React { emoji: emoji.into() }
}

impl Person {
    async fn does(
        self,
        site: &Site,
        home: Home,
        original: &Posted,
        what: MessageChange,
    ) -> Result<Posted, Problem> {
        self.ask(site, &change(home, original, what)).await
    }
}

async fn timeline(site: &Site) -> Vec<RoomEvent> {
    let events = site.events().await.into_iter();
    events
        .filter_map(|recorded| match recorded.event {
            Event::Room(event) => Some(event),
            _ => None,
        })
        .collect()
}

#[tokio::test]
async fn authors_edit_others_react_and_moderators_delete_and_the_log_has_it_all() {
    let site = Site::start().await;
    let _workers = (site.worker().await, site.worker().await);
    let (ada, ben) = (site.person().await, site.person().await);
    let home = site.home(Preset::Team, ada, &[ben]).await;
    let said = ben.say(&site, home, "frist").await.unwrap();
    let edited = ben.does(&site, home, &said, edit("first")).await.unwrap();
    assert_eq!(edited.message, said.message);
    assert!(edited.position.seq > said.position.seq);
    assert_eq!(
        code(ada.does(&site, home, &said, edit("mine")).await),
        "message.not_the_author"
    );
    ada.does(&site, home, &said, react("👍")).await.unwrap();
    assert_eq!(
        code(ada.does(&site, home, &said, react("nice")).await),
        "message.emoji_invalid"
    );
    assert_eq!(
        code(ben.does(&site, home, &said, MessageChange::Pin).await),
        "room.not_allowed"
    );
    ada.does(&site, home, &said, MessageChange::Pin).await.unwrap();
    ada.does(&site, home, &said, MessageChange::Delete).await.unwrap();

    let events = timeline(&site).await;
    let kinds: Vec<&str> = events.iter().map(RoomEvent::kind).collect();
    assert_eq!(
        kinds,
        [
            "room.opened.v1",
            "room.message_posted.v1",
            "room.message_edited.v1",
            "room.reaction_added.v1",
            "room.message_pinned.v1",
            "room.message_deleted.v1"
        ]
    );
    match &events[2] {
        RoomEvent::MessageEdited(event) => {
            assert_eq!(event.body.clear().map(String::as_str), Some("first"));
            assert_eq!((event.author, event.posted), (ben.0, said.position.seq));
        }
        other => panic!("{other:?}"),
    }
    let sealed = site.records().await.into_iter().all(|record| {
        let text = String::from_utf8_lossy(&record.payload).into_owned();
        !text.contains("first") && !text.contains("frist")
    });
    assert!(sealed, "no text of a message stands in the log in clear");
}

#[tokio::test]
async fn nothing_that_a_door_says_of_a_message_is_believed() {
    let site = Site::start().await;
    let _worker = site.worker().await;
    let (ada, ben) = (site.person().await, site.person().await);
    let home = site.home(Preset::Team, ada, &[ben]).await;
    let (of_ada, of_ben) = (
        ada.say(&site, home, "ada's").await.unwrap(),
        ben.say(&site, home, "ben's").await.unwrap(),
    );
    let other = site.home(Preset::Team, ben, &[]).await;
    let honest = change(home, &of_ada, MessageChange::Delete);
    let lies = [
        ChangeMessage {
            posted: of_ben.position.seq,
            ..honest.clone()
        },
        ChangeMessage {
            message: of_ben.message,
            ..honest.clone()
        },
        ChangeMessage {
            message: MessageId::new(ambient::new_uuid()),
            ..honest.clone()
        },
        // Ben may do everything where he is the owner; the message is not there.
        ChangeMessage {
            space: other.space,
            room: other.room,
            ..honest.clone()
        },
        ChangeMessage {
            space: other.space,
            ..honest.clone()
        },
        ChangeMessage {
            posted: u64::MAX,
            ..honest.clone()
        },
    ];
    for lie in lies {
        assert_eq!(code(ben.ask(&site, &lie).await), "message.not_found", "{lie:?}");
    }
    assert_eq!(code(ben.ask(&site, &honest).await), "room.not_allowed");
    let stranger = site.person().await;
    assert_eq!(code(stranger.ask(&site, &honest).await), "space.not_found");
}

#[tokio::test]
async fn a_change_is_done_once_whatever_the_door_knows_when_it_is_repeated() {
    let site = Site::start().await;
    let _worker = site.worker().await;
    let ada = site.person().await;
    let home = site.home(Preset::Team, ada, &[]).await;
    let said = ada.say(&site, home, "once").await.unwrap();
    let (caller, ask) = (ada.caller(), change(home, &said, react("👍")));
    let first = site.bus.chat(&caller, &ask).await.unwrap();
    let again = ChangeMessage {
        seen: SeenMessage {
            deleted: true,
            reactions: vec!["👍".into()],
            pins: 3,
        },
        ..ask.clone()
    };
    let second = site.bus.chat(&caller, &again).await.unwrap();
    assert!(!first.duplicate && second.duplicate);
    assert_eq!(first.position, second.position);
    let another = change(home, &said, react("🧀"));
    assert_eq!(code(site.bus.chat(&caller, &another).await), "command.reused");
    let deleted = code(ada.ask(&site, &again).await);
    assert_eq!(deleted, "message.deleted", "another command is told");
}

#[tokio::test]
async fn the_muted_take_back_but_do_not_edit_nor_react() {
    let site = Site::start().await;
    let _workers = (site.worker().await, site.worker().await);
    let (ada, ben) = (site.person().await, site.person().await);
    let home = site.home(Preset::Team, ada, &[ben]).await;
    let said = ben.say(&site, home, "one").await.unwrap();
    let mute = ChangeMember {
        space: home.space,
        account: ben.0,
        roles: None,
        muted: Some(true),
        banned: None,
        reason: None,
        time_out_s: None,
    };
    ada.ask(&site, &mute).await.unwrap();
    assert_eq!(
        code(ben.does(&site, home, &said, edit("two")).await),
        "room.muted"
    );
    assert_eq!(
        code(ben.does(&site, home, &said, react("👍")).await),
        "room.muted"
    );
    ben.does(&site, home, &said, MessageChange::Delete).await.unwrap();
    assert_fenced(&site.events().await);
}

#[tokio::test]
async fn there_is_one_thread_about_a_message_and_it_is_as_open_as_its_room() {
    let site = Site::start().await;
    let _workers = (site.worker().await, site.worker().await);
    let (ada, ben, eve) = (site.person().await, site.person().await, site.person().await);
    let home = site.home(Preset::Team, ada, &[ben]).await;
    let said = ada.say(&site, home, "what do you think?").await.unwrap();
    let open = OpenThread {
        space: home.space,
        room: home.room,
        message: said.message,
        posted: said.position.seq,
    };
    let (first, second) = tokio::join!(ada.ask(&site, &open), ben.ask(&site, &open));
    let (first, second) = (first.unwrap(), second.unwrap());
    assert_eq!(first.room, RoomId::thread_of(said.message));
    assert_eq!((first.room, &first.position), (second.room, &second.position));
    assert_eq!(ben.ask(&site, &open).await.unwrap().position, first.position);

    let thread = Home {
        room: first.room,
        ..home
    };
    let answer = ben.say(&site, thread, "much").await.unwrap();
    ada.does(&site, thread, &answer, react("👍")).await.unwrap();
    assert_eq!(code(eve.say(&site, thread, "let me in").await), "space.not_found");
    assert_eq!(code(eve.ask(&site, &open).await), "space.not_found");
    let nested = OpenThread {
        room: thread.room,
        message: answer.message,
        posted: answer.position.seq,
        ..open
    };
    assert_eq!(code(ada.ask(&site, &nested).await), "message.thread_in_thread");
    let nowhere = Home {
        room: ambient::new_uuid().into(),
        ..home
    };
    assert_eq!(code(ben.say(&site, nowhere, "hello?").await), "room.not_found");
    // A thread of one space is none of another.
    let elsewhere = site.home(Preset::Open, eve, &[]).await;
    let stolen = Home {
        space: elsewhere.space,
        room: thread.room,
    };
    assert_eq!(code(eve.say(&site, stolen, "mine").await), "room.not_found");

    let events = timeline(&site).await;
    let opened = |event: &&RoomEvent| matches!(event, RoomEvent::Opened(Opened { about: Some(_), .. }));
    assert_eq!(events.iter().filter(opened).count(), 1);
    let in_thread: Vec<_> = events
        .iter()
        .filter(|event| event.room() == thread.room)
        .collect();
    assert!(in_thread.iter().all(|event| event.parent() == Some(home.room)));
}
