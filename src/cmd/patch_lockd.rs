//! `patch-lockd(8)`: the lock service.

mod clients;
mod local;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::error::{Error, Result};
use crate::exit::{self, Exit};
use crate::lock::server::http::tls;
use crate::lock::server::run::run;
use crate::lock::server::settings::Settings;
use crate::paths::Paths;

const HELP: &str = "\
Without a configuration it serves this machine alone, at 127.0.0.1:7424, and makes a secret for it.
Exit code 0: it was told to end; 1: failed; 2: wrong arguments or configuration; 69: its store was
moved away.

Examples:  patch-lockd add-client web --owners 'web*' --locks web >>/etc/patch/lockd.ini
           patch-lockd --check-config && kill -HUP PID        read the configuration again";

/// Grant locks to hosts: durable over reboots, handed over the moment one is free
#[derive(Debug, Parser)]
#[command(name = "patch-lockd", version, after_help = HELP, args_conflicts_with_subcommands = true)]
struct Args {
    /// Configuration file, instead of /etc/patch/lockd.ini
    #[arg(long, value_name = "FILE", visible_alias = "cfg")]
    config: Option<PathBuf>,
    /// Work on the system below DIR; nothing goes to syslog
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// Read the configuration and what it names, say what is wrong, and do nothing else
    #[arg(long)]
    check_config: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a secret for a client, and print its section for the configuration
    AddClient(clients::AddClient),
    /// Read a secret that a person chose from standard input, and print its line for the configuration
    HashSecret,
}

/// Entry point.
pub fn main() -> ExitCode {
    exit::main("patch-lockd", work)
}

fn work(args: &Args) -> Result<Exit> {
    match &args.command {
        Some(Command::AddClient(client)) => clients::add(client),
        Some(Command::HashSecret) => clients::hash_secret(),
        None => serve(args),
    }
}

fn serve(args: &Args) -> Result<Exit> {
    let paths = match &args.root {
        Some(root) => {
            exit::without_syslog();
            Paths::below_root(root)?
        }
        None => Paths::system(),
    };
    let read = || configured(args, &paths);
    let settings = read()?;
    if args.check_config {
        settings
            .iter()
            .filter_map(|settings| settings.tls.as_ref())
            .try_for_each(|files| tls::acceptor(files).map(drop))?;
        return Ok(Exit::Done);
    }
    let local = settings.is_none();
    let settings = settings.map_or_else(|| local::settings(&paths), Ok)?;
    let secret = local.then(|| local::secret_file(&settings.store));
    let again = || match read()? {
        Some(settings) => Ok(settings),
        None if local => local::settings(&paths),
        None => Err(Error::Usage(format!(
            "cannot read {}: it was there at the start and is gone; put it back",
            paths.lockd_config().display()
        ))),
    };
    run(&paths, settings, &again, &|addresses| {
        for address in addresses {
            exit::out(format_args!("listening on {address}"));
        }
        if let Some(secret) = &secret {
            exit::out(format_args!(
                "no configuration: client local may do everything; its secret is in {}",
                secret.display()
            ));
        }
    })?;
    Ok(Exit::Done)
}

/// The file, if there is one or one was named.
fn configured(args: &Args, paths: &Paths) -> Result<Option<Settings>> {
    let default = paths.lockd_config();
    let is_missing = default.symlink_metadata().is_err_and(|why| why.kind() == std::io::ErrorKind::NotFound);
    if args.config.is_none() && is_missing {
        return Ok(None);
    }
    Settings::load(args.config.as_ref().unwrap_or(&default)).map(|settings| Some(settings.below(paths)))
}
