//! What is counted, in the text format of Prometheus (prometheus.io, "Exposition formats", 0.0.4).

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};

use super::{Caller, Denied};
use crate::lock::server::service::Service;
use crate::lock::wire;

/// `GET /metrics`: the counters of the service, and the locks that the client may touch.
pub async fn show(State(service): State<Arc<Service>>, Caller(client): Caller) -> Result<Response, Denied> {
    let defined = service.settings().defined();
    let locks = service.desk.list(defined, move |lock| client.is_allowed(lock.as_str())).await?;
    let counts = service.desk.counts();
    let mut text = String::new();
    let counters: [(&str, &str, &AtomicU64); 10] = [
        ("granted", "Grants that began", &counts.granted),
        ("released", "Grants that their owners gave back", &counts.released),
        ("forced", "Grants that somebody took", &counts.forced),
        ("overdue", "Grants that became overdue", &counts.overdue),
        ("requests", "Requests to the book", &counts.requests),
        ("batches", "Batches of requests", &counts.batches),
        ("store_failures", "Batches that could not be written", &counts.failures),
        ("denied", "Wrong credentials", &counts.denied),
        ("connections", "Connections that were taken", &counts.connections),
        ("turned_away", "Connections that were too many", &counts.turned_away),
    ];
    for (name, help, counter) in counters {
        let value = counter.load(Ordering::Relaxed);
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "# HELP patch_lockd_{name}_total {help}.\n# TYPE patch_lockd_{name}_total counter\npatch_lockd_{name}_total {value}\n"
        );
    }
    gauge(&mut text, "slots", "How many may hold the lock", &locks, |lock| lock.slots);
    gauge(&mut text, "held", "How many hold the lock", &locks, |lock| lock.holders.len());
    gauge(&mut text, "waiting", "How many wait for the lock", &locks, |lock| lock.queue.len());
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response())
}

fn gauge(text: &mut String, name: &str, help: &str, locks: &[wire::Lock], value: impl Fn(&wire::Lock) -> usize) {
    let _ = write!(text, "# HELP patch_lockd_{name} {help}.\n# TYPE patch_lockd_{name} gauge\n");
    for lock in locks {
        let _ = writeln!(text, "patch_lockd_{name}{{lock=\"{}\"}} {}", quoted(&lock.lock), value(lock));
    }
}

/// A label's value; no name of a lock holds a line break.
fn quoted(name: &str) -> String {
    name.replace('\\', r"\\").replace('"', "\\\"")
}
