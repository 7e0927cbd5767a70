//! `patch-mail(8)`: takes a message, spools it, delivers it, tries again.

use std::io::Read;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use serde_json::{Value, json};

use super::chain;
use super::place::Place;
use crate::config::{Config, Mail};
use crate::error::{Error, Result};
use crate::exit::{self, Exit};
use crate::host::Host;
use crate::mail::compose::{self, Letter};
use crate::mail::delivery::{self, Trouble};
use crate::mail::envelope::{Envelope, Place as Folder};
use crate::mail::spool::{Entry, LARGEST, Spool, id_of};
use crate::mail::{Attachment, Message, Pass};
use crate::paths::Paths;
use crate::sys::clock::{self, Moment};

const EXAMPLE: &str = "\
Example: df -h | patch-mail send --subject 'room on web01' --attach /etc/patchlog
In cron: * * * * * root patch-mail deliver
Exit codes: 0 done, 1 failed, 2 usage or configuration, 69 relay cannot be reached";

/// Take a message, spool it, deliver it, try again
#[derive(Debug, Parser)]
#[command(name = "patch-mail", version, after_help = EXAMPLE, disable_help_subcommand = true)]
struct Args {
    #[command(flatten)]
    place: Place,
    /// Only say what would be done
    #[arg(short = 'n', long, global = true)]
    dry_run: bool,
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Spool a message read from standard input, then deliver it
    Send(Send),
    /// Deliver what is due; silent when nothing is
    Deliver,
    /// Show what waits and what was refused
    List {
        /// For programs
        #[arg(long)]
        json: bool,
    },
    /// Print a message
    Show {
        /// Its id, as in list
        #[arg(value_parser = id_of)]
        id: String,
    },
    /// Make messages due now, refused ones too
    Retry {
        /// Ids, as in list
        #[arg(required_unless_present = "all", conflicts_with = "all", value_parser = id_of)]
        id: Vec<String>,
        /// All of them
        #[arg(long)]
        all: bool,
    },
}

#[derive(Debug, clap::Args)]
struct Send {
    /// The subject
    #[arg(short, long, value_name = "TEXT")]
    subject: String,
    /// A name for the event: one that was sent before is not sent again
    #[arg(long, value_parser = id_of)]
    id: Option<String>,
    /// A file to go with it; may be given several times
    #[arg(short, long, value_name = "FILE")]
    attach: Vec<PathBuf>,
    /// Addresses, or names on this host; else those of the configuration
    to: Vec<String>,
}

/// Entry point of the tool.
#[must_use]
pub fn main() -> ExitCode {
    if chain::called_as(&[&["deliver"]]) && Spool::is_empty(&Paths::system()) {
        return ExitCode::SUCCESS;
    }
    exit::main("patch-mail", Args::run)
}

/// Whether anything may be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Do,
    Say,
}

impl Args {
    fn run(&self) -> Result<Exit> {
        let paths = self.place.paths()?;
        let mode = if self.dry_run || self.place.is_only_a_question(&paths) { Mode::Say } else { Mode::Do };
        match &self.what {
            What::Send(send) => self.send(send, &paths, mode),
            What::Deliver => self.deliver(&paths, mode),
            What::List { json } => list(&paths, *json),
            What::Show { id } => show(&paths, id),
            What::Retry { id, all } => {
                retry(&paths, if *all { None } else { Some(id) }, mode, self.place.clock().now())
            }
        }
    }

    fn send(&self, send: &Send, paths: &Paths, mode: Mode) -> Result<Exit> {
        let (config, now) = (self.place.mail_config(paths)?, self.place.clock().now());
        let letter = send.letter(paths, &config, now)?;
        if mode == Mode::Say {
            exit::out(format!("would send {} to {} by {}", letter.id, letter.to.join(", "), way(&config.mail)));
            return Ok(Exit::Done);
        }
        let spool = Spool::open(paths)?;
        if !spool.put(&letter, now)? {
            exit::note(format!("mail {} waits already or was sent before", letter.id));
            return Ok(Exit::Done);
        }
        // Not on standard output: cron would make a mail of it.
        exit::note(format!("spooled mail {}", letter.id));
        // From here on the mail is safe: what goes wrong now is cron's to try again.
        match pass(&spool, paths, &config, now)?.trouble {
            Some(Trouble::Unreachable(words)) => exit::note(format!("mail {} waits: {words}", letter.id)),
            Some(Trouble::Login(words) | Trouble::Configuration(words)) => {
                exit::warn(format!("mail {} waits: {words}", letter.id));
            }
            None => {}
        }
        Ok(if spool.find(&letter.id)? == Some(Folder::Refused) { Exit::Failed } else { Exit::Done })
    }

