//! etcd's JSON gateway: transactions, ranges, watches; each member in turn until one answers.
//!
//! Keys and values are base64, 64-bit numbers are text, and what is zero or empty is left out: etcd v3 API, "gRPC gateway".

use std::io::{BufRead, BufReader};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::{Value, json};
use ureq::http::Method;

use super::hint;
use crate::config::locking::{Secret, Web};
use crate::error::{Error, Result};
use crate::lock::client::Kind;
use crate::lock::client::http::{Http, Reply};
use crate::paths::Paths;
use crate::sys::secret::Hidden;

/// A stream that ends at once is not opened again at once.
const SHORT: Duration = Duration::from_millis(500);

/// The members of a cluster.
#[derive(Debug)]
pub struct Gateway {
    members: Vec<Http>,
    /// Which one answered last.
    good: AtomicUsize,
    paths: Paths,
    user: Option<(String, Hidden)>,
    token: Mutex<Option<String>>,
}

/// A key with its value.
#[derive(Debug, Clone)]
pub struct Pair {
    pub key: String,
    pub value: Vec<u8>,
    /// The revision that made it.
    pub created: u64,
    /// The revision that changed it last.
    pub changed: u64,
}

/// A condition of a transaction.
#[derive(Debug)]
pub struct Is(Value);

impl Is {
    pub fn absent(key: &str) -> Self {
        Self::created(key, 0)
    }

    pub fn created(key: &str, revision: u64) -> Self {
        Self(
            json!({ "key": encode(key), "target": "CREATE", "result": "EQUAL", "create_revision": revision.to_string() }),
        )
    }

    pub fn unchanged(key: &str, revision: u64) -> Self {
        Self(json!({ "key": encode(key), "target": "MOD", "result": "EQUAL", "mod_revision": revision.to_string() }))
    }
}

/// One thing that a transaction does.
#[derive(Debug)]
pub struct Op(Value);

impl Op {
    pub fn get(key: &str) -> Self {
        Self(json!({ "request_range": { "key": encode(key) } }))
    }

    /// The oldest below a prefix.
    pub fn first(prefix: &str, limit: usize) -> Self {
        Self(json!({ "request_range": range(prefix, limit, Sort::Oldest) }))
    }

    pub fn put(key: &str, value: &impl Serialize) -> Result<Self> {
        let text = serde_json::to_vec(value).map_err(|why| Error::failed("write", key, why))?;
        Ok(Self(json!({ "request_put": { "key": encode(key), "value": STANDARD.encode(text) } })))
    }

    pub fn delete(key: &str) -> Self {
        Self(json!({ "request_delete_range": { "key": encode(key) } }))
    }
}

/// An order by the revision that made a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    Oldest,
    Newest,
}

/// What came of a transaction.
#[derive(Debug)]
pub struct Outcome {
    pub revision: u64,
    pub succeeded: bool,
    /// What its reads found, in their order.
    pub found: Vec<Vec<Pair>>,
}

impl Gateway {
    pub fn new(web: &Web, paths: &Paths, timeout: Duration) -> Result<Self> {
        let members: Result<_> = web.urls.iter().map(|url| Http::new(web, url, Kind::Etcd, paths, timeout)).collect();
        let good = AtomicUsize::new(hint::read(paths, web.urls.iter().map(AsRef::as_ref)));
        let user = web.secret.as_ref().map(|known| password(known, paths)).transpose()?;
        Ok(Self { members: members?, good, paths: paths.clone(), user, token: Mutex::default() })
    }

    /// What a cluster of this version does not say.
    pub fn strange(&self) -> Error {
        let base = self.members.first().map(Http::base).unwrap_or_default();
        Error::Unreachable { service: format!("etcd {base}"), reason: "it answers with what makes no sense".into() }
    }

    pub fn txn(&self, compare: &[Is], success: &[Op], failure: &[Op]) -> Result<Outcome> {
        let list = |ops: &[Op]| ops.iter().map(|op| op.0.clone()).collect::<Vec<_>>();
        let compare: Vec<_> = compare.iter().map(|is| is.0.clone()).collect();
        let body = json!({ "compare": compare, "success": list(success), "failure": list(failure) });
        let answer = self.ask("/v3/kv/txn", &body)?;
        let none = Vec::new();
        let responses = answer["responses"].as_array().unwrap_or(&none);
        let found: Option<Vec<_>> = responses.iter().filter_map(|one| one.get("response_range")).map(pairs).collect();
        Ok(Outcome {
            revision: number(&answer["header"]["revision"]).ok_or_else(|| self.strange())?,
            succeeded: answer["succeeded"] == true,
            found: found.ok_or_else(|| self.strange())?,
        })
    }

    /// One key.
    pub fn get(&self, key: &str) -> Result<Option<Pair>> {
        let answer = self.ask("/v3/kv/range", &json!({ "key": encode(key) }))?;
        Ok(pairs(&answer).ok_or_else(|| self.strange())?.into_iter().next())
    }

    /// Keys below a prefix, and how many there are in all.
    pub fn range(&self, prefix: &str, limit: usize, sort: Sort) -> Result<(Vec<Pair>, usize)> {
        let answer = self.ask("/v3/kv/range", &range(prefix, limit, sort))?;
        let count = number(&answer["count"]).and_then(|count| usize::try_from(count).ok()).unwrap_or_default();
        Ok((pairs(&answer).ok_or_else(|| self.strange())?, count))
    }

