//! Throughput: each client takes its lock and gives it back, over and over.

use std::time::{Duration, Instant};

use super::{Result, percentile};

/// A client with a lock of its own.
pub trait Client {
    /// Takes the lock and gives it back, each answered.
    async fn pair(&mut self) -> Result<()>;
}

/// Runs all clients for a time; the first fifth warms up and does not count.
pub async fn run<C: Client + 'static>(clients: Vec<C>, time: Duration) -> Result<serde_json::Value> {
    let began = Instant::now();
    let (from, to) = (began + time / 5, began + time);
    let works: Vec<_> = clients.into_iter().map(|client| tokio::task::spawn_local(work(client, from, to))).collect();
    let mut times = Vec::new();
    for work in works {
        times.extend(work.await?.map_err(|why| why.to_string())?);
    }
    times.sort();
    let seconds = (to - from).as_secs_f64();
    #[allow(clippy::cast_precision_loss)] // fewer than 2^52
    let per_second = times.len() as f64 / seconds;
    Ok(serde_json::json!({
        "pairs": times.len(), "per_second": per_second,
        "p50_ms": percentile(&times, 0.5), "p95_ms": percentile(&times, 0.95),
    }))
}

async fn work<C: Client>(mut client: C, from: Instant, to: Instant) -> Result<Vec<Duration>> {
    let mut times = Vec::new();
    loop {
        let began = Instant::now();
        if began >= to {
            return Ok(times);
        }
        client.pair().await?;
        let ended = Instant::now();
        if began >= from && ended <= to {
            times.push(ended - began);
        }
    }
}