    fn deliver(&self, paths: &Paths, mode: Mode) -> Result<Exit> {
        if Spool::is_empty(paths) {
            return Ok(Exit::Done);
        }
        let (spool, now) = (Spool::open(paths)?, self.place.clock().now());
        if !delivery::is_anything_due(&spool, now)? {
            return Ok(Exit::Done);
        }
        let config = match self.place.mail_config(paths) {
            Ok(config) => config,
            Err(error) => {
                if mode == Mode::Do {
                    delivery::put_off(&spool, &error.to_string(), now)?;
                }
                return Err(error);
            }
        };
        if mode == Mode::Say {
            return would_deliver(&spool, &config.mail, now);
        }
        let pass = pass(&spool, paths, &config, now)?;
        match pass.trouble {
            // Nothing that cron should make a mail of.
            Some(Trouble::Unreachable(words)) => {
                exit::note(format!("cannot deliver mail: {words}"));
                Ok(Exit::Unreachable)
            }
            Some(trouble) => Err(trouble.error()),
            None if pass.refused > 0 => Ok(Exit::Failed),
            None => Ok(Exit::Done),
        }
    }
}

impl Send {
    fn letter(&self, paths: &Paths, config: &Config, now: Moment) -> Result<Letter> {
        let message = Message {
            id: self.id.clone().unwrap_or_else(|| format!("{}.{}", now.format("%Y%m%dT%H%M%SZ"), std::process::id())),
            subject: self.subject.clone(),
            body: String::from_utf8_lossy(&read(std::io::stdin().lock(), "standard input")?).into_owned(),
            attachments: self.attach.iter().map(attachment).collect::<Result<_>>()?,
            date: now,
            host: Host::identify(paths, config.host.name.as_deref())?.name,
        };
        let to = if self.to.is_empty() { &config.mail.to } else { &self.to };
        compose::letter_to(&message, &config.mail, to)
    }
}

fn attachment(path: &PathBuf) -> Result<Attachment> {
    let (_, name) = crate::sys::trusted::split(path)?;
    let file = fs_err::File::open(path).map_err(|why| Error::io("attach", path)(plain(why)))?;
    let bytes = read(file, &path.display().to_string())?;
    Ok(Attachment { name: name.to_string_lossy().into_owned(), bytes })
}

/// The system's reason without the path that fs-err puts before it: our own error names it.
fn plain(why: std::io::Error) -> std::io::Error {
    match why.get_ref().and_then(|inner| inner.source()).and_then(|e| e.downcast_ref::<std::io::Error>()) {
        Some(inner) => inner.raw_os_error().map_or_else(|| inner.kind().into(), std::io::Error::from_raw_os_error),
        None => why,
    }
}

fn read(from: impl Read, name: &str) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(LARGEST + 1).read_to_end(&mut bytes).map_err(|why| Error::io("read", name)(plain(why)))?;
    if bytes.len() as u64 > LARGEST {
        return Err(Error::refused(name, format!("it is larger than {LARGEST} bytes")));
    }
    Ok(bytes)
}

/// One pass, unless another process is at it: then it is not ours to do.
fn pass(spool: &Spool, paths: &Paths, config: &Config, now: Moment) -> Result<Pass> {
    let Some(_only_one) = spool.try_delivering()? else { return Ok(Pass::default()) };
    delivery::run(spool, &mut delivery::route(paths, &config.mail), config.mail.keep, now)
}

