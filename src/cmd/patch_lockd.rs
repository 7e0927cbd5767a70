//! `patch-lockd(8)`: the lock service.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use crate::error::Result;
use crate::exit::{self, Exit};
use crate::lock::server::run::run;
use crate::lock::server::settings::Settings;
use crate::paths::Paths;

/// Grant locks to hosts, one at a time.
#[derive(Debug, Parser)]
#[command(version, about, max_term_width = 100)]
struct Args {
    /// Configuration file, instead of /etc/patch/lockd.ini
    #[arg(long, value_name = "FILE", visible_alias = "cfg")]
    config: Option<PathBuf>,
    /// Read the configuration, say what is wrong with it, and do nothing else
    #[arg(long)]
    check_config: bool,
}

/// Entry point.
pub fn main() -> ExitCode {
    exit::main("patch-lockd", work)
}

fn work(args: &Args) -> Result<Exit> {
    let paths = Paths::system();
    let config = args.config.clone().unwrap_or_else(|| paths.lockd_config());
    let settings = Settings::load(&config)?;
    if args.check_config {
        return Ok(Exit::Done);
    }
    run(settings, Box::new(|_| ()), &|| Settings::load(&config), &|addresses| {
        for address in addresses {
            exit::out(format_args!("listening on {address}"));
        }
    })?;
    Ok(Exit::Done)
}
