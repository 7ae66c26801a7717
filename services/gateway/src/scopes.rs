//! What the token of a bot must be good for, operation by operation. The one place for every door: HTTP and gRPC
//! by method and path, the WebSocket by frame. What the account may do is decided elsewhere, and counts as well.

use http::Method;
use veza_events::{Scope, Scopes};
use veza_platform::contract::{Problem, ProblemKind};

/// What an operation asks of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Needs {
    /// That it is good.
    Token,
    /// That it is a person's, or has this scope.
    Scope(Scope),
    /// That it is a person's.
    Person,
}

/// What the operation at `path` asks for; `None` if it is not known here, which bots may not do.
#[expect(clippy::match_same_arms, reason = "a table, by the parts of the API")]
pub(crate) fn of_operation(method: &Method, path: &str) -> Option<Needs> {
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    if let [service, call] = parts[..]
        && service.starts_with("veza.v1.")
    {
        return of_call(service, call);
    }
    let (&version, parts) = parts.split_first()?;
    if version != "v1" {
        return None;
    }
    let read = *method == Method::GET;
    let by_method = |reads, writes| Some(Needs::Scope(if read { reads } else { writes }));
    let messages = by_method(Scope::MessagesRead, Scope::MessagesWrite);
    let structure = by_method(Scope::MembersRead, Scope::SpacesManage);
    let people = by_method(Scope::MembersRead, Scope::MembersManage);
    match parts {
        ["accounts", "me"] if read => Some(Needs::Token),
        ["accounts", "me", ..] => Some(Needs::Person),
        ["accounts", _] if read => Some(Needs::Token),
        ["realtime", "tickets"] => Some(Needs::Token),
        ["sessions" | "bots" | "invites" | "push" | "exports", ..] => Some(Needs::Person),
        ["spaces", _, "exports"] => Some(Needs::Person),
        ["spaces"] if read => Some(Needs::Token),
        ["spaces"] => Some(Needs::Person),
        ["spaces", _] if read => Some(Needs::Token),
        ["spaces", _, "members"] | ["spaces", _, "members", _] => people,
        ["spaces", _, "audit" | "filters" | "reports" | "raid" | "held", ..] | ["reports", ..] => {
            Some(Needs::Scope(Scope::MembersManage))
        }
        ["spaces", _, "members", _, "release"] => Some(Needs::Scope(Scope::MembersManage)),
        ["spaces", _, "bots", _] | ["rooms", _, "webhooks", ..] => Some(Needs::Person),
        ["spaces", _, "commands"] if read => Some(Needs::Token),
        ["spaces", _, "commands", _] | ["commands", "responses"] => Some(Needs::Scope(Scope::Commands)),
        // Bots do not call each other: nobody would stop them.
        ["rooms", _, "commands"] => Some(Needs::Person),
        ["spaces", _, "rooms"] | ["rooms", _] if read => Some(Needs::Token),
        ["spaces", _] | ["spaces", _, "roles" | "invites" | "rooms" | "categories", ..] => structure,
        ["rooms", _] | ["rooms", _, "place"] | ["rooms", _, "overrides", ..] => structure,
        ["rooms", _, "whip" | "whep" | "streams", ..] => Some(Needs::Scope(Scope::Calls)),
        ["rooms", _, "read"] => Some(Needs::Scope(Scope::MessagesRead)),
        ["rooms", _, "messages" | "uploads" | "pins" | "scheduled", ..] | ["scheduled", ..] => messages,
        ["rooms" | "spaces", _, "notifications"] | ["notifications"] => Some(Needs::Person),
        ["rooms", _, "draft"] | ["drafts"] => Some(Needs::Person),
        ["directs"] | ["messages", ..] => messages,
        ["directs", _, "members", "me"] => Some(Needs::Token),
        ["directs", _, "members", _] => messages,
        ["search" | "unread" | "mentions" | "held"] | ["attachments", ..] => {
            Some(Needs::Scope(Scope::MessagesRead))
        }
        _ => None,
    }
}