fn way(mail: &Mail) -> String {
    match &mail.relay {
        Some(relay) => format!("relay {}", relay.host),
        None => mail.sendmail.display().to_string(),
    }
}

fn would_deliver(spool: &Spool, mail: &Mail, now: Moment) -> Result<Exit> {
    for entry in spool.entries(Folder::Queue)? {
        if let Entry::Mail(envelope) = entry
            && envelope.is_due(now)
        {
            exit::out(format!("would deliver {} to {} by {}", envelope.id, envelope.waiting().join(", "), way(mail)));
        }
    }
    Ok(Exit::Done)
}

fn list(paths: &Paths, as_json: bool) -> Result<Exit> {
    let mut exit = Exit::Done;
    let mut values = Vec::new();
    if Spool::exists(paths) {
        let spool = Spool::open(paths)?;
        for (place, state) in [(Folder::Queue, "waiting"), (Folder::Refused, "refused")] {
            for entry in spool.entries(place)? {
                match entry {
                    Entry::Mail(envelope) if as_json => values.push(value(&envelope, state)),
                    Entry::Mail(envelope) => exit::out(line(&envelope, state)),
                    Entry::Unreadable(error) => {
                        exit::warn(error);
                        exit = Exit::Failed;
                    }
                }
            }
        }
    }
    if as_json {
        exit::out(Value::Array(values));
    }
    Ok(exit)
}

fn line(envelope: &Envelope, state: &str) -> String {
    let since = clock::stamp(envelope.queued);
    let next = if state == "waiting" { format!(", next {}", clock::stamp(envelope.next)) } else { String::new() };
    let said = if envelope.answer.is_empty() { String::new() } else { format!(": {}", envelope.answer) };
    format!("{}  {state} since {since}, tries {}{next}{said}", envelope.id, envelope.tries)
}

fn value(envelope: &Envelope, state: &str) -> Value {
    let next = (state == "waiting").then(|| clock::stamp(envelope.next));
    json!({
        "id": envelope.id,
        "state": state,
        "from": envelope.from,
        "to": envelope.to,
        "since": clock::stamp(envelope.queued),
        "tries": envelope.tries,
        "next": next,
        "answer": envelope.answer,
    })
}

fn show(paths: &Paths, id: &str) -> Result<Exit> {
    let unknown = || Error::failed("show mail", id, "it is not in the spool; see patch-mail list");
    if !Spool::exists(paths) {
        return Err(unknown());
    }
    let spool = Spool::open(paths)?;
    let place = spool.find(id)?.ok_or_else(unknown)?;
    let mail = spool.read(place, id)?.ok_or_else(unknown)?;
    exit::out(String::from_utf8_lossy(&mail.message).replace("\r\n", "\n").trim_end());
    Ok(Exit::Done)
}

fn retry(paths: &Paths, named: Option<&Vec<String>>, mode: Mode, now: Moment) -> Result<Exit> {
    let unknown = |id: &str| Error::failed("retry mail", id, "it neither waits nor was refused; see patch-mail list");
    if !Spool::exists(paths) {
        return named.and_then(|ids| ids.first()).map_or(Ok(Exit::Done), |id| Err(unknown(id)));
    }
    let spool = Spool::open(paths)?;
    let known: Vec<String> = waiting_and_refused(&spool)?;
    let wanted = named.unwrap_or(&known);
    // Before the first is touched, so that a slip of the pen changes nothing.
    if let Some(stranger) = wanted.iter().find(|id| !known.contains(id)) {
        return Err(unknown(stranger));
    }
    for id in wanted {
        match mode {
            Mode::Say => exit::out(format!("would retry {id}")),
            Mode::Do => {
                spool.retry(id, now)?;
            }
        }
    }
    Ok(Exit::Done)
}

fn waiting_and_refused(spool: &Spool) -> Result<Vec<String>> {
    let mut ids = Vec::new();
    for place in [Folder::Queue, Folder::Refused] {
        for entry in spool.entries(place)? {
            if let Entry::Mail(envelope) = entry {
                ids.push(envelope.id);
            }
        }
    }
    Ok(ids)
}
