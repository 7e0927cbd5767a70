//! Exit codes, and the way words leave a tool.
//!
//! One table for all tools (DESIGN 3): scripts branch on these numbers, so they never change. Results go to standard
//! output by [`out`]; everything else goes to standard error and syslog by [`note`] and [`warn`]. A closed pipe is not an error:
//! who has read enough has read enough.

pub mod status;

use std::fmt::Display;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::sync::{Mutex, OnceLock};

use clap::error::ErrorKind;

use crate::error::{Error, Result};

/// What a tool says to the program that started it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// 0: done, or rightly nothing to do.
    Done,
    /// 1: failed.
    Failed,
    /// 2: wrong usage or configuration; nothing was changed.
    Usage,
    /// 69 (`EX_UNAVAILABLE` of sysexits.h): the service it needs cannot be reached.
    Unreachable,
    /// 75 (`EX_TEMPFAIL`): the lock is held elsewhere, try later.
    NotYet,
    /// A command's own code, passed through.
    Code(u8),
}

impl Exit {
    /// The number.
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Unreachable => 69,
            Self::NotYet => 75,
            Self::Code(code) => code,
        }
    }
}

impl From<&Error> for Exit {
    fn from(error: &Error) -> Self {
        match error {
            Error::Io { .. } | Error::Failed { .. } | Error::Refused { .. } => Self::Failed,
            Error::Usage(_) => Self::Usage,
            Error::Unreachable { .. } => Self::Unreachable,
            Error::Busy(_) => Self::NotYet,
        }
    }
}

/// Runs the body of a tool: pins the umask (cron's may be 077, and flags must be readable), prints an error once, as
/// `tool: words`, and turns it into the exit code.
pub fn finish(tool: &'static str, body: impl FnOnce() -> Result<Exit>) -> ExitCode {
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));
    name(tool);
    let exit = body().unwrap_or_else(|error| {
        warn(&error);
        Exit::from(&error)
    });
    let exit = match LOST.get() {
        Some(why) if exit == Exit::Done => {
            warn(format_args!("cannot write to standard output: {why}"));
            Exit::Failed
        }
        _ => exit,
    };
    ExitCode::from(exit.code())
}

/// Reads the arguments and runs the body with them, by the rules of [`finish`].
pub fn main<A: clap::Parser>(tool: &'static str, body: impl FnOnce(&A) -> Result<Exit>) -> ExitCode {
    finish(tool, || match A::try_parse() {
        Ok(args) => body(&args),
        Err(answer) if !answer.use_stderr() => {
            // --help, --version.
            out(answer.to_string().trim_end());
            Ok(Exit::Done)
        }
        Err(without) if without.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let _ = without.print();
            Ok(Exit::Usage)
        }
        Err(wrong) => Err(Error::Usage(format!("{}; see {tool} --help", first_paragraph(&wrong.to_string())))),
    })
}

/// What clap says is wrong, without its own `error:` and the usage below it; cut, for it quotes arguments of any size.
fn first_paragraph(text: &str) -> String {
    const LIMIT: usize = 600;
    let text = text.strip_prefix("error: ").unwrap_or(text);
    let lines: Vec<&str> = text.lines().map(str::trim).take_while(|line| !line.is_empty()).collect();
    let words = lines.join(" ");
    let is_long = words.chars().nth(LIMIT).is_some();
    if is_long { words.chars().take(LIMIT).chain(['…']).collect() } else { words }
}

static TOOL: OnceLock<&'static str> = OnceLock::new();
static LOST: OnceLock<std::io::Error> = OnceLock::new();
static SYSLOG: Mutex<Option<Syslog>> = Mutex::new(None);
static QUIET_SYSLOG: OnceLock<()> = OnceLock::new();

/// Sets the name before every message. The first call counts.
pub fn name(tool: &'static str) {
    let _ = TOOL.set(tool);
}

/// The name of the running tool.
pub fn tool() -> &'static str {
    TOOL.get().copied().unwrap_or("patchflag")
}

/// Keeps this process away from syslog: it works on another root, whose log is not this machine's.
pub fn without_syslog() {
    let _ = QUIET_SYSLOG.set(());
}

