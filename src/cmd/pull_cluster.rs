//! `pull-cluster(8)`: pulls, checks, signs and publishes patch clusters; promotes them from development to production.

mod list;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use super::place::Place;
use crate::cluster::host_type::{self, HostTypes};
use crate::cluster::promote::{self, Promotion, Request, Voucher};
use crate::cluster::pull::{self, Mode, Outcome};
use crate::cluster::signature::{self, Signer, Verifier};
use crate::cluster::store::Store;
use crate::cluster::store::publish::Publisher;
use crate::cluster::tree::{self, HOST_TYPE};
use crate::config::{ClusterSource, Config, values};
use crate::error::{Error, Result};
use crate::exit::{self, Exit, out};
use crate::paths::Paths;
use crate::sys::clock::Moment;
use crate::sys::trusted;

/// Where a forced command of ssh finds what the client asked for (sshd(8)).
const SSH_ARGUMENT: &str = "SSH_ORIGINAL_COMMAND";

/// Pull, sign and publish patch clusters, and promote them to production.
#[derive(Debug, Parser)]
#[command(name = "pull-cluster", version, after_help = "The whole story: pull-cluster(8)")]
struct Args {
    #[command(flatten)]
    place: Place,
    /// Say what would be done
    #[arg(short = 'n', long, global = true)]
    dry_run: bool,
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Pull releases (all that are configured) and publish what changed to development
    Pull {
        /// Like debian-12/amd64
        releases: Vec<String>,
    },
    /// Make the key pair that clusters are signed with; one that is there is never replaced
    Keygen,
    /// Write down that a host has installed a cluster and is well
    Confirm {
        /// The host
        #[arg(long)]
        host: String,
        /// The cluster; without it, what an ssh client asked for
        #[arg(long, value_name = "ID")]
        cluster: Option<String>,
    },
    /// Give production what development has, once a development host has confirmed it
    Promote {
        /// Like debian-12/amd64
        release: String,
        /// An earlier cluster of development
        #[arg(long, value_name = "ID")]
        cluster: Option<String>,
        /// In place of a confirmation: the host that it was seen on
        #[arg(long, value_name = "HOST", requires = "reason")]
        confirmed_by: Option<String>,
        /// Why, for the history
        #[arg(long, value_name = "TEXT", requires = "confirmed_by")]
        reason: Option<String>,
    },
    /// Check and sign the list of hosts, `host_type`
    Sign {
        /// Publish this file as the list
        #[arg(long, value_name = "FILE")]
        from: Option<PathBuf>,
    },
    /// Show releases, clusters, and who has confirmed them
    List {
        /// For programs
        #[arg(long)]
        json: bool,
    },
    /// Check every pointer, signature and digest of the tree
    Verify,
}

/// Entry point of `pull-cluster`.
pub fn main() -> ExitCode {
    exit::main("pull-cluster", run)
}

/// What every task needs.
struct Site {
    paths: Paths,
    config: Config,
    now: Moment,
    mode: Mode,
}

impl Site {
    fn store(&self) -> Result<Store> {
        Store::open(&self.paths.at(&self.config.pull.tree))
    }

    fn secret_key(&self) -> PathBuf {
        self.paths.at(&self.config.pull.secret_key)
    }

    fn public_key(&self) -> PathBuf {
        self.secret_key().with_extension("pub")
    }

    fn signer(&self) -> Result<Signer> {
        let path = self.secret_key();
        Signer::load(&path).map_err(|error| {
            if error.is_missing() {
                return Error::Usage(format!("{error}; make a key pair with pull-cluster keygen"));
            }
            error
        })
    }

    /// Runs a body that may change the tree.
    fn publishing<T>(&self, body: impl FnOnce(&Publisher) -> Result<T>) -> Result<T> {
        let store = self.store()?;
        let signer = self.signer()?;
        let lock = store.lock()?;
        body(&Publisher { store: &store, lock: &lock, signer: &signer })
    }
}

