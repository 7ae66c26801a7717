//! Keeping the peace, by HTTP.

use reqwest::Method;
use serde_json::{Value, json};
use veza_client::Person;

use crate::platform::{Platform, eventually, words};
use crate::structure::{code, put};

async fn audit(platform: &Platform, of: &Person, path: &str) -> Vec<Value> {
    let page = platform
        .api()
        .call(Method::GET, path, Some(&of.access_token()), None)
        .await
        .unwrap();
    page["items"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_did_what_to_whom_and_why_can_be_read_by_those_who_may() {
    let platform = Platform::start().await;
    let ([ada, ben], space, room) = platform.people(["ada", "ben"]).await;
    let path = format!("/v1/spaces/{space}/audit");
    assert_eq!(code(ben.get(&path).await), (403, "space.not_allowed".into()));

    let member = format!(
        "{}/v1/spaces/{space}/members/{}",
        platform.fleet.url(),
        ben.account
    );
    let with_reason = async |reason: &str| {
        let answer = reqwest::Client::new()
            .put(&member)
            .bearer_auth(ada.access_token())
            .header("veza-reason", reason)
            .json(&json!({ "time_out_s": 600 }))
            .send()
            .await
            .unwrap();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap())
    };
    assert_eq!(with_reason("trop%20de%20bruit%20%C3%A0%20midi").await.0, 200);
    let (status, problem) = with_reason("%FF").await;
    assert_eq!((status, &problem["code"]), (400, &json!("request.parameter")));
    let (status, problem) = with_reason(&"x".repeat(501)).await;
    assert_eq!((status, &problem["code"]), (422, &json!("member.reason_invalid")));

    let refused = ben
        .post(&format!("/v1/rooms/{room}/messages"), &words("hi"))
        .await;
    assert_eq!(code(refused), (403, "room.timed_out".into()));
    put(
        &ada,
        &format!("/v1/spaces/{space}/members/{}", ben.account),
        json!({ "time_out_s": 0 }),
    )
    .await
    .unwrap();
    ben.post(&format!("/v1/rooms/{room}/messages"), &words("hi"))
        .await
        .unwrap();

    let deeds = eventually("the deeds are listed", async || {
        let deeds = audit(&platform, &ada, &format!("{path}?target={}", ben.account)).await;
        (deeds.len() == 2).then_some(deeds)
    })
    .await;
    assert_eq!(deeds[0]["action"], "member.time_out_lifted");
    let timed_out = &deeds[1];
    assert_eq!(
        (
            &timed_out["action"],
            &timed_out["actor_handle"],
            &timed_out["target_handle"]
        ),
        (&json!("member.timed_out"), &json!("ada"), &json!("ben"))
    );
    assert_eq!(timed_out["reason"], "trop de bruit à midi");
    assert!(timed_out["detail"]["timed_out_until"].is_string(), "{timed_out}");
    let made = audit(&platform, &ada, &format!("{path}?action=space.invite_created")).await;
    assert_eq!(made.len(), 1);
    assert!(made[0]["detail"].get("digest").is_none(), "{}", made[0]);

    let first = ada.get(&format!("{path}?limit=2")).await.unwrap();
    let next = first["next"].as_str().unwrap();
    let second = ada.get(&format!("{path}?limit=200&cursor={next}")).await.unwrap();
    let seqs = |page: &Value| -> Vec<u64> {
        page["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["seq"].as_u64().unwrap())
            .collect()
    };
    assert!(seqs(&first).iter().min() > seqs(&second).iter().max());
    assert_eq!(
        code(ada.get(&format!("{path}?cursor=x")).await),
        (400, "request.cursor".into())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_room_says_when_to_come_again_and_members_are_found_by_name() {
    let platform = Platform::start().await;
    let ([ada, ben, _eve], space, room) = platform.people(["ada", "ben_100", "benny"]).await;
    let path = format!("/v1/rooms/{room}");
    ada.call(Method::PATCH, &path, Some(&json!({ "slow_mode_s": 3600 })))
        .await
        .unwrap();
    let too_long = ada
        .call(Method::PATCH, &path, Some(&json!({ "slow_mode_s": 21_601 })))
        .await;
    assert_eq!(code(too_long), (422, "room.slow_mode_invalid".into()));
    ben.post(&format!("{path}/messages"), &words("first"))
        .await
        .unwrap();
    let answer = reqwest::Client::new()
        .post(format!("{}{path}/messages", platform.fleet.url()))
        .bearer_auth(ben.access_token())
        .json(&words("second"))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status().as_u16(), 429);
    let wait: u64 = answer.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((3_500..=3_600).contains(&wait), "{wait}");
    eventually("the room says that it is slow", async || {
        let room = ada.get(&path).await.unwrap();
        (room["slow_mode_s"] == json!(3600)).then_some(())
    })
    .await;

    let found = async |query: &str| -> Vec<String> {
        let members = ada
            .get(&format!("/v1/spaces/{space}/members?{query}"))
            .await
            .unwrap();
        let mut names: Vec<String> = members["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["handle"].as_str().unwrap().to_owned())
            .collect();
        names.sort_unstable();
        names
    };
    assert_eq!(found("q=BEN").await, ["ben_100", "benny"]);
    assert_eq!(
        found("q=n_1").await,
        ["ben_100"],
        "a letter like any other, not one for all"
    );
    assert_eq!(found("q=%25").await, Vec::<String>::new());
    let role = uuid::Uuid::from_u128(7);
    put(
        &ada,
        &format!("/v1/spaces/{space}/roles/{role}"),
        json!({ "name": "quiet", "permissions": [], "rank": 1 }),
    )
    .await
    .unwrap();
    put(
        &ada,
        &format!("/v1/spaces/{space}/members/{}", ben.account),
        json!({ "roles": [role] }),
    )
    .await
    .unwrap();
    eventually("he is found by his role", async || {
        (found(&format!("role={role}")).await == ["ben_100"]).then_some(())
    })
    .await;
    assert_eq!(found(&format!("role={role}&q=benny")).await, Vec::<String>::new());
}
