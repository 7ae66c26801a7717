//! People, roles and rooms that messages speak of, by every door, and where one finds it again.

use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;
use veza_client::{Person, Socket, new_id};

use crate::platform::{Platform, eventually, words};
use crate::structure::{delete, put};

async fn post(person: &Person, room: Uuid, body: &str) -> Uuid {
    let path = format!("/v1/rooms/{room}/messages");
    let posted = person.post(&path, &words(body)).await.unwrap();
    posted["id"].as_str().unwrap().parse().unwrap()
}

/// What the inbox of somebody says: how, and which text.
async fn inbox(person: &Person) -> Vec<(String, String)> {
    let found = person.get("/v1/mentions").await.unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let items = found["items"].as_array().unwrap().iter();
    items
        .map(|item| (text(&item["mentioned_as"]), text(&item["message"]["body"])))
        .collect()
}

async fn inbox_is(person: &Person, what: &str, expected: &[(&str, &str)]) {
    let mut last = Vec::new();
    let same = |found: &[(String, String)]| {
        let found = found.iter().map(|(kind, body)| (kind.as_str(), body.as_str()));
        found.eq(expected.iter().copied())
    };
    for _ in 0..400 {
        last = inbox(person).await;
        if same(&last) {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("{what}: {last:?}, not {expected:?}");
}

async fn make_role(owner: &Person, space: Uuid, name: &str, holder: &Person) -> Uuid {
    let role = new_id();
    let definition = json!({ "name": name, "permissions": [], "rank": 1 });
    put(owner, &format!("/v1/spaces/{space}/roles/{role}"), definition)
        .await
        .unwrap();
    let member = format!("/v1/spaces/{space}/members/{}", holder.account);
    put(owner, &member, json!({ "roles": [role] })).await.unwrap();
    role
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_spoken_of_finds_it_in_the_inbox_by_whichever_door_it_was_said() {
    let platform = Platform::start().await;
    let ([ada, grace, ben], space, room) = platform.people(["ada", "grace", "ben"]).await;
    let role = make_role(&ada, space, "Ops Team", &grace).await;
    eventually("the role is held", async || {
        let member = ada.get(&format!("/v1/spaces/{space}/members")).await.ok()?;
        let held = member["items"]
            .as_array()?
            .iter()
            .any(|one| one["roles"] == json!([role]));
        held.then_some(())
    })
    .await;

    let mut socket = Socket::connect(&grace, &json!({})).await.unwrap();
    socket.watch(room).await.unwrap();
    let by_name = post(&ada, room, "hi @Grace, see #talk, not `@ben`").await;
    let heard = socket.wait_for("event").await.unwrap();
    assert_eq!(heard["data"]["body"], "hi @Grace, see #talk, not `@ben`");
    let expected = json!({ "accounts": [grace.account], "rooms": [room], "everyone": false, "here": false });
    assert_eq!(heard["data"]["mentions"], expected);
    inbox_is(
        &grace,
        "by name",
        &[("account", "hi @Grace, see #talk, not `@ben`")],
    )
    .await;
    let shown = grace.get(&format!("/v1/messages/{by_name}")).await.unwrap();
    assert_eq!(shown["message"]["mentions"]["accounts"], json!([grace.account]));

    // On a socket, and for a role.
    let mut adas = Socket::connect(&ada, &json!({})).await.unwrap();
    let frame = json!({
        "t": "send", "id": 1, "room": room, "command_id": new_id(), "body": "@ops-team, the door!"
    });
    adas.send(&frame).await.unwrap();
    let ack = adas.wait_for("ack").await.unwrap();
    let to_role = ack["message"].as_str().unwrap().to_owned();
    let heard = socket.wait_for("event").await.unwrap();
    assert_eq!(heard["data"]["mentions"]["roles"], json!([role]));
    inbox_is(
        &grace,
        "by role",
        &[
            ("role", "@ops-team, the door!"),
            ("account", "hi @Grace, see #talk, not `@ben`"),
        ],
    )
    .await;
    assert_eq!(inbox(&ben).await, []);

    // Who may not speak to all has just written a word; who may reaches everybody, but not in the own inbox.
    post(&ben, room, "@room @ops-team hello?").await;
    post(&ada, room, "@room listen").await;
    inbox_is(&ben, "everybody", &[("everyone", "@room listen")]).await;
    assert_eq!(inbox(&grace).await.len(), 3);
    assert_eq!(inbox(&ada).await, []);

    // Another text speaks of others; a message that is gone of nobody.
    let edit = json!({
        "t": "edit", "id": 2, "room": room, "command_id": new_id(), "message": to_role, "body": "@ben, the door!"
    });
    adas.send(&edit).await.unwrap();
    adas.wait_for("ack").await.unwrap();
    inbox_is(
        &ben,
        "after the edit",
        &[("everyone", "@room listen"), ("account", "@ben, the door!")],
    )
    .await;
    delete(&ada, &format!("/v1/messages/{by_name}")).await.unwrap();
    inbox_is(&grace, "after the deletion", &[("everyone", "@room listen")]).await;

    // In parts.
    let first = ben.get("/v1/mentions?limit=1").await.unwrap();
    let next = first["next"].as_str().unwrap();
    let second = ben
        .get(&format!("/v1/mentions?limit=1&cursor={next}"))
        .await
        .unwrap();
    assert_eq!(second["items"][0]["message"]["body"], "@ben, the door!");
    assert_eq!(second.get("next"), None);
    assert!(ben.get("/v1/mentions?cursor=x").await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_see_the_room_is_not_spoken_of_and_who_left_reads_nothing() {
    let platform = Platform::start().await;
    let ([ada, grace, ben], space, _) = platform.people(["ada", "grace", "ben"]).await;
    let made = ada
        .post(
            &format!("/v1/spaces/{space}/rooms"),
            &json!({ "name": "den", "private": true }),
        )
        .await
        .unwrap();
    let den: Uuid = made["id"].as_str().unwrap().parse().unwrap();
    let ben_in = format!("/v1/rooms/{den}/overrides/{}?kind=account", ben.account);
    put(&ada, &ben_in, json!({ "allow": ["view"] })).await.unwrap();
    // It may take a moment until the door has heard of it.
    let spoken_of = eventually("Ben is spoken of", async || {
        let said = post(&ada, den, "@ben and @grace, @everyone").await;
        let shown = eventually("it is there", async || {
            ben.get(&format!("/v1/messages/{said}")).await.ok()
        })
        .await;
        let accounts = shown["message"]["mentions"]["accounts"].clone();
        (accounts != json!([])).then_some(accounts)
    })
    .await;
    assert_eq!(spoken_of, json!([ben.account]));
    assert_eq!(inbox(&grace).await, []);
    assert!(!inbox(&ben).await.is_empty());

    let out = format!("/v1/spaces/{space}/members/{}", ben.account);
    ada.call(Method::DELETE, &out, None).await.unwrap();
    inbox_is(&ben, "out", &[]).await;
}

/// The next frame that tells of a mention.
async fn told(socket: &mut Socket) -> Value {
    loop {
        let frame = socket.wait_for("account").await.unwrap();
        if frame["type"] == "account.mentioned" {
            return frame;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn devices_are_told_of_mentions_in_their_chain_unless_they_want_nothing() {
    let platform = Platform::start().await;
    let ([ada, grace, ben, eve], space, room) = platform.people(["ada", "grace", "ben", "eve"]).await;
    eventually("they are known", async || {
        let members = ada.get(&format!("/v1/spaces/{space}/members")).await.ok()?;
        (members["items"].as_array()?.len() == 4).then_some(())
    })
    .await;
    let mut graces = Socket::connect(&grace, &json!({})).await.unwrap();
    let mut bens = Socket::connect(&ben, &json!({})).await.unwrap();
    let said = post(&ada, room, "@grace @ada hello").await;
    let frame = told(&mut graces).await;
    assert_eq!(
        frame["data"],
        json!({
            "space": space, "room": room, "message": said, "mentioned_as": "account", "by": ada.account
        })
    );
    // What it tells of can be read.
    let read = grace.get(&format!("/v1/messages/{said}")).await.unwrap();
    assert_eq!(read["message"]["body"], "@grace @ada hello");

    let quiet = format!("/v1/rooms/{room}/notifications");
    put(&ben, &quiet, json!({ "level": "nothing" })).await.unwrap();
    let blocked = format!("/v1/accounts/me/blocks/{}", ada.account);
    put(&grace, &blocked, json!({})).await.unwrap();
    eventually("it is known", async || {
        let blocks = grace.get("/v1/accounts/me/blocks").await.ok()?;
        (blocks["items"].as_array()?.len() == 1).then_some(())
    })
    .await;
    let mut eves = Socket::connect(&eve, &json!({})).await.unwrap();
    let few = post(&ada, room, "@room @ben @grace only Eve is told of this").await;
    assert_eq!(told(&mut eves).await["data"]["message"], json!(few));
    put(&ben, &quiet, json!({})).await.unwrap();
    delete(&grace, &blocked).await.unwrap();
    eventually("it is known", async || {
        let blocks = grace.get("/v1/accounts/me/blocks").await.ok()?;
        blocks["items"].as_array()?.is_empty().then_some(())
    })
    .await;
    let all = post(&ada, room, "@room all are told").await;
    for socket in [&mut graces, &mut bens] {
        let frame = told(socket).await;
        assert_eq!(frame["data"]["message"], json!(all), "{frame}");
        assert_eq!(frame["data"]["mentioned_as"], "everyone");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_see_a_room_is_not_told_that_everybody_in_it_was_called() {
    let platform = Platform::start().await;
    let ([ada, grace, ben], space, room) = platform.people(["ada", "grace", "ben"]).await;
    let made = ada
        .post(
            &format!("/v1/spaces/{space}/rooms"),
            &json!({ "name": "den", "private": true }),
        )
        .await
        .unwrap();
    let den: Uuid = made["id"].as_str().unwrap().parse().unwrap();
    let ben_in = format!("/v1/rooms/{den}/overrides/{}?kind=account", ben.account);
    put(&ada, &ben_in, json!({ "allow": ["view"] })).await.unwrap();
    let mut graces = Socket::connect(&grace, &json!({})).await.unwrap();
    let mut bens = Socket::connect(&ben, &json!({})).await.unwrap();
    post(&ada, den, "@everyone in here").await;
    let out_there = post(&ada, room, "@everyone out there").await;
    assert_eq!(told(&mut bens).await["data"]["room"], json!(den));
    let frame = told(&mut graces).await;
    assert_eq!(frame["data"]["message"], json!(out_there), "{frame}");
}

async fn edit(person: &Person, message: Uuid, body: &str) {
    let path = format!("/v1/messages/{message}");
    person
        .call(Method::PATCH, &path, Some(&words(body)))
        .await
        .unwrap();
    eventually("the edit can be read", async || {
        let found = person.get(&path).await.ok()?;
        (found["message"]["body"] == body).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_tells_those_whom_it_adds_and_nobody_twice() {
    let mut platform = Platform::start().await;
    let ([ada, grace, ben], space, room) = platform.people(["ada", "grace", "ben"]).await;
    eventually("they are known", async || {
        let members = ada.get(&format!("/v1/spaces/{space}/members")).await.ok()?;
        (members["items"].as_array()?.len() == 3).then_some(())
    })
    .await;
    let mut graces = Socket::connect(&grace, &json!({})).await.unwrap();
    let mut bens = Socket::connect(&ben, &json!({})).await.unwrap();
    let said = post(&ada, room, "@grace hello").await;
    assert_eq!(told(&mut graces).await["data"]["message"], json!(said));
    edit(&ada, said, "@grace @ben hello **both**").await;
    let added = told(&mut bens).await;
    assert_eq!(
        (&added["data"]["message"], &added["data"]["mentioned_as"]),
        (&json!(said), &json!("account"))
    );
    // Left out and named again, in another way too: they know.
    edit(&ada, said, "hello").await;
    inbox_is(&ben, "an edit takes him out", &[]).await;
    edit(&ada, said, "@ben and @room, hello").await;
    inbox_is(&ben, "he is in again", &[("account", "@ben and @room, hello")]).await;
    inbox_is(&grace, "as one of all", &[("everyone", "@ben and @room, hello")]).await;
    let last = post(&ada, room, "@grace @ben the end").await;
    for socket in [&mut graces, &mut bens] {
        assert_eq!(
            told(socket).await["data"]["message"],
            json!(last),
            "nothing between"
        );
    }
    let page = ben.get("/v1/mentions?format=html").await.unwrap();
    let html = page["items"][1]["message"]["html"].as_str().unwrap();
    assert!(
        html.contains(&format!("<span data-account=\"{}\">@ben</span>", ben.account)),
        "{html}"
    );
    let found = ben.get("/v1/search?q=hello&format=html").await.unwrap();
    assert_eq!(found["items"][0]["message"]["html"], json!(html));
    let plain = ben.get("/v1/search?q=hello").await.unwrap();
    assert_eq!(plain["items"][0]["message"].get("html"), None);
    platform
        .fleet
        .run(&["projection", "rebuild", "--verify"])
        .await
        .unwrap();
    platform
        .fleet
        .role_mut("projector")
        .unwrap()
        .restart()
        .await
        .unwrap();
    inbox_is(
        &ben,
        "after a rebuild",
        &[
            ("account", "@grace @ben the end"),
            ("account", "@ben and @room, hello"),
        ],
    )
    .await;
}