fn run(args: &Args) -> Result<Exit> {
    let paths = args.place.paths()?;
    let mode = if args.dry_run || args.place.is_only_a_question(&paths) { Mode::DryRun } else { Mode::Earnest };
    let config = args.place.config(&paths)?;
    let site = Site { paths, config, now: args.place.clock().now(), mode };
    match &args.task {
        Task::Pull { releases } => pull_all(&site, releases),
        Task::Keygen => keygen(&site),
        Task::Confirm { host, cluster } => confirm(&site, host, cluster.as_deref()),
        Task::Promote { release, cluster, confirmed_by, reason } => {
            let voucher = match (confirmed_by, reason) {
                (Some(host), Some(reason)) => Some(vouch(host, reason)?),
                _ => None,
            };
            promote(&site, &Request { release, cluster: cluster.as_deref(), voucher })
        }
        Task::Sign { from } => sign(&site, from.as_deref()),
        Task::List { json } => list::run(&site, *json),
        Task::Verify => verify(&site),
    }
}

fn pull_all(site: &Site, releases: &[String]) -> Result<Exit> {
    let sources = chosen(&site.config, releases)?;
    site.publishing(|publisher| {
        let mut worst = Exit::Done;
        for source in sources {
            match pull::pull(publisher, source, &site.config.pull, &site.paths, site.now, site.mode) {
                Ok(outcome) => out(format!("{}: {}", source.release, words(&outcome, source, site.mode))),
                Err(error) => {
                    exit::warn(format!("{}: {error}", source.release));
                    worst = graver(worst, Exit::from(&error));
                }
            }
        }
        Ok(worst)
    })
}

/// One code for several releases: a failure needs a person, a server that is away needs time.
fn graver(one: Exit, other: Exit) -> Exit {
    let rank = |exit: Exit| match exit {
        Exit::Done => 0,
        Exit::Unreachable => 1,
        _ => 2,
    };
    let graver = if rank(other) > rank(one) { other } else { one };
    if rank(graver) == 2 { Exit::Failed } else { graver }
}

fn chosen<'a>(config: &'a Config, releases: &[String]) -> Result<Vec<&'a ClusterSource>> {
    if config.clusters.is_empty() {
        return Err(Error::Usage("no [cluster OS/ARCH] section is configured; see patch-config(5)".into()));
    }
    if releases.is_empty() {
        return Ok(config.clusters.iter().collect());
    }
    let known: Vec<&str> = config.clusters.iter().map(|source| source.release.as_str()).collect();
    let find = |release: &String| {
        config.clusters.iter().find(|source| source.release == *release).ok_or_else(|| {
            let near = values::nearest(release, &known);
            let hint = near.map(|near| format!("; did you mean {near}?")).unwrap_or_default();
            Error::Usage(format!("no section [cluster {release}] is configured{hint}"))
        })
    };
    releases.iter().map(find).collect()
}

fn words(outcome: &Outcome, source: &ClusterSource, mode: Mode) -> String {
    let Outcome::Published(new) = outcome else {
        let Outcome::Unchanged { id } = outcome else { return String::new() };
        return format!("unchanged since {id}");
    };
    let verb = match (mode, new.is_renewal) {
        (Mode::Earnest, false) => "published",
        (Mode::Earnest, true) => "unchanged but expiring, published again as",
        (Mode::DryRun, false) => "would publish",
        (Mode::DryRun, true) => "unchanged but expiring, would publish again as",
    };
    let noun = match (source.kind.as_str(), new.parts) {
        ("apt", 1) => "package",
        ("apt", _) => "packages",
        (_, 1) => "file",
        _ => "files",
    };
    format!("{verb} {}, {} {noun}, {}, sequence {}", new.id, new.parts, list::size(new.bytes), new.sequence)
}

fn keygen(site: &Site) -> Result<Exit> {
    let (secret, public) = (site.secret_key(), site.public_key());
    if secret == public {
        let path = secret.display();
        return Err(Error::Usage(format!("cannot use secret_key = {path}: .pub is the end of the public key's name")));
    }
    if site.mode == Mode::DryRun {
        out(format!("would make {} and {}", secret.display(), public.display()));
        return Ok(Exit::Done);
    }
    signature::generate(&secret, &public)?;
    out(format!("made {}; give every host a copy of {}", secret.display(), public.display()));
    Ok(Exit::Done)
}

