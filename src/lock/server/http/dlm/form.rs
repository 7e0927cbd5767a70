//! Outcomes as dlmengine's clients read them: pure.

use serde_json::{Value, json};

use super::Version;
use super::asked::{Fields, Listing};
use crate::error::Error;
use crate::lock::book::answer::Refusal;
use crate::lock::server::http::Denied;
use crate::lock::server::http::answer::Answer;
use crate::lock::server::legacy::{GivenBack, Polled, Shown, Slots};
use crate::lock::wire::FaultKind;

/// The answer to a get.
pub fn shown(version: Version, fields: Fields, shown: Option<&Shown>) -> Answer {
    match shown {
        Some(shown) => Answer::new(200, wrapped(version, object(fields, shown))),
        None => detail(404, "Resource not found"),
    }
}

/// The answer to an acquire. 400 is "held, come again" and nothing else; `why` is for the client's log.
pub fn acquired(version: Version, fields: Fields, polled: &Polled) -> Answer {
    let granted = |shown| Answer::new(201, wrapped(version, object(fields, shown)));
    let held = |why: &str| Answer::new(400, json!({"detail": "Duplicate Resource", "why": why}));
    match polled {
        // Who holds one of several slots cannot see that by a get, which shows one holder.
        Polled::New(shown) | Polled::Again(shown, Slots::Several) => granted(shown),
        Polled::Again(shown, Slots::One) => held(&format!("{} holds lock {} already", shown.owner, shown.lock)),
        Polled::Waiting(why) => held(why),
        Polled::Refused(refusal @ Refusal::QueueFull { .. }) => detail(503, refusal),
        Polled::Refused(refusal) => detail(403, refusal),
    }
}

/// The answer to a release. What is not the client's is not there for it.
pub fn released(lock: &str, given_back: &GivenBack) -> Answer {
    match given_back {
        GivenBack::Done => Answer::new(200, json!({})),
        GivenBack::Absent | GivenBack::Others => detail(404, "Resource not found"),
        GivenBack::Ambiguous(owners) => detail(
            403,
            format_args!(
                "refusing to release lock {lock}: {} hold it, and the request does not say whose is meant; give each host a \
                 credential of its own",
                owners.join(", ")
            ),
        ),
        GivenBack::Refused(refusal) => detail(403, refusal),
    }
}

/// The answer to a list.
pub fn listed(version: Version, listing: &Listing, held: Vec<Shown>) -> Answer {
    let (page, count) = listing.choose(held);
    let results: Vec<Value> = page.iter().map(|shown| object(listing.fields, shown)).collect();
    let body = match version {
        Version::V1 => {
            let results: Vec<Value> = results.into_iter().map(|one| wrapped(version, one)).collect();
            wrapped(version, json!({"results": results}))
        }
        Version::V2 => json!({"result": results, "meta": {"result_size": count}}),
    };
    Answer::new(200, body)
}

/// There is no such method.
pub fn other_method() -> Answer {
    detail(405, "Method Not Allowed")
}

/// A request that is denied. A body or query that is not understood has the form that clients know for it.
#[allow(clippy::needless_pass_by_value)] // for unwrap_or_else
pub fn denied(denied: Denied) -> Answer {
    let words = &denied.fault.error;
    let status = match denied.fault.kind {
        FaultKind::BadRequest => {
            let one = json!({"type": "value_error", "loc": ["request"], "msg": words, "input": null});
            return Answer::denied(&denied, 422, json!({"detail": [one]}));
        }
        FaultKind::Refused => 403,
        other => other.status(),
    };
    Answer::denied(&denied, status, json!({"detail": words}))
}

/// Nobody may be called this, so nobody may act for it.
pub fn not_its_owner(denied: Denied) -> Denied {
    match denied.fault.kind {
        FaultKind::BadRequest => Denied::new(FaultKind::Forbidden, denied.fault.error),
        _ => denied,
    }
}

/// No lock can have this name.
#[allow(clippy::needless_pass_by_value)] // for map_err
pub fn no_such_lock(why: Error) -> Denied {
    Denied::new(FaultKind::NotFound, why)
}

fn detail(status: u16, words: impl std::fmt::Display) -> Answer {
    Answer::new(status, json!({"detail": words.to_string()}))
}

fn wrapped(version: Version, value: Value) -> Value {
    match version {
        Version::V1 => json!({"data": value}),
        Version::V2 => value,
    }
}

