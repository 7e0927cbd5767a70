//! Outcomes as the programs of the Foreman DLM plugin read them: pure.

use axum::http::Method;
use serde_json::{Value, json};

use crate::lock::book::answer::Refusal;
use crate::lock::name::Owner;
use crate::lock::server::http::Denied;
use crate::lock::server::http::answer::Answer;
use crate::lock::server::legacy::{GivenBack, Polled, Shown};
use crate::lock::wire::FaultKind;

const INVALID: &str = "Precondition failed. Lock is in invalid state for this operation.";

/// The answer to a get, for the host that asks, if one does. A lock that nobody has is free, not absent.
pub fn shown(lock: &str, shown: Option<&Shown>, host: Option<&Owner>) -> Answer {
    let mut body = object(lock, shown);
    if let (Some(host), Some(shown), Some(holder)) = (host, shown, body["host"].as_object_mut()) {
        holder.insert("self".into(), (shown.owner == host.as_str()).into());
    }
    Answer::new(200, body)
}

/// The answer to an acquire. 412 is "held, come again" and nothing else; `why` is for the client's log.
pub fn acquired(lock: &str, polled: &Polled) -> Answer {
    match polled {
        Polled::New(shown) | Polled::Again(shown, _) => Answer::new(200, object(lock, Some(shown))),
        Polled::Waiting(why) => invalid(lock, why),
        Polled::Refused(refusal @ Refusal::QueueFull { .. }) => error(503, refusal),
        Polled::Refused(refusal) => error(403, refusal),
    }
}

/// The answer to a release. Giving back what is free is done already.
pub fn released(lock: &str, given_back: &GivenBack) -> Answer {
    match given_back {
        GivenBack::Done | GivenBack::Absent => Answer::new(200, object(lock, None)),
        GivenBack::Others | GivenBack::Ambiguous(_) => invalid(lock, &format!("lock {lock} is held by another host")),
        GivenBack::Refused(refusal) => invalid(lock, &refusal.to_string()),
    }
}

/// There is no such method.
pub fn other_method(method: &Method) -> Answer {
    error(405, format_args!("{method} is not done here"))
}

/// A request that is denied.
#[allow(clippy::needless_pass_by_value)] // for unwrap_or_else
pub fn denied(denied: Denied) -> Answer {
    let status = match denied.fault.kind {
        FaultKind::Refused => 403,
        other => other.status(),
    };
    Answer::denied(&denied, status, json!({"error": {"message": denied.fault.error}}))
}

fn error(status: u16, words: impl std::fmt::Display) -> Answer {
    Answer::new(status, json!({"error": {"message": words.to_string()}}))
}

fn invalid(lock: &str, why: &str) -> Answer {
    Answer::new(412, json!({"error": {"id": id(lock), "message": INVALID, "why": why}}))
}

fn object(lock: &str, shown: Option<&Shown>) -> Value {
    let since = shown.map(|shown| shown.since.format("%Y-%m-%d %H:%M:%S UTC").to_string());
    json!({
        "id": id(lock),
        "host_id": shown.map(|shown| id(&shown.owner)),
        "name": lock,
        "enabled": true,
        "type": "ForemanDlm::Dlmlock::Update",
        "created_at": since,
        "updated_at": since,
        "host": shown.map(|shown| json!({"name": shown.owner})),
    })
}

/// Foreman numbers its rows. Here a number is made from the name, always the same one; nothing can be asked for by it.
fn id(name: &str) -> u32 {
    crc32fast::hash(name.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::grant::Number;
    use crate::lock::name::LockName;
    use crate::lock::server::legacy::Slots;
    use crate::sys::clock;

    fn web() -> Shown {
        Shown { lock: "web".into(), owner: "host-a".into(), since: clock::parse("2026-11-21T02:00:07Z").unwrap() }
    }

    #[test]
    fn a_lock_has_the_form_of_foremans_and_says_whether_it_is_the_hosts_own() {
        let owner = |name| Owner::new(name).unwrap();
        let own = shown("web", Some(&web()), Some(&owner("host-a"))).body;
        assert_eq!(own["host"], json!({"name": "host-a", "self": true}));
        assert_eq!((&own["name"], &own["enabled"]), (&json!("web"), &json!(true)));
        assert_eq!(own["updated_at"], "2026-11-21 02:00:07 UTC");
        assert_eq!(shown("web", Some(&web()), Some(&owner("host-b"))).body["host"]["self"], false);
        assert_eq!(shown("web", Some(&web()), None).body["host"], json!({"name": "host-a"}));
        let free = shown("web", None, Some(&owner("host-a")));
        assert_eq!((free.status, &free.body["host"], &free.body["host_id"]), (200, &Value::Null, &Value::Null));
        assert_eq!(free.body["id"], own["id"]);
    }

    #[test]
    fn w37_412_means_held_and_nothing_else_does_at_acquire() {
        let status = |polled: Polled| acquired("web", &polled).status;
        assert_eq!(status(Polled::New(web())), 200);
        assert_eq!(status(Polled::Again(web(), Slots::One)), 200, "asking again is idempotent");
        let held = acquired("web", &Polled::Waiting("lock web is held by host-b".into()));
        assert_eq!(held.status, 412);
        assert_eq!(held.body["error"]["message"], INVALID);
        assert_eq!(held.body["error"]["why"], "lock web is held by host-b");
        let lock = LockName::new("web").unwrap();
        assert_eq!(status(Polled::Refused(Refusal::QueueFull { lock, limit: 1 })), 503);
        assert_eq!(status(Polled::Refused(Refusal::Deadlock { owner: Owner::new("host-a").unwrap() })), 403);
    }

    #[test]
    fn what_is_anothers_is_not_given_back_and_what_is_free_is() {
        assert_eq!(released("web", &GivenBack::Done).status, 200);
        let free = released("web", &GivenBack::Absent);
        assert_eq!((free.status, &free.body["host_id"]), (200, &Value::Null));
        assert_eq!(released("web", &GivenBack::Others).status, 412);
        let refusal = Refusal::NotLegacy { lock: LockName::new("web").unwrap(), number: Number(7) };
        let refused = released("web", &GivenBack::Refused(refusal));
        assert!(refused.status == 412 && refused.body["error"]["why"].as_str().unwrap().contains("grant 7"));
    }

    #[test]
    fn every_denial_is_json_with_words() {
        for (kind, status) in [
            (FaultKind::Unauthorized, 401),
            (FaultKind::Refused, 403),
            (FaultKind::NotFound, 404),
            (FaultKind::Unavailable, 503),
        ] {
            let answer = denied(Denied::new(kind, "words"));
            assert_eq!((answer.status, &answer.body), (status, &json!({"error": {"message": "words"}})));
        }
        assert_eq!(other_method(&Method::POST).status, 405);
    }
}
