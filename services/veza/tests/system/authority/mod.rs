//! Who may call what: every operation of the API document × everybody × objects of one's own and of others.
//!
//! The rows say who may; the callers follow from that: nobody, a stranger, a member, one who holds all
//! permissions but the one that is asked for, one who holds that one alone, and the owner.

mod grpc_rows;
mod http_rows;
mod socket_rows;
mod world;

use std::{collections::BTreeSet, fmt::Write as _};

use serde_json::Value;
use tonic::{Code, Status};

use http_rows::{ELSEWHERE, ROWS};
use world::{Actor, World};

/// Who may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    /// Whoever knows what the body or path says; no token is asked for.
    Anybody,
    /// Everybody who is signed in.
    SignedIn,
    /// Everybody who may see the object.
    Sees,
    /// Members who hold this permission.
    Holds(&'static str),
    /// Who made the object, and nobody else, for which this permission is needed, or none.
    Maker(Option<&'static str>),
    /// Who made the object, for which the first permission is needed, and who holds the second one.
    MakerOr(&'static str, &'static str),
}

/// One operation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    /// Method and path, as in the document.
    pub(crate) operation: &'static str,
    /// Behind the path.
    pub(crate) query: &'static str,
    /// JSON, with the same names in braces as paths have.
    pub(crate) body: &'static str,
    pub(crate) who: Who,
}

pub(crate) const fn row(operation: &'static str, who: Who, body: &'static str) -> Row {
    Row {
        operation,
        query: "",
        body,
        who,
    }
}

/// One call of the matrix: by whom, on whose object, in an open or a private room, and whether it may succeed.
#[derive(Clone, Debug)]
struct Case {
    by: Actor,
    made_by: Actor,
    private: bool,
    may: bool,
}

const fn case(by: Actor, made_by: Actor, may: bool) -> Case {
    Case {
        by,
        made_by,
        private: false,
        may,
    }
}

/// The callers that a row needs. Those who may come last: what they do may take the object away.
fn cases(row: &Row) -> Vec<Case> {
    use Actor::{AllBut, Nobody, Only, Owner, Plain, Stranger};
    if row.who == Who::Anybody {
        return vec![case(Nobody, Owner, true)];
    }
    let mut all = vec![case(Nobody, Owner, false)];
    match row.who {
        Who::Anybody => {}
        Who::SignedIn => all.extend([Stranger, Plain, Owner].map(|by| case(by, Owner, true))),
        Who::Sees => {
            all.push(case(Stranger, Owner, false));
            all.extend([Plain, Owner].map(|by| case(by, Owner, true)));
        }
        Who::Holds(permission) => {
            all.extend([Stranger, Plain, AllBut(permission)].map(|by| case(by, Owner, false)));
            all.extend([Only(permission), Owner].map(|by| case(by, Owner, true)));
        }
        Who::Maker(needs) => {
            let maker = needs.map_or(Stranger, Only);
            all.extend([Stranger, Plain, maker].map(|by| case(by, Owner, false)));
            all.push(case(Owner, maker, false));
            all.extend([maker, Owner].map(|by| case(by, by, true)));
        }
        Who::MakerOr(needs, or) => {
            all.extend([Stranger, Plain, AllBut(or)].map(|by| case(by, Owner, false)));
            all.extend(
                [
                    (Only(needs), Only(needs)),
                    (Only(or), Owner),
                    (Owner, Only(needs)),
                ]
                .map(|(by, made_by)| case(by, made_by, true)),
            );
        }
    }
    if matches!(row.who, Who::Sees | Who::Holds(_))
        && ["{room}", "{message}", "{id}"]
            .iter()
            .any(|one| row.operation.contains(one))
    {
        let closed = |by, may| Case {
            private: true,
            ..case(by, Owner, may)
        };
        all.extend([closed(Stranger, false), closed(Plain, false), closed(Owner, true)]);
        if let Who::Holds(permission) = row.who {
            all.push(closed(Only(permission), false));
        }
    }
    all
}

fn operations(document: &Value) -> BTreeSet<String> {
    let paths = document["paths"].as_object().unwrap();
    paths
        .iter()
        .flat_map(|(path, methods)| {
            methods
                .as_object()
                .unwrap()
                .keys()
                .map(move |method| format!("{} {path}", method.to_uppercase()))
        })
        .collect()
}

