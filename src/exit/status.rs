//! A line at the foot of a terminal that says what goes on now, and gives way to every other line.
//!
//! Where standard output is no terminal, or one that cannot erase (`TERM=dumb`), there is none. It has no colours.

use std::io::{IsTerminal, Write, stdout};
use std::sync::{Mutex, PoisonError};

/// To the first column, and nothing from there on.
const ERASE: &str = "\r\x1b[K";

static SHOWN: Mutex<Option<String>> = Mutex::new(None);

/// How many columns the line may have; `None` where there is nobody to see it.
pub fn columns() -> Option<usize> {
    let can_erase = std::env::var_os("TERM").is_some_and(|term| !term.is_empty() && term != "dumb");
    if !can_erase || !stdout().is_terminal() {
        return None;
    }
    let size = rustix::termios::tcgetwinsize(stdout()).ok()?;
    // In the last column a terminal may begin a new line already.
    Some(usize::from(size.ws_col).checked_sub(1).unwrap_or(79))
}

/// Shows a line instead of the one that is there; an empty one only takes that away. The caller has asked for [`columns`].
pub fn show(line: &str) {
    let mut shown = SHOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if shown.is_none() && line.is_empty() {
        return;
    }
    draw(&super::harmless(line.to_string()));
    *shown = Some(line.to_string()).filter(|line| !line.is_empty());
}

/// Lets somebody write whole lines: the status is away meanwhile, and below them afterwards.
pub(super) fn around<T>(write: impl FnOnce() -> T) -> T {
    let shown = SHOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(line) = shown.as_ref() else { return write() };
    draw("");
    let written = write();
    draw(line);
    written
}

/// A status that cannot be shown is no loss.
fn draw(line: &str) {
    let mut stdout = stdout().lock();
    let _ = write!(stdout, "{ERASE}{line}").and_then(|()| stdout.flush());
}
