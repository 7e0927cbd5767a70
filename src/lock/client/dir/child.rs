//! The tool once more, as the child that touches the directory, and its parent's way to it.
//!
//! The child does what it is told with the rights of whoever started it, and no more: it reads no configuration, and answers its
//! parent alone.

use std::io::{BufRead, Write};
use std::process::ExitCode;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Place;
use super::errand::{Errand, Fault, Hands, Order};
use crate::config::locking::Scope;
use crate::error::{Error, Result};
use crate::exit::{self, Exit};
use crate::lock::wire::Grant;
use crate::sys::helper::{self, Helper, Silence};

/// The one argument of the child. It is no part of the help text.
const ARGUMENT: &str = "--work-in-lock-directory";

/// This tool knows the child when it is one.
static KNOWN: OnceLock<()> = OnceLock::new();

/// To be called first of all by every tool that opens a lock service: if it was started as a child that works in a lock directory, it
/// does so, and this is its exit code.
pub fn errand() -> Option<ExitCode> {
    let _ = KNOWN.set(());
    let mut arguments = std::env::args_os().skip(1);
    let is_child = arguments.next().is_some_and(|argument| argument == ARGUMENT) && arguments.next().is_none();
    is_child.then(|| serve().map_or_else(not_for_people, |()| ExitCode::SUCCESS))
}

/// Nobody reads what a child of ours says here.
fn not_for_people() -> ExitCode {
    let _ = writeln!(std::io::stderr(), "{ARGUMENT} is for the child of a tool that uses a lock directory");
    ExitCode::from(Exit::Usage.code())
}

/// Answers until nobody asks any more. `None`: whoever asks is not the parent, or says what is no question.
fn serve() -> Option<()> {
    helper::begin().ok()?;
    let mut lines = std::io::stdin().lock().lines();
    let errand: Errand = serde_json::from_str(&lines.next()?.ok()?).ok()?;
    // It may have died before we asked to die with it.
    if u32::try_from(nix::unistd::getppid().as_raw()).ok()? != errand.asker {
        return None;
    }
    let mut open = match Place::from(errand).open() {
        Ok(open) => open,
        Err(error) => return answer::<()>(Err(error)),
    };
    answer(Ok(()))?;
    for line in lines {
        match serde_json::from_str(&line.ok()?).ok()? {
            Order::Look { name } => answer(open.look(&name)),
            Order::Place { name, grant } => answer(open.place(&name, &grant)),
            Order::End { name, grant } => answer(open.end(&name, &grant)),
            Order::List => answer(open.list()),
        }?;
    }
    Some(())
}

fn answer<T: Serialize>(result: Result<T>) -> Option<()> {
    let mut line = serde_json::to_vec(&result.map_err(Fault::from)).ok()?;
    line.push(b'\n');
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(&line).and_then(|()| stdout.flush()).ok()
}

impl From<Errand> for Place {
    fn from(errand: Errand) -> Self {
        let scope = if errand.is_shared { Scope::Shared } else { Scope::ThisHost };
        Self { dir: errand.dir, shown: errand.shown, scope }
    }
}

/// The child, as its parent has it.
struct Child {
    helper: Helper,
    place: Place,
    timeout: Duration,
}

/// Sends a child there, for as long as one exchange may take.
pub fn send(place: &Place, timeout: Duration) -> Result<Box<dyn Hands>> {
    if KNOWN.get().is_none() {
        return Err(Error::failed("use", "backend dir", "this tool does not know itself as a child"));
    }
    let helper = Helper::of_this_program(exit::tool(), ARGUMENT, Instant::now() + timeout)
        .map_err(|why| unreachable(place, timeout, &why))?;
    let mut child = Child { helper, place: place.clone(), timeout };
    let errand = Errand {
        asker: std::process::id(),
        dir: place.dir.clone(),
        shown: place.shown.clone(),
        is_shared: place.scope == Scope::Shared,
    };
    child.ask::<()>(&errand)?;
    Ok(Box::new(child))
}

fn unreachable(place: &Place, timeout: Duration, why: &Silence) -> Error {
    match why {
        Silence::Late => place.unreachable(format!("it did not answer in {} s", timeout.as_secs())),
        other => place.unreachable(other.to_string()),
    }
}

impl Child {
    fn ask<T: DeserializeOwned>(&mut self, question: &impl Serialize) -> Result<T> {
        let strange = |why: serde_json::Error| self.place.unreachable(format!("what was said makes no sense: {why}"));
        let text = serde_json::to_string(question).map_err(strange)?;
        let line = self.helper.ask(&text).map_err(|why| unreachable(&self.place, self.timeout, &why))?;
        let answer: std::result::Result<T, Fault> = serde_json::from_slice(&line).map_err(strange)?;
        answer.map_err(|fault| fault.error(&self.place))
    }
}

impl Hands for Child {
    fn look(&mut self, name: &str) -> Result<Option<Grant>> {
        self.ask(&Order::Look { name: name.into() })
    }

    fn place(&mut self, name: &str, grant: &Grant) -> Result<bool> {
        self.ask(&Order::Place { name: name.into(), grant: grant.clone() })
    }

    fn end(&mut self, name: &str, grant: &Grant) -> Result<bool> {
        self.ask(&Order::End { name: name.into(), grant: grant.clone() })
    }

    fn list(&mut self) -> Result<Vec<Grant>> {
        self.ask(&Order::List)
    }
}