/// What is wrong with an answer, if something is.
fn fault(case: &Case, status: u16, answer: &Value) -> Option<String> {
    let code = answer["code"].as_str().unwrap_or_default();
    let right = match (case.may, case.by) {
        (true, _) => (200..300).contains(&status),
        (false, Actor::Nobody) => status == 401,
        (false, _) => (status == 403 || status == 404) && !code.starts_with("request."),
    };
    (!right).then(|| format!("{case:?}: {status} {answer}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_is_for_those_that_its_row_says() {
    let mut world = World::new().await;
    let document = world.document().await;
    let (documented, rows) = (
        operations(&document),
        ROWS.iter()
            .map(|row| row.operation)
            .chain(ELSEWHERE.iter().copied())
            .map(str::to_owned)
            .collect::<BTreeSet<_>>(),
    );
    assert_eq!(
        documented.symmetric_difference(&rows).collect::<Vec<_>>(),
        Vec::<&String>::new(),
        "every operation has a row in http_rows.rs, every row an operation"
    );
    let (mut faults, mut calls) = (String::new(), 0);
    for row in ROWS {
        for case in cases(row) {
            let (status, answer) = world.call(row, &case).await;
            calls += 1;
            if let Some(fault) = fault(&case, status, &answer) {
                let _ = writeln!(faults, "{}: {fault}", row.operation);
            }
        }
    }
    assert!(faults.is_empty(), "of {calls} calls:\n{faults}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_call_is_for_those_that_its_row_says() {
    let mut world = World::new().await;
    let names = grpc_rows::ROWS.iter().map(|row| call_of(row));
    let rows: BTreeSet<String> = names
        .chain(grpc_rows::ELSEWHERE.iter().copied())
        .map(str::to_owned)
        .collect();
    let calls: BTreeSet<String> = veza_gateway::grpc::calls().into_iter().collect();
    assert_eq!(
        calls.symmetric_difference(&rows).collect::<Vec<_>>(),
        Vec::<&String>::new(),
        "every call has a row in grpc_rows.rs, every row a call"
    );
    let (mut faults, mut made) = (String::new(), 0);
    for row in grpc_rows::ROWS {
        for case in cases(row) {
            let answer = world.grpc(row, call_of(row), &case).await;
            made += 1;
            let code = answer.as_ref().map_or_else(Status::code, |()| Code::Ok);
            let right = match (case.may, case.by) {
                (true, _) => code == Code::Ok,
                (false, Actor::Nobody) => code == Code::Unauthenticated,
                (false, _) => matches!(code, Code::PermissionDenied | Code::NotFound),
            };
            if !right {
                let _ = writeln!(faults, "{}: {case:?}: {answer:?}", row.operation);
            }
        }
    }
    assert!(faults.is_empty(), "of {made} calls:\n{faults}");
}

fn call_of(row: &Row) -> &'static str {
    row.operation
        .split_once(' ')
        .map_or(row.operation, |(call, _)| call)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_frame_is_for_those_that_its_row_says() {
    let mut world = World::new().await;
    let (mut faults, mut calls) = (String::new(), 0);
    for row in socket_rows::ROWS {
        for case in cases(row) {
            // Without an account there is no socket.
            if case.by == Actor::Nobody {
                continue;
            }
            let answer = world.frame(row, &case).await;
            calls += 1;
            let done = match answer["t"].as_str().unwrap() {
                "ok" => answer["refused"]
                    .as_object()
                    .is_none_or(serde_json::Map::is_empty),
                "ack" | "fill" | "call.joined" | "call.published" => true,
                "reset" => answer["why"] != "access",
                "error" => false,
                other => panic!("{other}: {answer}"),
            };
            let understood = !answer["code"]
                .as_str()
                .is_some_and(|code| code.starts_with("frame."));
            if done != case.may || !understood {
                let _ = writeln!(faults, "{}: {case:?}: {answer}", row.operation);
            }
        }
    }
    assert!(faults.is_empty(), "of {calls} frames:\n{faults}");
}
