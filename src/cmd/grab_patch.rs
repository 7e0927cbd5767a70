//! `grab-patch(8)`: finds out whether this host can be patched and with what, fetches and verifies it, unpacks it, and tries the
//! installation without changing anything. All that is slow or doubtful happens here, hours before the window.

use std::io::IsTerminal;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use chrono::{DateTime, Local};
use clap::Parser;

use crate::boot::preflight::{self, Finding, Known, Need, Verdict};
use crate::cluster::fetch::{self, Asker, Found, RealTime, Retry, Server};
use crate::cluster::install;
use crate::cluster::signature::Verifier;
use crate::cluster::transport::Transport;
use crate::error::{Error, Result};
use crate::exit::{self, Exit};
use crate::flag::journal;
use crate::flag::order::Order;
use crate::flag::record::Draft;
use crate::flag::run::Run;
use crate::flag::state::State;
use crate::flag::table;
use crate::hook;
use crate::host::Host;
use crate::paths::{self, Paths};
use crate::sys::dir::Dir;
use crate::sys::replace;

use super::chain;
use super::place::Place;
use super::scene::Scene;
use super::walk::{Site, Walk};

/// Room set aside beside the flags and beside the mail spool, for a disk that the installer fills.
const ROOM_FOR_FLAGS: usize = 64 << 10;
const ROOM_FOR_MAIL: usize = 1 << 20;

const HELP: &str = "\
Started by cron in the evening before. Does nothing without /etc/patchflag. Any failure disarms the host and mails, but a \
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
    if chain::called_as(&[&[]]) && !chain::all_there(&[Paths::system().flag()]) {
        return ExitCode::SUCCESS;
    }
    exit::main("grab-patch", run)
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
    wait_our_turn(args, &paths);
    let Some(lock) = chain::lock(&paths)? else { return chain::NOTHING };
    if chain::hands_off(&paths)? {
        return chain::NOTHING;
    }
    let tell = |error: &Error| chain::tell_of_configuration(&args.place, &paths, error);
    let config = args.place.config(&paths).inspect_err(tell)?;
    let site = Site { paths: &paths, config: &config, clock: args.place.clock() };
    let worked = work(&site).inspect_err(|error| {
        chain::tell_once_a_day(&site, error);
    });
    drop(lock);
    chain::deliver(&site);
    worked
}

/// A fleet whose crons tick in the same second must not arrive at the server in it: each host has its own part of the splay, by
/// its name. Nobody waits who started the tool by hand, and a second tick does not wait for the server but for the first.
fn wait_our_turn(args: &Args, paths: &Paths) {
    let Ok(config) = args.place.config(paths) else { return };
    let name = crate::host::name(paths, config.host.name.as_deref()).unwrap_or_default();
    if paths.is_system() && !std::io::stdin().is_terminal() && config.grab.server.is_some() {
        std::thread::sleep(config.grab.splay * (crc32fast::hash(name.as_bytes()) % 1000) / 1000);
    }
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
    let supply = Supply::open(site)?;
    let fetching = scene.run.as_ref().and_then(|run| run.state) == Some(State::Fetching);
    let mut walk = Walk::new(site, scene);
    walk.begin()
        .and_then(|()| if fetching { Ok(()) } else { walk.record(&beginning(&order, &supply.host)) })
        .inspect_err(|_| forget_empty_journal(&walk))?;
    if !fetching {
        exit::note("state=fetching");
    }
    match stage(site, &walk, &supply, &order) {
        Ok(staged) => finish(walk, &staged),
        Err(Error::Unreachable { service, reason }) => chain::unreachable(site, &mut walk, service, reason),
        Err(error) => walk.fail(&error.to_string()),
    }
}

/// A journal that could not be begun, for want of room say, tells nobody anything. One that cannot be removed is no new error:
/// a journal without a record counts as none.
fn forget_empty_journal(walk: &Walk) {
    let _ = journal::drop_if_empty(&walk.scene.etc, paths::LOG);
}

/// Where this host's cluster comes from.
struct Supply {
    host: Host,
    transport: Transport,
    verifier: Verifier,
    time: Duration,
    clock: RealTime,
}

impl Supply {
    /// Understands the configuration. What is wrong with it is wrong before anything has begun, and changes nothing.
    fn open(site: &Site) -> Result<Self> {
        let (grab, paths) = (&site.config.grab, site.paths);
        let wrong = |error: Error| Error::Usage(error.to_string());
        let Some(server) = &grab.server else {
            return Err(Error::Usage(
                "cannot fetch anything: set server= in section [grab] of the configuration".into(),
            ));
        };
        let ca_file = grab.ca_file.as_ref().map(|path| paths.at(path));
        Ok(Self {
            host: Host::identify(paths, site.config.host.name.as_deref()).map_err(wrong)?,
            transport: Transport::new(server, ca_file.as_deref(), paths).map_err(wrong)?,
            verifier: Verifier::load(&paths.at(&grab.key)).map_err(wrong)?,
            time: grab.retry_for,
            clock: RealTime::start(),
        })
    }

