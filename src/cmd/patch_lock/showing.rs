//! What is known of locks: sentences for people, named fields for programs.

use serde::Serialize;

use crate::cmd::place::Place;
use crate::error::{Error, Result};
use crate::exit::{self, Exit};
use crate::lock::client::words;
use crate::lock::wire;

use super::Show;
use super::site::Service;

/// `patch-lock show`
pub fn show(place: &Place, args: &Show) -> Result<Exit> {
    let service = Service::open(place)?;
    let locks: Vec<wire::Lock> = args.names.iter().map(|name| service.backend.look(name)).collect::<Result<_>>()?;
    print_locks(&locks, args.json)
}

fn print_locks(locks: &[wire::Lock], json: bool) -> Result<Exit> {
    if json {
        return print_json(&locks);
    }
    for lock in locks {
        exit::out(words::state(lock));
    }
    Ok(Exit::Done)
}

fn print_json(value: &impl Serialize) -> Result<Exit> {
    exit::out(serde_json::to_string_pretty(value).map_err(|why| Error::failed("print", "the answer", why))?);
    Ok(Exit::Done)
}
