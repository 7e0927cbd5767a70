//! `grab-patch(8)`: finds out whether this host can be patched and with what, fetches and verifies it, unpacks it, and tries the
//! installation without changing anything. All that is slow or doubtful happens here, hours before the window.

use std::process::ExitCode;

use chrono::{DateTime, Local};
use clap::Parser;

use crate::boot::preflight::{self, Finding, Need, Verdict};
use crate::cluster::fetch::{self, Found};
use crate::cluster::install;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::exit::{self, Exit};
use crate::flag::order::Order;
use crate::flag::record::Draft;
use crate::flag::state::State;
use crate::flag::table;
use crate::host::Host;
use crate::mail;
use crate::mail::report;
use crate::paths;
use crate::sys::dir::Dir;
use crate::sys::replace;

use super::chain;
use super::place::Place;
use super::scene::Scene;
use super::walk::{Site, Walk};

/// One mail after so many ticks in a row that could not reach the server.
const PATIENCE: u32 = 3;
/// Room set aside beside the flags and beside the mail spool, for a disk that the installer fills.
const ROOM_FOR_FLAGS: usize = 64 << 10;
const ROOM_FOR_MAIL: usize = 1 << 20;

const HELP: &str = "\
Started by cron in the evening before. Does nothing without /etc/patchflag. Any failure disarms the host and mails, but a
server that cannot be reached (exit 69): the next tick tries again.

Example:  grab-patch -n          is this host fit, and which cluster would it get?";

/// Fetch, verify and unpack the patch cluster of this host
#[derive(Debug, Parser)]
#[command(name = "grab-patch", version, after_help = HELP)]
struct Args {
    #[command(flatten)]
    place: Place,
    /// Check this host and ask the server; change nothing
    #[arg(short = 'n', long)]
    dry_run: bool,
}

/// Entry point of `grab-patch`.
#[must_use]
pub fn main() -> ExitCode {
    let args = Args::parse();
    exit::finish("grab-patch", || run(&args))
}

fn run(args: &Args) -> Result<Exit> {
    let paths = args.place.paths()?;
    let question = args.dry_run || args.place.is_only_a_question(&paths);
    if !question && !chain::all_there(&[paths.flag()]) {
        return chain::NOTHING;
    }
    if question {
        let config = args.place.config(&paths)?;
        return rehearse(&Site { paths: &paths, config: &config, clock: args.place.clock() });
    }
    let Some(lock) = chain::lock(&paths)? else { return chain::NOTHING };
    if chain::hands_off(&paths)? {
        return chain::NOTHING;
    }
    let default = Config::default();
    let plain = Site { paths: &paths, config: &default, clock: args.place.clock() };
    let config = args.place.config(&paths).inspect_err(|error| chain::tell_once_a_day(&plain, error))?;
    let site = Site { paths: &paths, config: &config, clock: args.place.clock() };
    let worked = work(&site).inspect_err(|error| {
        if matches!(error, Error::Usage(_)) {
            chain::tell_once_a_day(&site, error);
        }
    });
    drop(lock);
    chain::deliver(&site);
    worked
}

fn work(site: &Site) -> Result<Exit> {
    let scene = Scene::look(site.paths)?;
    if table::steps_grab(scene.seen(true)).is_none() {
        return chain::NOTHING;
    }
    let order = Order::read(&scene.etc)?.unwrap_or_default();
    let now = site.clock.now();
    let outside = site.config.grab.window.is_some_and(|w| !w.contains(DateTime::<Local>::from(now).time()));
    if outside || order.is_over(now) {
        // `patchit --finish` ends a run whose time has passed.
        return chain::NOTHING;
    }
    // Before the first record: wrong configuration changes nothing.
    let server = fetch::server(site.paths, &site.config.grab)?;
    let host = Host::identify(site.paths, site.config.host.name.as_deref())?;
    let fetching = scene.run.as_ref().and_then(|run| run.state) == Some(State::Fetching);
    let mut walk = Walk::new(site, scene);
    walk.begin()?;
    if !fetching {
        walk.record(&beginning(&order, &host))?;
        exit::note("state=fetching");
    }
    match stage(site, &walk, &server, &host, &order) {
        Ok(staged) => finish(walk, &staged),
        Err(Error::Unreachable { service, reason }) => unreachable(site, &mut walk, service, reason),
        Err(error) => walk.fail(&error.to_string()),
    }
}