fn object(fields: Fields, shown: &Shown) -> Value {
    let mut object = serde_json::Map::new();
    if fields.id {
        object.insert("id".into(), shown.lock.clone().into());
    }
    if fields.acquired_by {
        object.insert("acquired_by".into(), shown.owner.clone().into());
    }
    if fields.acquired_since {
        // UTC without saying so, with digits for microseconds.
        object.insert("acquired_since".into(), shown.since.format("%Y-%m-%dT%H:%M:%S%.6f").to_string().into());
    }
    Value::Object(object)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::grant::{Holder, Number, Protocol};
    use crate::lock::name::{LockName, Owner};
    use crate::sys::clock;

    fn web() -> Shown {
        Shown { lock: "web".into(), owner: "web01".into(), since: clock::parse("2026-11-21T02:00:07Z").unwrap() }
    }

    fn both(answer: Answer) -> (u16, Value) {
        (answer.status, answer.body)
    }

    #[test]
    fn a_lock_that_is_held_is_an_object_and_a_free_one_is_not_there() {
        let object = json!({"id": "web", "acquired_by": "web01", "acquired_since": "2026-11-21T02:00:07.000000"});
        assert_eq!(both(shown(Version::V2, Fields::ALL, Some(&web()))), (200, object.clone()));
        assert_eq!(both(shown(Version::V1, Fields::ALL, Some(&web()))), (200, json!({"data": object})));
        let part = Fields { acquired_by: false, acquired_since: false, ..Fields::ALL };
        assert_eq!(both(shown(Version::V2, part, Some(&web()))), (200, json!({"id": "web"})));
        assert_eq!(both(shown(Version::V2, Fields::ALL, None)), (404, json!({"detail": "Resource not found"})));
    }

    #[test]
    fn w39_400_means_held_and_nothing_else_does() {
        let status = |polled: Polled| acquired(Version::V2, Fields::ALL, &polled).status;
        assert_eq!(status(Polled::New(web())), 201);
        assert_eq!(status(Polled::Again(web(), Slots::One)), 400);
        assert_eq!(status(Polled::Again(web(), Slots::Several)), 201);
        let (lock, owner) = (LockName::new("web").unwrap(), Owner::new("web01").unwrap());
        assert_eq!(
            both(acquired(Version::V1, Fields::ALL, &Polled::Waiting("lock web is held".into()))),
            (400, json!({"detail": "Duplicate Resource", "why": "lock web is held"}))
        );
        let holder = Holder::Legacy(Protocol::Dlm);
        for (refusal, expected) in [
            (Refusal::QueueFull { lock: lock.clone(), limit: 1 }, 503),
            (Refusal::OtherHolder { lock: lock.clone(), owner: owner.clone(), holder: holder.clone() }, 403),
            (Refusal::OtherWaiter { lock, owner: owner.clone(), holder }, 403),
            (Refusal::Deadlock { owner }, 403),
        ] {
            assert_eq!(status(Polled::Refused(refusal)), expected);
        }
    }

    #[test]
    fn w38_what_is_wrong_with_a_request_is_never_said_as_held() {
        for (kind, status) in [
            (FaultKind::BadRequest, 422),
            (FaultKind::Unauthorized, 401),
            (FaultKind::Forbidden, 403),
            (FaultKind::NotFound, 404),
            (FaultKind::Refused, 403),
            (FaultKind::TooMany, 429),
            (FaultKind::Unavailable, 503),
        ] {
            let answer = denied(Denied::new(kind, "words"));
            let words = answer.body["detail"].as_str().or_else(|| answer.body["detail"][0]["msg"].as_str());
            assert_eq!((answer.status, words), (status, Some("words")));
        }
        assert_eq!(denied(Denied::too_many(6)).retry_after, Some(6));
        let unfit = || Error::Usage("refusing owner".into());
        assert_eq!(not_its_owner(unfit().into()).fault.kind, FaultKind::Forbidden);
        assert_eq!(not_its_owner(Denied::stranger()).fault.kind, FaultKind::Unauthorized);
        assert_eq!(no_such_lock(unfit()).fault.kind, FaultKind::NotFound);
    }

    #[test]
    fn w2_a_release_of_what_is_not_the_clients_finds_nothing_or_is_refused() {
        assert_eq!(both(released("web", &GivenBack::Done)), (200, json!({})));
        for nothing in [GivenBack::Absent, GivenBack::Others] {
            assert_eq!(both(released("web", &nothing)), (404, json!({"detail": "Resource not found"})));
        }
        let (status, body) = both(released("web", &GivenBack::Ambiguous(vec!["web01".into(), "web02".into()])));
        assert!(status == 403 && body["detail"].as_str().unwrap().contains("web01, web02 hold it"), "{body}");
        let refusal = Refusal::NotLegacy { lock: LockName::new("web").unwrap(), number: Number(7) };
        assert_eq!(
            both(released("web", &GivenBack::Refused(refusal.clone()))).1,
            json!({"detail": refusal.to_string()})
        );
    }

    #[test]
    fn each_version_lists_in_its_own_form() {
        let listing = Listing::read(&vec![("fields".into(), "id".into())]).unwrap();
        let (status, body) = both(listed(Version::V2, &listing, vec![web()]));
        assert_eq!((status, body), (200, json!({"result": [{"id": "web"}], "meta": {"result_size": 1}})));
        let (_, body) = both(listed(Version::V1, &listing, vec![web()]));
        assert_eq!(body, json!({"data": {"results": [{"data": {"id": "web"}}]}}));
    }
}
