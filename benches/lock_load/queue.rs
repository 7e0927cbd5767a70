//! Many wait for one lock: how long a hand-off takes, and what waiting costs the service.

use std::cell::RefCell;
use std::os::fd::AsFd;
use std::rc::Rc;
use std::time::{Duration, Instant};

use patchflag::exit;
use patchflag::lock::wire;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;

use super::lockd::{Host, number};
use super::{Result, Service, percentile};

const LOCK: &str = "handoff";

/// What all waiters see of the measurement.
struct Rounds {
    released: Instant,
    offers: Vec<Duration>,
    handoffs: Vec<Duration>,
    left: usize,
}

/// From the sending of a release to the answer that grants the lock to the next waiter, its own acceptance and both flushes
/// included. Each that was served goes to the end of the queue, so that as many wait all the time.
pub async fn handoff(service: &Service, waiters: usize, rounds: usize) -> Result<serde_json::Value> {
    let mut first = Host::new(service, "first".into(), LOCK).await?;
    let held = first.take().await?;
    let state = Rounds { released: Instant::now(), offers: Vec::new(), handoffs: Vec::new(), left: rounds };
    let state = Rc::new(RefCell::new(state));
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..waiters {
        let host = Host::new(service, format!("host{n}"), LOCK).await?;
        let state = Rc::clone(&state);
        tasks.spawn_local(async move { turns(host, &state).await.map_err(|why| why.to_string()) });
    }
    all_wait(service, waiters).await?;
    state.borrow_mut().released = Instant::now();
    first.release(held).await?;
    // The first that ends has seen the last round, or has failed.
    if let Some(ended) = tasks.join_next().await {
        ended??;
    }
    tasks.abort_all();
    let mut state = state.borrow_mut();
    let Rounds { offers, handoffs, .. } = &mut *state;
    offers.sort();
    handoffs.sort();
    Ok(serde_json::json!({
        "handoffs": handoffs.len(), "p50_ms": percentile(handoffs, 0.5), "p95_ms": percentile(handoffs, 0.95),
        "max_ms": percentile(handoffs, 1.0), "offer_p95_ms": percentile(offers, 0.95),
    }))
}

async fn turns(mut host: Host, state: &RefCell<Rounds>) -> Result<()> {
    loop {
        let number = match host.acquire(wire::LONGEST_WAIT).await? {
            wire::Acquired::Granted { grants } => number(&grants)?,
            wire::Acquired::Offered { .. } => {
                let mut state = state.borrow_mut();
                let offered = state.released.elapsed();
                state.offers.push(offered);
                continue;
            }
            wire::Acquired::Waiting { .. } => continue,
            other => return Err(format!("a waiter was answered {other:?}").into()),
        };
        {
            let mut state = state.borrow_mut();
            let took = state.released.elapsed();
            state.handoffs.push(took);
            state.left = state.left.saturating_sub(1);
            if state.left == 0 {
                return Ok(());
            }
            state.released = Instant::now();
        }
        host.release(number).await?;
    }
}

/// Waits, and does nothing else, until standard input is closed.
pub async fn wait(service: &Service, waiters: usize) -> Result<()> {
    let mut first = Host::new(service, "first".into(), LOCK).await?;
    first.take().await?;
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..waiters {
        let mut host = Host::new(service, format!("host{n}"), LOCK).await?;
        tasks.spawn_local(async move { host.take().await.map_err(|why| why.to_string()) });
    }
    all_wait(service, waiters).await?;
    exit::out(format_args!("waiting {waiters}"));
    let mut input = Receiver::from_owned_fd(std::io::stdin().as_fd().try_clone_to_owned()?)?;
    let mut byte = [0];
    tokio::select! {
        _ = input.read(&mut byte) => Ok(()),
        ended = tasks.join_next() => Err(format!("a waiter has not waited: {ended:?}").into()),
    }
}

/// Comes back when so many stand in the queue.
async fn all_wait(service: &Service, waiters: usize) -> Result<()> {
    let mut watcher = Host::new(service, "watcher".into(), LOCK).await?;
    let end = Instant::now() + Duration::from_mins(1);
    while Instant::now() < end {
        if watcher.look().await?.queue.len() >= waiters {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Err(format!("after a minute not all of {waiters} wait").into())
}