fn beginning(order: &Order, host: &Host) -> Draft {
    Draft::state(State::Fetching)
        .field("host", &host.name)
        .field("release", format!("{}/{}", host.os, host.arch))
        .maybe("by", order.by.as_deref())
        .maybe("reason", order.reason.as_deref())
        .maybe("not_after", order.not_after.map(crate::sys::clock::stamp))
}

/// Everything between `fetching` and `staged`; what it returns is the record that says so.
fn stage(site: &Site, walk: &Walk, server: &fetch::Server, host: &Host, order: &Order) -> Result<Draft> {
    set_room_aside(site, walk)?;
    judge(&preflight::run(site.paths, site.config, Need::default())?)?;
    let now = site.clock.now();
    let found = fetch::find(server, host, order.cluster.as_deref(), now)?;
    exit::note(format_args!("found cluster {} of {}", found.cluster.id, found.cluster.release));
    let need = Need { bytes: found.cluster.size(), install_dir: Some(found.install_dir.clone()) };
    judge(&preflight::run(site.paths, site.config, need)?)?;
    let dir = fetch::download(server, &found, site.config.grab.retry_for)?;
    let run = walk.run()?.map(|run| run.id).unwrap_or_default();
    let plan = install::for_cluster(site.paths, &dir, &found.cluster, &run)?.dry_run()?;
    fetch::remember_sequence(site.paths, &site.config.grab, &found)?;
    Ok(staged(site, &found, &dir, plan.changes.len()))
}

fn staged(site: &Site, found: &Found, dir: &std::path::Path, changes: usize) -> Draft {
    Draft::state(State::Staged)
        .msg(format!("{changes} packages to change"))
        .field("cluster", &found.cluster.id)
        .field("sequence", found.cluster.sequence.to_string())
        .field("ring", found.level.word())
        .field("install_dir", site.paths.inside(dir).display().to_string())
        .field("sha256", &found.sha256)
}

/// The administrator may have called the run off while we were fetching; `patchit --finish` tidies up after that, and so do we.
fn finish(mut walk: Walk, staged: &Draft) -> Result<Exit> {
    walk.record(staged)?;
    if walk.scene.etc.has(paths::FLAG)? {
        exit::note("state=staged");
        return Ok(Exit::Done);
    }
    walk.take_all(table::steps_called_off())
}

fn set_room_aside(site: &Site, walk: &Walk) -> Result<()> {
    replace::set_aside(&walk.scene.etc, paths::ROOM, ROOM_FOR_FLAGS)?;
    let spool = Dir::create(&site.paths.spool(), 0o700)?;
    replace::set_aside(&spool, paths::ROOM, ROOM_FOR_MAIL)
}

/// A host that is not fit is told by everything that is wrong with it, not by the first thing.
fn judge(findings: &[Finding]) -> Result<()> {
    for finding in findings.iter().filter(|finding| finding.verdict == Verdict::Warn) {
        exit::note(format_args!("preflight: {finding}"));
    }
    let stops: Vec<String> = findings.iter().filter(|f| f.verdict == Verdict::Stop).map(ToString::to_string).collect();
    if stops.is_empty() { Ok(()) } else { Err(Error::failed("patch", "this host", stops.join("; "))) }
}

fn unreachable(site: &Site, walk: &mut Walk, service: String, reason: String) -> Result<Exit> {
    walk.record(&Draft::note(&reason).field("unreachable", &service))?;
    if let Some(run) = walk.run()?
        && run.unreachable == PATIENCE
    {
        let now = site.clock.now();
        let message = report::unreachable(&run.id, &site.host_name(), &service, &reason, now);
        mail::post(site.paths, &site.config.mail, &message, now)?;
    }
    Err(Error::Unreachable { service, reason })
}

/// `-n`: the same questions, and nothing changed.
fn rehearse(site: &Site) -> Result<Exit> {
    let findings = preflight::run(site.paths, site.config, Need::default())?;
    for finding in &findings {
        exit::out(finding);
    }
    let server = fetch::server(site.paths, &site.config.grab)?;
    let host = Host::identify(site.paths, site.config.host.name.as_deref())?;
    let order = Order::read(&Dir::open(&site.paths.etc())?)?.unwrap_or_default();
    let found = fetch::find(&server, &host, order.cluster.as_deref(), site.clock.now())?;
    let (id, files, ring) = (&found.cluster.id, found.cluster.files.len(), found.level.word());
    let dir = site.paths.inside(&found.install_dir);
    exit::out(format_args!("would fetch cluster {id} ({ring}, {files} files) into {}", dir.display()));
    judge(&findings).map(|()| Exit::Done)
}
