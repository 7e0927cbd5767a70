//! Load for `benches/lock.py`: many clients of a lock service in one light process, and what their requests took.
//!
//! One thread, one connection a client, kept alive. It prints one JSON object. Not installed.

mod etcd;
mod http;
mod lockd;
mod pairs;
mod queue;

use std::error::Error;
use std::io::Write;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use patchflag::exit;

/// Whatever goes wrong ends the measurement.
type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Put load on a lock service and say what it took.
#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    service: Service,
    #[command(subcommand)]
    load: Load,
}

/// Where the service is, and who we are to it.
#[derive(Args, Clone)]
struct Service {
    #[arg(long)]
    address: SocketAddr,
    #[arg(long, default_value = "bench")]
    secret_id: String,
    #[arg(long, default_value = "")]
    secret: String,
}

#[derive(Subcommand)]
enum Load {
    /// Clients that each take and give back a lock of their own
    Pairs {
        #[arg(long)]
        peer: Peer,
        #[arg(long, default_value_t = 64)]
        clients: usize,
        #[arg(long, default_value_t = 5)]
        seconds: u64,
    },
    /// Hand-offs of one lock for which many wait
    Handoff {
        #[arg(long, default_value_t = 1000)]
        waiters: usize,
        #[arg(long, default_value_t = 1000)]
        rounds: usize,
    },
    /// Clients that wait for one lock until our standard input is closed
    Wait {
        #[arg(long, default_value_t = 10_000)]
        waiters: usize,
    },
}

/// Whose protocol is spoken.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Peer {
    Lockd,
    Etcd,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(why) => return failed(&why),
    };
    let local = tokio::task::LocalSet::new();
    match local.block_on(&runtime, run(cli)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => failed(&*why),
    }
}

async fn run(cli: Cli) -> Result<()> {
    let Cli { service, load } = cli;
    let said = match load {
        Load::Pairs { peer, clients, seconds } => {
            let time = Duration::from_secs(seconds);
            match peer {
                Peer::Lockd => pairs::run(lockd::pairs(&service, clients).await?, time).await?,
                Peer::Etcd => pairs::run(etcd::pairs(&service, clients).await?, time).await?,
            }
        }
        Load::Handoff { waiters, rounds } => queue::handoff(&service, waiters, rounds).await?,
        Load::Wait { waiters } => return queue::wait(&service, waiters).await,
    };
    exit::out(said);
    Ok(())
}

fn failed(why: &dyn Error) -> ExitCode {
    // Not to syslog: it is nobody's tool.
    let _ = writeln!(std::io::stderr(), "lock-load: cannot measure: {why}");
    ExitCode::FAILURE
}

/// The value below which a part of all lies, of values that are sorted; in milliseconds.
fn percentile(sorted: &[Duration], part: f64) -> f64 {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)] // a few thousand
    let index = ((sorted.len() as f64 * part).ceil() as usize).clamp(1, sorted.len().max(1)) - 1;
    sorted.get(index).map_or(0.0, |time| time.as_secs_f64() * 1000.0)
}
