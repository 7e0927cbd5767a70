//! Requests and outcomes of `FleetLock` v1: pure.
//!
//! The kinds of failures, which clients use as labels of metrics: `lock_held` (423), `bad_request` (400), `unauthorized` (401),
//! `forbidden` (403), `not_found` (404), `method_not_allowed` (405), `refused` (409), `too_many` (429), `unavailable` (503).

use serde::Deserialize;
use serde_json::json;

use crate::lock::book::answer::Refusal;
use crate::lock::server::http::Denied;
use crate::lock::server::http::answer::Answer;
use crate::lock::server::legacy::{GivenBack, Polled};
use crate::lock::wire::FaultKind;

/// Who asks for what.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Said {
    /// The node.
    pub id: String,
    /// The lock.
    pub group: String,
}

#[derive(Deserialize)]
struct Request {
    client_params: Said,
}

/// Without this header a request was not meant for us: it may have come by a redirect.
///
/// # Errors
/// [`Denied`] if it is not there, or says anything but `true`.
pub fn judge_header(value: Option<&[u8]>) -> Result<(), Denied> {
    match value {
        Some(b"true") => Ok(()),
        _ => Err(Denied::new(FaultKind::BadRequest, "the header fleet-lock-protocol: true is missing")),
    }
}

/// Reads a body, whatever its type is said to be: Zincati says none.
///
/// # Errors
/// [`Denied`] with what is not understood.
pub fn read(body: &[u8]) -> Result<Said, Denied> {
    let wrong = |words: String| Denied::new(FaultKind::BadRequest, words);
    let read: Result<Request, _> = serde_json::from_slice(body);
    let said = read.map_err(|why| wrong(format!("cannot understand the body: {why}")))?.client_params;
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '-';
    if said.group.is_empty() || !said.group.chars().all(fits) {
        return Err(wrong(
            "refusing the group: it has letters, digits, dots and hyphens only, and at least one".into(),
        ));
    }
    Ok(said)
}

/// The answer to pre-reboot.
pub fn reserved(polled: &Polled) -> Answer {
    match polled {
        Polled::New(_) | Polled::Again(..) => done(),
        Polled::Waiting(why) => failure(423, "lock_held", why),
        Polled::Refused(refusal @ Refusal::QueueFull { .. }) => failure(503, "unavailable", refusal),
        Polled::Refused(refusal) => failure(409, "refused", refusal),
    }
}

/// The answer to steady-state. Holding nothing is the state that was asked for.
pub fn given_back(given_back: &GivenBack) -> Answer {
    match given_back {
        GivenBack::Done | GivenBack::Absent | GivenBack::Others | GivenBack::Ambiguous(_) => done(),
        GivenBack::Refused(refusal) => failure(409, "refused", refusal),
    }
}

/// There is no such method.
pub fn other_method() -> Answer {
    failure(405, "method_not_allowed", "only POST is done here")
}

/// A request that is denied.
#[allow(clippy::needless_pass_by_value)] // for unwrap_or_else
pub fn denied(denied: Denied) -> Answer {
    let kind = match denied.fault.kind {
        FaultKind::BadRequest => "bad_request",
        FaultKind::Unauthorized => "unauthorized",
        FaultKind::Forbidden => "forbidden",
        FaultKind::NotFound => "not_found",
        FaultKind::Refused => "refused",
        FaultKind::TooMany => "too_many",
        FaultKind::Unavailable => "unavailable",
    };
    let body = json!({"kind": kind, "value": denied.fault.error});
    Answer::denied(&denied, denied.fault.kind.status(), body)
}

fn done() -> Answer {
    Answer::new(200, json!({}))
}

fn failure(status: u16, kind: &str, value: impl std::fmt::Display) -> Answer {
    Answer::new(status, json!({"kind": kind, "value": value.to_string()}))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::grant::Number;
    use crate::lock::name::{LockName, Owner};
    use crate::lock::server::legacy::{Shown, Slots};
    use crate::sys::clock;

    #[test]
    fn both_names_are_needed_and_a_group_is_plain() {
        let said = read(br#"{"client_params":{"id":"c988","group":"workers"}}"#).unwrap();
        assert_eq!(said, Said { id: "c988".into(), group: "workers".into() });
        for bad in [
            &b""[..],
            b"[]",
            br#"{"client_params":{"id":"c988"}}"#,
            br#"{"client_params":{"id":"c988","group":""}}"#,
            br#"{"client_params":{"id":"c988","group":"a b"}}"#,
            br#"{"client_params":{"id":"c988","group":"a/b"}}"#,
            br#"{"client_params":{"id":null,"group":"a"}}"#,
        ] {
            assert_eq!(read(bad).unwrap_err().fault.kind, FaultKind::BadRequest);
        }
    }

    #[test]
    fn what_came_by_a_redirect_is_refused() {
        assert!(judge_header(Some(b"true")).is_ok());
        for bad in [None, Some(&b"false"[..]), Some(b"")] {
            assert!(judge_header(bad).is_err());
        }
    }

    #[test]
    fn only_a_full_group_is_lock_held() {
        let since = clock::parse("2026-11-21T02:00:07Z").unwrap();
        let shown = Shown { lock: "workers".into(), owner: "c988".into(), since };
        assert_eq!(reserved(&Polled::New(shown.clone())).status, 200);
        assert_eq!(reserved(&Polled::Again(shown, Slots::Several)).status, 200, "holding one already is a success");
        let held = reserved(&Polled::Waiting("lock workers is held by ab12".into()));
        assert_eq!(
            (held.status, held.body),
            (423, json!({"kind": "lock_held", "value": "lock workers is held by ab12"}))
        );
        let lock = LockName::new("workers").unwrap();
        assert_eq!(reserved(&Polled::Refused(Refusal::QueueFull { lock, limit: 1 })).status, 503);
        assert_eq!(reserved(&Polled::Refused(Refusal::Deadlock { owner: Owner::new("c").unwrap() })).status, 409);
    }

    #[test]
    fn holding_none_is_a_success_at_steady_state() {
        for fine in [GivenBack::Done, GivenBack::Absent, GivenBack::Others] {
            assert_eq!(given_back(&fine).status, 200);
        }
        let refusal = Refusal::NotLegacy { lock: LockName::new("workers").unwrap(), number: Number(7) };
        assert_eq!(given_back(&GivenBack::Refused(refusal)).status, 409);
    }

    #[test]
    fn every_failure_has_a_kind_and_a_value() {
        for kind in [
            FaultKind::BadRequest,
            FaultKind::Unauthorized,
            FaultKind::Forbidden,
            FaultKind::NotFound,
            FaultKind::Refused,
            FaultKind::TooMany,
            FaultKind::Unavailable,
        ] {
            let answer = denied(Denied::new(kind, "words"));
            assert!(answer.status >= 400 && !answer.body["kind"].as_str().unwrap().is_empty());
            assert_eq!(answer.body["value"], "words");
        }
        assert_eq!(other_method().status, 405);
    }
}