    /// A fleet that finds its server gone must not come back all at once: each host has pauses of its own.
    fn retry(&self) -> Retry<'_> {
        let seed = crc32fast::hash(self.host.name.as_bytes());
        Retry { time: self.time, seed: u64::from(seed) ^ u64::from(std::process::id()), clock: &self.clock }
    }

    fn server<'a>(&'a self, retry: &'a Retry<'a>) -> Server<'a> {
        Server { transport: &self.transport, verifier: &self.verifier, retry }
    }

    fn find(&self, site: &Site, server: &Server, order: &Order) -> Result<Found> {
        let asker = Asker {
            paths: site.paths,
            host: &self.host,
            base: &site.config.grab.base,
            now: site.clock.now(),
            wanted: order.cluster.as_deref(),
        };
        fetch::find(server, &asker)
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
fn stage(site: &Site, walk: &Walk, supply: &Supply, order: &Order) -> Result<Draft> {
    set_room_aside(site, walk)?;
    judge(&look(site, walk.run()?.as_ref(), None, 0))?;
    let retry = supply.retry();
    let server = supply.server(&retry);
    let found = supply.find(site, &server, order)?;
    exit::note(format_args!("found cluster {} of {}", found.cluster.id, found.cluster.release));
    let inside = fetch::download(&found, &server, site.paths)?;
    let dir = site.paths.at(&inside);
    let run = walk.run()?.map(|run| run.id).unwrap_or_default();
    let plan = install::for_cluster(site.paths, &dir, &found.cluster, &run)?.dry_run()?;
    judge(&look(site, walk.run()?.as_ref(), Some(&found), plan.needs))?;
    let cluster = &found.cluster;
    fetch::remember_sequence(site.paths, &site.config.grab.base, &cluster.release, cluster.sequence)?;
    Ok(staged(&found, &inside, plan.changes.len()))
}

fn staged(found: &Found, dir: &Path, changes: usize) -> Draft {
    Draft::state(State::Staged)
        .msg(format!("{changes} packages to change"))
        .field("cluster", &found.cluster.id)
        .field("sequence", found.cluster.sequence.to_string())
        .field("ring", found.level.to_string())
        .field("install_dir", dir.display().to_string())
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

/// The preflight, first for the host as it is, then with what the installation will take.
fn look(site: &Site, run: Option<&Run>, found: Option<&Found>, bytes: u64) -> Vec<Finding> {
    let install_dir = found.map_or_else(|| site.config.grab.base.clone(), |found| found.install_dir.clone());
    let need = Need { bytes, install_dir };
    let database = || install::database_is_sound(site.paths).map_err(|error| error.to_string());
    let last_record = run.map(|run| run.last);
    let hooks = || {
        let dirs = [site.paths.confirm_d(), site.paths.on_failure_d()];
        dirs.iter().try_for_each(|dir| hook::judge_dir(site.paths, dir).map(drop)).map_err(|error| error.to_string())
    };
    let known = Known { package_database: &database, hooks: &hooks, last_record, now: site.clock.now() };
    preflight::run(site.paths, site.config, &need, &known)
}

/// A host that is not fit is told by everything that is wrong with it, not by the first thing.
fn judge(findings: &[Finding]) -> Result<()> {
    for finding in findings.iter().filter(|finding| finding.verdict == Verdict::Warn) {
        exit::note(format_args!("preflight: {finding}"));
    }
    let stops: Vec<String> = findings.iter().filter(|f| f.verdict == Verdict::Stop).map(ToString::to_string).collect();
    if stops.is_empty() { Ok(()) } else { Err(Error::failed("patch", "this host", stops.join("; "))) }
}

/// `-n`: the same questions, and nothing changed.
fn rehearse(site: &Site) -> Result<Exit> {
    let run = Scene::look(site.paths)?.run;
    let findings = look(site, run.as_ref(), None, 0);
    for finding in &findings {
        exit::out(finding);
    }
    let supply = Supply::open(site)?;
    let order = Order::read(&Dir::open(&site.paths.etc())?)?.unwrap_or_default();
    let retry = supply.retry();
    let found = supply.find(site, &supply.server(&retry), &order)?;
    let (id, files, ring) = (&found.cluster.id, found.cluster.files.len(), found.level);
    exit::out(format_args!("would fetch cluster {id} ({ring}, {files} files) into {}", found.install_dir.display()));
    judge(&findings).map(|()| Exit::Done)
}
