//! What an account is told reaches all its devices once, in order, also those that were away.

use serde_json::{Value, json};
use veza_events::AccountId;
use veza_platform::notices::Notices;

use crate::client::Client;
use crate::stage::Stage;

fn notice(n: u64) -> Value {
    json!({"source": format!("ACCOUNTS/{n}"), "type": "account.session_started.v1", "at": "2026-01-02T03:04:05Z", "data": {}})
}

async fn tell(stage: &Stage, account: AccountId, n: u64) -> u64 {
    let notices = Notices::open(&stage.world.log);
    notices
        .tell(account, Some(&format!("{account} {n}")), &notice(n))
        .await
        .unwrap()
}

/// A socket that goes on with the account's chain from what it saw. Returns `ready` too.
async fn resumed(stage: &Stage, account: AccountId, from: u64) -> (Client, Value) {
    let mut client = Client::connect(stage.address).await;
    let (ticket, _) = stage.world.ticket(account);
    client.account = Some(account);
    client
        .send(json!({"t": "hello", "ticket": ticket, "resume": {"account": from}}))
        .await;
    let ready = client.expect("ready").await;
    (client, ready)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_sockets_of_an_account_hear_its_notices_and_nobody_else_does() {
    let stage = Stage::start().await;
    let account = stage.world.member();
    let mut sockets = [stage.socket_of(account).await, stage.socket_of(account).await];
    let mut other = stage.member().await;
    let first = tell(&stage, account, 1).await;
    tell(&stage, stage.world.member(), 2).await;
    let second = tell(&stage, account, 3).await;
    for socket in &mut sockets {
        let frame = socket.expect("account").await;
        assert_eq!(
            (&frame["seq"], &frame["type"], &frame["source"]),
            (
                &json!(first),
                &json!("account.session_started.v1"),
                &json!("ACCOUNTS/1")
            )
        );
        let frame = socket.expect("account").await;
        assert_eq!((&frame["seq"], &frame["prev"]), (&json!(second), &json!(first)));
    }
    other.send(json!({"t": "ping"})).await;
    other.expect("pong").await;
    stage.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_comes_back_is_told_exactly_what_it_missed() {
    let stage = Stage::start().await;
    let account = stage.world.member();
    // Before anything was told there is a place to go on from, too.
    let (client, ready) = resumed(&stage, account, 0).await;
    let begin = ready["account_head"].as_u64().unwrap();
    drop(client);
    let mut seqs = vec![begin];
    for n in 1..=20 {
        tell(&stage, stage.world.member(), 1_000 + n).await;
        seqs.push(tell(&stage, account, n).await);
    }
    for from in [0, 1, 7, 19, 20] {
        let (mut client, ready) = resumed(&stage, account, seqs[from]).await;
        assert_eq!(ready["account_head"], json!(seqs[20]));
        for n in from + 1..=20 {
            let frame = client.expect("account").await;
            assert_eq!(
                (&frame["seq"], &frame["prev"]),
                (&json!(seqs[n]), &json!(seqs[n - 1]))
            );
            assert_eq!(frame["source"], json!(format!("ACCOUNTS/{n}")));
        }
        client.send(json!({"t": "ping"})).await;
        client.expect("pong").await;
    }
    stage.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_told_any_more_is_a_reset_and_it_goes_on_from_there() {
    let stage = Stage::start().await;
    let account = stage.world.member();
    let first = tell(&stage, account, 1).await;
    for n in 2..=300 {
        tell(&stage, account, n).await;
    }
    let (mut client, ready) = resumed(&stage, account, first).await;
    let reset = client.expect("reset").await;
    assert_eq!(
        (&reset["why"], &reset["head"], &reset["room"]),
        (&json!("too_far"), &ready["account_head"], &Value::Null)
    );
    let (mut ahead, _) = resumed(&stage, account, 1_000_000).await;
    assert_eq!(ahead.expect("reset").await["why"], "epoch");
    let next = tell(&stage, account, 301).await;
    for client in [&mut client, &mut ahead] {
        let frame = client.expect("account").await;
        assert_eq!(
            (&frame["seq"], &frame["prev"]),
            (&json!(next), &ready["account_head"])
        );
    }
    // The projector has left something out: everybody begins anew, those who are there and those who come.
    let floor = Notices::open(&stage.world.log).begin_anew().await.unwrap();
    assert_eq!(client.expect("reset").await["head"], json!(floor));
    let (mut late, _) = resumed(&stage, account, next).await;
    assert_eq!(late.expect("reset").await["why"], "too_far");
    let last = tell(&stage, account, 302).await;
    for client in [&mut client, &mut late] {
        let frame = client.expect("account").await;
        assert_eq!((&frame["seq"], &frame["prev"]), (&json!(last), &json!(floor)));
    }
    stage.stop().await.unwrap();
}