/// Words that may quote a server, a relay, a child or the name of a file: nothing in them moves a cursor or changes a terminal.
fn harmless(text: String) -> String {
    let is_harmless = |byte: u8| matches!(byte, b' '..=b'~' | b'\n' | b'\t');
    if text.bytes().all(is_harmless) {
        return text;
    }
    text.chars().map(|c| if c.is_control() && c != '\n' && c != '\t' { '\u{fffd}' } else { c }).collect()
}

/// A result: one line on standard output.
pub fn out(line: impl Display) {
    let mut text = harmless(line.to_string());
    text.push('\n');
    print(text.as_bytes());
}

/// A result without which something else that was done is of no use: for whoever must undo it then.
///
/// # Errors
/// Why it did not arrive, a closed pipe included.
pub fn deliver(line: impl Display) -> std::io::Result<()> {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{}", harmless(line.to_string())).and_then(|()| stdout.flush())
}

/// What a child said, passed on to standard output as it is.
pub fn pass_on(bytes: &[u8]) {
    print(bytes);
}

/// Output that is lost is remembered, for the exit code; the work goes on.
fn print(bytes: &[u8]) {
    let write = || {
        let mut stdout = std::io::stdout().lock();
        stdout.write_all(bytes).and_then(|()| stdout.flush())
    };
    if let Err(why) = status::around(write)
        && why.kind() != std::io::ErrorKind::BrokenPipe
    {
        let _ = LOST.set(why);
    }
}

/// The same in one line, for whoever reads line by line.
fn in_a_line(line: &impl Display) -> String {
    harmless(line.to_string().trim_end().to_string()).replace('\n', " ")
}

/// A decision: one line to syslog, and to standard error where a person looks at it (cron would make a mail of it).
pub fn note(line: impl Display) {
    let line = in_a_line(&line);
    if std::io::stderr().is_terminal() {
        complain(&line);
    }
    to_syslog(|log, text| log.info(text), &line);
}

/// Something is wrong: one line on standard error and to syslog.
pub fn warn(line: impl Display) {
    let line = in_a_line(&line);
    complain(&line);
    to_syslog(|log, text| log.err(text), &line);
}

fn complain(line: &str) {
    let _ = status::around(|| writeln!(std::io::stderr().lock(), "{}: {line}", tool()));
}

type Syslog = syslog::Logger<syslog::LoggerBackend, syslog::Formatter3164>;

/// Opened at the first line, not at the start: a tick with nothing to do never comes here. A host without a syslog
/// (a maintenance level, a container) is no fault.
fn to_syslog(send: impl FnOnce(&mut Syslog, &str) -> syslog::Result<()>, text: &str) {
    if QUIET_SYSLOG.get().is_some() {
        return;
    }
    let Ok(mut slot) = SYSLOG.lock() else { return };
    if slot.is_none() {
        let formatter = syslog::Formatter3164 {
            facility: syslog::Facility::LOG_CRON,
            hostname: None,
            process: tool().into(),
            pid: std::process::id(),
        };
        *slot = syslog::unix(formatter).ok();
    }
    if let Some(log) = slot.as_mut() {
        let _ = send(log, text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_said_changes_no_terminal() {
        assert_eq!(
            harmless("550 \u{1b}[2Jgo\r\u{9b}1m away\tnow\n".into()),
            "550 \u{fffd}[2Jgo\u{fffd}\u{fffd}1m away\tnow\n"
        );
    }

    #[test]
    fn what_is_wrong_with_the_arguments_is_told_in_one_line() {
        let said = "error: the following required arguments were not provided:\n  --subject <TEXT>\n\nUsage: x\n";
        assert_eq!(first_paragraph(said), "the following required arguments were not provided: --subject <TEXT>");
        assert!(first_paragraph(&format!("error: invalid value '{}'", "x".repeat(100_000))).len() < 700);
    }

    #[test]
    fn every_error_has_the_code_of_the_published_table() {
        assert_eq!(Exit::from(&Error::Usage(String::new())).code(), 2);
        assert_eq!(Exit::from(&Error::failed("x", "y", "z")).code(), 1);
        assert_eq!(Exit::from(&Error::refused("x", "z")).code(), 1);
        assert_eq!(Exit::from(&Error::Unreachable { service: "s".into(), reason: "r".into() }).code(), 69);
        assert_eq!(Exit::from(&Error::Busy("held".into())).code(), 75);
    }
}