fn confirm(site: &Site, host: &str, cluster: Option<&str>) -> Result<Exit> {
    let asked = match cluster {
        Some(cluster) => cluster.to_string(),
        None => std::env::var(SSH_ARGUMENT).map_err(|_| {
            Error::Usage(format!("no --cluster ID was given, and no ssh client asked ({SSH_ARGUMENT})"))
        })?,
    };
    if site.mode == Mode::DryRun {
        out(format!("would write down that {host} has confirmed {asked}"));
        return Ok(Exit::Done);
    }
    if site.store()?.confirm(host, &asked, site.now)? {
        exit::note(format!("{host} has confirmed {asked}"));
    }
    Ok(Exit::Done)
}

fn vouch<'a>(host: &'a str, reason: &'a str) -> Result<Voucher<'a>> {
    if !trusted::is_plain_name(host) {
        return Err(Error::Usage(format!("cannot use --confirmed-by {host:?}: it is no plain name")));
    }
    if reason.trim().is_empty() || reason.len() > 1000 {
        return Err(Error::Usage("cannot use --reason: write why, in less than 1000 bytes".into()));
    }
    Ok(Voucher { host, reason })
}

fn promote(site: &Site, request: &Request) -> Result<Exit> {
    let release = request.release;
    if !tree::is_release(release) {
        return Err(Error::Usage(format!("{release:?} is no release; write it like debian-12/amd64")));
    }
    if let Some(id) = request.cluster.filter(|id| !trusted::is_plain_name(id)) {
        return Err(Error::Usage(format!("cannot use --cluster {id:?}: it is no plain name")));
    }
    site.publishing(|publisher| {
        let (promotion, confirmed) = promote::examine(publisher, request, site.now)?;
        match promotion {
            Promotion::Already(pointer) => {
                // Finishes what may have been cut short.
                if site.mode == Mode::Earnest {
                    publisher.settle(&tree::pointer(release, tree::Level::Production), site.now)?;
                }
                out(format!("{release}: production has {} already", pointer.id));
            }
            Promotion::Move(pointer) if site.mode == Mode::DryRun => {
                out(format!("{release}: would promote {} to production, sequence {}", pointer.id, pointer.sequence));
            }
            Promotion::Move(pointer) => {
                promote::carry_out(publisher, request, &pointer, &confirmed, site.now)?;
                out(format!("{release}: promoted {} to production, sequence {}", pointer.id, pointer.sequence));
            }
        }
        Ok(Exit::Done)
    })
}

fn sign(site: &Site, from: Option<&std::path::Path>) -> Result<Exit> {
    site.publishing(|publisher| {
        let path = match from {
            Some(from) => std::path::absolute(from).map_err(Error::io("find", from))?,
            None => publisher.store.path(HOST_TYPE),
        };
        let bytes = trusted::read(&path, host_type::LIMIT)?;
        let types = HostTypes::parse(&bytes, &path.display().to_string())?;
        if types.is_empty() {
            return Err(Error::refused(path.display(), "no line of it names a host"));
        }
        if site.mode == Mode::DryRun {
            out(format!("{HOST_TYPE}: would sign {} lines", types.len()));
            return Ok(Exit::Done);
        }
        publisher.exchange(HOST_TYPE, &bytes, site.now)?;
        out(format!("{HOST_TYPE}: signed {} lines", types.len()));
        Ok(Exit::Done)
    })
}

fn verify(site: &Site) -> Result<Exit> {
    let verifier = Verifier::load(&site.public_key())?;
    let problems = site.store()?.problems(&verifier)?;
    for problem in &problems {
        exit::warn(problem);
    }
    if problems.is_empty() { Ok(Exit::Done) } else { Ok(Exit::Failed) }
}