fn of_call(service: &str, call: &str) -> Option<Needs> {
    match (service, call) {
        ("veza.v1.Accounts", "Get" | "VerifyToken") => Some(Needs::Token),
        ("veza.v1.Chat", "List" | "ListScheduled" | "Subscribe") => Some(Needs::Scope(Scope::MessagesRead)),
        (
            "veza.v1.Chat",
            "Post" | "Edit" | "Delete" | "React" | "Unreact" | "Pin" | "Unpin" | "Schedule"
            | "ChangeScheduled" | "CancelScheduled",
        ) => Some(Needs::Scope(Scope::MessagesWrite)),
        _ => None,
    }
}

/// Whether a token with these scopes is good for that; people's have none, and are good for everything.
///
/// # Errors
/// `session.scope`.
pub(crate) fn admit(held: Option<Scopes>, needs: Option<Needs>) -> Result<(), Problem> {
    let Some(held) = held else { return Ok(()) };
    let detail = match needs {
        Some(Needs::Token) => return Ok(()),
        Some(Needs::Scope(scope)) if held.has(scope) => return Ok(()),
        Some(Needs::Scope(scope)) => {
            format!(
                "the token lacks the scope `{}`; get one with a key that has it",
                scope.name()
            )
        }
        Some(Needs::Person) | None => "this is for people, not for bots".to_owned(),
    };
    Err(Problem::new(ProblemKind::Forbidden, "session.scope", detail))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Operations that need no token at all.
    const OPEN: [(&str, &str); 9] = [
        ("post", "/v1/hooks/{webhook}/{code}"),
        ("post", "/v1/accounts/me/email/confirm"),
        ("post", "/v1/passwords"),
        ("post", "/v1/passwords/link"),
        ("post", "/v1/accounts"),
        ("post", "/v1/sessions"),
        ("post", "/v1/sessions/link"),
        ("post", "/v1/sessions/refresh"),
        ("post", "/v1/oauth/token"),
    ];

    #[test]
    fn every_operation_says_what_it_asks_of_a_bots_token() {
        let document: serde_json::Value = serde_json::from_str(&crate::http::document()).unwrap();
        let mut unknown = Vec::new();
        for (path, methods) in document["paths"].as_object().unwrap() {
            for method in methods.as_object().unwrap().keys() {
                let open = OPEN.contains(&(method.as_str(), path.as_str()));
                let verb = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
                if !open && of_operation(&verb, path).is_none() {
                    unknown.push(format!("{method} {path}"));
                }
            }
        }
        for call in crate::grpc::calls() {
            if of_operation(&Method::POST, &format!("/veza.v1.{call}")).is_none() {
                unknown.push(call);
            }
        }
        assert!(
            unknown.is_empty(),
            "say in gateway/src/scopes.rs what a bot's token needs for: {unknown:?}"
        );
    }

    #[test]
    fn what_is_not_known_is_for_people() {
        assert_eq!(of_operation(&Method::GET, "/v1/secrets"), None);
        assert_eq!(of_operation(&Method::GET, "/"), None);
        assert_eq!(of_operation(&Method::POST, "/veza.v1.Chat/Erase"), None);
        assert!(admit(None, None).is_ok());
        assert_eq!(admit(Some(Scopes::NONE), None).unwrap_err().code, "session.scope");
    }

    #[test]
    fn a_token_is_good_for_its_scopes_alone() {
        let reads: Scopes = [Scope::MessagesRead].into_iter().collect();
        let asks = |method: Method, path: &str| admit(Some(reads), of_operation(&method, path)).is_ok();
        assert!(asks(Method::GET, "/v1/rooms/r/messages"));
        assert!(asks(Method::GET, "/v1/accounts/me"));
        assert!(asks(Method::POST, "/v1/realtime/tickets"));
        assert!(asks(Method::POST, "/veza.v1.Chat/List"));
        assert!(!asks(Method::POST, "/v1/rooms/r/messages"));
        assert!(!asks(Method::GET, "/v1/spaces/s/members"));
        assert!(!asks(Method::PATCH, "/v1/accounts/me"));
        assert!(!asks(Method::POST, "/v1/bots"));
        assert!(!asks(Method::POST, "/v1/spaces"));
        assert!(!asks(Method::POST, "/veza.v1.Chat/Post"));
    }
}