    /// Waits until a key is deleted, or the time is over. That nothing can be watched is no error: who waits looks again anyway.
    pub fn watch(&self, key: &str, revision: u64, time: Duration) {
        let end = Instant::now() + time;
        let began = Instant::now();
        let body = json!({ "create_request": { "key": encode(key), "start_revision": revision.to_string(), "filters": ["NOPUT"] } });
        let member = &self.members[self.good.load(Ordering::Relaxed) % self.members.len()];
        let woken = member
            .open(&Method::POST, "/v3/watch", Some(&body), self.authorization().as_deref(), time)
            .is_ok_and(|answer| {
                // The first line says that the watch stands; the next that something happened.
                let mut lines = BufReader::new(answer.into_body().into_reader()).lines();
                lines.next().is_some_and(|line| line.is_ok()) && lines.next().is_some_and(|line| line.is_ok())
            });
        if !woken && began.elapsed() < SHORT {
            std::thread::sleep(SHORT.min(end.saturating_duration_since(Instant::now())));
        }
    }

    /// Asks one member after the other; the last error counts. A member that is cut off answers that it has no leader.
    fn ask(&self, path: &str, body: &Value) -> Result<Value> {
        let first = self.good.load(Ordering::Relaxed);
        let mut last = self.strange();
        for index in (0..self.members.len()).map(|step| (first + step) % self.members.len()) {
            match self.ask_one(&self.members[index], path, body) {
                Ok(answer) => {
                    if self.good.swap(index, Ordering::Relaxed) != index {
                        hint::write(&self.paths, self.members[index].base());
                    }
                    return Ok(answer);
                }
                Err(error @ Error::Unreachable { .. }) => last = error,
                Err(error) => return Err(error),
            }
        }
        Err(last)
    }

    fn ask_one(&self, member: &Http, path: &str, body: &Value) -> Result<Value> {
        if self.user.is_some() && self.authorization().is_none() {
            self.log_in(member)?;
        }
        let send = || member.send_as(&Method::POST, path, Some(body), self.authorization().as_deref(), Duration::ZERO);
        let mut reply = send()?;
        if self.user.is_some() && is_stale(&reply) {
            self.log_in(member)?;
            reply = send()?;
        }
        if reply.status == 200 { member.understand(&reply) } else { Err(judge(member, &reply)) }
    }

    fn log_in(&self, member: &Http) -> Result<()> {
        let Some((name, password)) = &self.user else { return Ok(()) };
        let reply = member.post("/v3/auth/authenticate", &json!({ "name": name, "password": password.reveal() }))?;
        if reply.status != 200 {
            return Err(judge(member, &reply));
        }
        let answer: Value = member.understand(&reply)?;
        if let Ok(mut token) = self.token.lock() {
            *token = answer["token"].as_str().map(str::to_string);
        }
        Ok(())
    }

    fn authorization(&self) -> Option<String> {
        self.token.lock().ok().and_then(|token| token.clone())
    }
}

fn password(known: &Secret, paths: &Paths) -> Result<(String, Hidden)> {
    Ok((known.id.clone(), known.read(paths)?))
}

/// Tokens run out, and with a simple token a member forgets it when it starts anew.
fn is_stale(reply: &Reply) -> bool {
    reply.status == 401 || (reply.status != 200 && reply.said().contains("invalid auth token"))
}

/// What etcd refuses for good is told by the code of gRPC in it: 3 invalid, 7 not permitted, 9 not in this state, 16 not known.
fn judge(member: &Http, reply: &Reply) -> Error {
    let fault: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    let words = fault["message"].as_str().or(fault["error"].as_str()).map_or_else(|| reply.said(), str::to_string);
    match fault["code"].as_i64() {
        Some(3 | 7 | 9 | 16) => Error::Usage(format!(
            "etcd {}: {words}; look at secret_id and secret_file in section [lock]",
            member.base()
        )),
        Some(_) => member.unreachable(words),
        None => member.unexpected(reply),
    }
}

fn range(prefix: &str, limit: usize, sort: Sort) -> Value {
    let order = if sort == Sort::Oldest { "ASCEND" } else { "DESCEND" };
    let mut end = prefix.as_bytes().to_vec();
    // Our prefixes end in a slash, and the next byte after that is the end of what begins with it.
    if let Some(last) = end.last_mut() {
        *last += 1;
    }
    json!({ "key": encode(prefix), "range_end": STANDARD.encode(end), "limit": limit.to_string(), "sort_order": order, "sort_target": "CREATE" })
}

fn encode(key: &str) -> String {
    STANDARD.encode(key)
}

fn number(value: &Value) -> Option<u64> {
    value.as_str().map_or_else(|| value.as_u64(), |text| text.parse().ok())
}

/// `None`: it is no answer to a range.
fn pairs(answer: &Value) -> Option<Vec<Pair>> {
    let bytes = |value: &Value| STANDARD.decode(value.as_str().unwrap_or_default()).ok();
    let pair = |one: &Value| {
        Some(Pair {
            key: String::from_utf8(bytes(&one["key"])?).ok()?,
            value: bytes(&one["value"])?,
            created: number(&one["create_revision"])?,
            changed: number(&one["mod_revision"])?,
        })
    };
    match answer.get("kvs") {
        None => answer.is_object().then(Vec::new),
        Some(list) => list.as_array()?.iter().map(pair).collect(),
    }
}
