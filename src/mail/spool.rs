//! The spool: every mail is one file, from the moment it is posted until a person or time removes it.
//!
//! `queue/` holds what waits, `refused/` what was refused for good, `sent/` what everybody has. A file is its envelope (one
//! line of JSON) and the complete message. It changes by being replaced and moves by being renamed, so a power cut finds it
//! whole in one place or the other; a mail that is in two places after one is put right at the next delivery.
//!
//! Two locks, both of the spool's own: `lock` is held for the moment of a change, `delivery` by the process that delivers,
//! as long as the relay takes. Posting never waits for a relay.

use std::io::{BufRead, BufReader, Read};
use std::time::{Duration, Instant};

use super::compose::Letter;
use super::envelope::{Envelope, FORMAT, Place};
use crate::error::{Error, Result};
use crate::paths::Paths;
use crate::sys::clock::Moment;
use crate::sys::dir::Dir;
use crate::sys::lockfile::{self, Lock};
use crate::sys::{replace, trusted};

/// The spool of a host.
#[derive(Debug)]
pub struct Spool {
    queue: Dir,
    sent: Dir,
    refused: Dir,
    paths: Paths,
}

/// A mail in the spool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spooled {
    /// What is known of it.
    pub envelope: Envelope,
    /// The complete message.
    pub message: Vec<u8>,
}

/// What stands in a directory of the spool.
#[derive(Debug)]
pub enum Entry {
    /// A mail.
    Mail(Box<Envelope>),
    /// Something that cannot be read as one; it is shown and left alone.
    Unreadable(Error),
}

/// A mail may not be larger than this.
pub const LARGEST: u64 = 32 << 20;
/// The first line may not be longer than this.
const LONGEST_ENVELOPE: u64 = 1 << 20;
/// A change takes a few flushes; who holds the lock longer than this is stuck.
const PATIENCE: Duration = Duration::from_secs(20);

impl Spool {
    /// Opens the spool, and makes it if it is not there.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Refused`] if others could change it.
    pub fn open(paths: &Paths) -> Result<Self> {
        Dir::create(&paths.spool(), 0o700)?;
        let open = |path: std::path::PathBuf| Dir::create(&path, 0o700);
        // The queue comes last: where it is, the others are.
        let (sent, refused) = (open(paths.mail_sent())?, open(paths.mail_refused())?);
        Ok(Self { queue: open(paths.mail_queue())?, sent, refused, paths: paths.clone() })
    }

    /// Whether nothing waits. Asks for nothing but the names in one directory: cron asks every minute.
    pub fn is_empty(paths: &Paths) -> bool {
        match fs_err::read_dir(paths.mail_queue()) {
            Ok(mut entries) => !entries.any(|e| e.is_ok_and(|e| is_visible(&e.file_name().to_string_lossy()))),
            // Anything but "not there" is for those to say who open it.
            Err(why) => why.kind() == std::io::ErrorKind::NotFound,
        }
    }

    /// Whether there has ever been a spool here.
    pub fn exists(paths: &Paths) -> bool {
        paths.mail_queue().symlink_metadata().is_ok()
    }

    /// Puts a mail into the queue, durably. `false` means that its id waits, was refused or was sent before: nothing changed.
    ///
    /// # Errors
    /// [`Error::Refused`] for an id that is no plain name or a mail that is too large, [`Error::Io`] if it cannot be written.
    pub fn put(&self, letter: &Letter, now: Moment) -> Result<bool> {
        check_id(&letter.id)?;
        let bytes = file(&Envelope::new(letter, now), &letter.bytes)?;
        let _lock = self.lock()?;
        if self.sent.has(&letter.id)? || self.refused.has(&letter.id)? {
            return Ok(false);
        }
        let is_new = replace::create(&self.queue, &letter.id, &bytes, 0o600)?;
        if !is_new {
            // What stands there must be a mail, or this one would be lost behind it.
            Self::envelope(&self.queue, &letter.id)?;
        }
        Ok(is_new)
    }

    /// The mails of a directory, oldest first, and behind them what cannot be read.
    ///
    /// # Errors
    /// [`Error::Io`] if the directory cannot be read.
    pub fn entries(&self, place: Place) -> Result<Vec<Entry>> {
        let dir = self.dir(place);
        let mut entries = Vec::new();
        for name in dir.names()?.into_iter().filter(|name| is_visible(name)) {
            match Self::envelope(dir, &name) {
                Ok(Some(envelope)) => entries.push(Entry::Mail(Box::new(envelope))),
                Ok(None) => {} // moved on meanwhile
                Err(error) => entries.push(Entry::Unreadable(error)),
            }
        }
        entries.sort_by_key(|entry| match entry {
            Entry::Mail(envelope) => (0, Some(envelope.queued)),
            Entry::Unreadable(_) => (1, None),
        });
        Ok(entries)
    }

    /// A mail whole; `None` if it is not there.
    ///
    /// # Errors
    /// [`Error::Refused`] for an id that is no plain name, [`Error::Failed`] if the file is none of ours.
    pub fn read(&self, place: Place, id: &str) -> Result<Option<Spooled>> {
        check_id(id)?;
        let dir = self.dir(place);
        let Some(bytes) = dir.read(id, LARGEST)? else { return Ok(None) };
        let end = bytes.iter().position(|b| *b == b'\n').unwrap_or(bytes.len());
        let envelope = understand(&bytes[..end], dir, id)?;
        Ok(Some(Spooled { envelope, message: bytes.get(end + 1..).unwrap_or_default().to_vec() }))
    }

    /// Where an id is; `None` if it is nowhere.
    ///
    /// # Errors
    /// [`Error::Refused`] for an id that is no plain name, [`Error::Io`].
    pub fn find(&self, id: &str) -> Result<Option<Place>> {
        check_id(id)?;
        for place in [Place::Sent, Place::Queue, Place::Refused] {
            if self.dir(place).has(id)? {
                return Ok(Some(place));
            }
        }
        Ok(None)
    }

    /// Takes the right to deliver; `None` if another process delivers.
    ///
    /// # Errors
    /// As [`lockfile::try_take`].
    pub fn try_delivering(&self) -> Result<Option<Lock>> {
        lockfile::try_take(&self.paths.delivery_lock())
    }

    /// Records a try: what everybody has moves to `sent/` by one rename, which needs no room on the disk; what else was learnt
    /// is written first and moved then.
    ///
    /// # Errors
    /// [`Error::Io`]; the mail then still stands in the queue.
    pub fn settle(&self, mail: &Spooled) -> Result<()> {
        let id = &mail.envelope.id;
        let place = mail.envelope.place();
        let _lock = self.lock()?;
        if place != Place::Sent {
            replace::replace(&self.queue, id, &file(&mail.envelope, &mail.message)?, 0o600)?;
        }
        if place != Place::Queue && !replace::rename_new(&self.queue, id, self.dir(place), id)? {
            self.queue.remove(id)?; // it had two names after a power cut
        }
        Ok(())
    }

    /// Takes a mail out of the queue that was sent before: after a power cut it may have had two names.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn drop_if_sent(&self, id: &str) -> Result<bool> {
        let _lock = self.lock()?;
        if !self.sent.has(id)? {
            return Ok(false);
        }
        self.queue.remove(id)
    }

    /// Makes a mail due at once, out of `refused/` as well; `false` if it is in neither directory.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn retry(&self, id: &str, now: Moment) -> Result<bool> {
        let _lock = self.lock()?;
        for place in [Place::Queue, Place::Refused] {
            let Some(mut mail) = self.read(place, id)? else { continue };
            mail.envelope.retry(now);
            let dir = self.dir(place);
            replace::replace(dir, id, &file(&mail.envelope, &mail.message)?, 0o600)?;
            if place == Place::Refused && !replace::rename_new(dir, id, &self.queue, id)? {
                dir.remove(id)?;
            }
            return Ok(true);
        }
        Ok(false)
    }

    /// Forgets what was sent longer ago than `keep`, and removes drafts of writers that were cut short.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn tidy(&self, keep: Duration, now: Moment) -> Result<()> {
        let _lock = self.lock()?;
        for dir in [&self.queue, &self.refused] {
            for name in
                dir.names()?.iter().filter(|name| name.starts_with('.') && name.strip_suffix(".draft").is_some())
            {
                dir.remove(name)?;
            }
        }
        let keep = i64::try_from(keep.as_secs()).unwrap_or(i64::MAX);
        for name in self.sent.names()? {
            // Written for the last time at the try before it went, an hour earlier at most.
            if self.sent.look(&name)?.is_some_and(|stat| now.timestamp().saturating_sub(stat.st_mtime) > keep) {
                self.sent.remove(&name)?;
            }
        }
        Ok(())
    }

    fn dir(&self, place: Place) -> &Dir {
        match place {
            Place::Queue => &self.queue,
            Place::Sent => &self.sent,
            Place::Refused => &self.refused,
        }
    }

    /// Only the first line: a tick looks at every mail that waits.
    fn envelope(dir: &Dir, name: &str) -> Result<Option<Envelope>> {
        check_id(name).map_err(|_| Error::refused(dir.join(name).display(), "it is no mail of ours; remove it"))?;
        let Some(opened) = dir.file(name)? else { return Ok(None) };
        let mut line = Vec::new();
        BufReader::new(opened.take(LONGEST_ENVELOPE))
            .read_until(b'\n', &mut line)
            .map_err(Error::io("read", dir.join(name)))?;
        understand(&line, dir, name).map(Some)
    }

    fn lock(&self) -> Result<Lock> {
        let path = self.paths.spool_lock();
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(lock) = lockfile::try_take(&path)? {
                return Ok(lock);
            }
            if Instant::now() > end {
                return Err(Error::failed("lock", path.display(), "its holder, whose pid is in it, does not go on"));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

fn is_visible(name: &str) -> bool {
    !name.starts_with('.')
}

fn check_id(id: &str) -> Result<()> {
    id_of(id).map(drop).map_err(|why| Error::refused(format!("mail id {id:?}"), why))
}

/// The id of a mail, which is the name of its file here.
///
/// # Errors
/// What it must be, if it is not.
pub fn id_of(text: &str) -> std::result::Result<String, String> {
    let fit = trusted::is_plain_name(text).then(|| text.to_string());
    fit.ok_or_else(|| "it must be one plain name of letters, digits and ._+:~-".into())
}

fn file(envelope: &Envelope, message: &[u8]) -> Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec(envelope).map_err(|why| Error::failed("spool mail", &envelope.id, why))?;
    bytes.push(b'\n');
    bytes.extend_from_slice(message);
    if bytes.len() as u64 > LARGEST {
        return Err(Error::refused(format!("mail {}", envelope.id), format!("it is larger than {LARGEST} bytes")));
    }
    Ok(bytes)
}

fn understand(line: &[u8], dir: &Dir, name: &str) -> Result<Envelope> {
    let wrong = |why: String| {
        Error::failed("read", dir.join(name).display(), format!("{why}; it is no mail of ours, remove it"))
    };
    let envelope: Envelope = serde_json::from_slice(line).map_err(|why| wrong(why.to_string()))?;
    if envelope.format != FORMAT {
        return Err(wrong(format!("format {} is not {FORMAT}", envelope.format)));
    }
    if envelope.id != name {
        return Err(wrong("its id is not its name".into()));
    }
    Ok(envelope)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::envelope::Answer;
    use std::os::unix::fs::PermissionsExt;

    fn now() -> Moment {
        crate::sys::clock::parse("2026-11-21T02:00:00Z").unwrap()
    }

    fn letter(id: &str) -> Letter {
        Letter {
            id: id.into(),
            host: "web01".into(),
            from: "patchflag@web01".into(),
            to: vec!["root@web01".into()],
            bytes: b"Subject: s\r\n\r\nbody\r\n".to_vec(),
        }
    }

    fn spool() -> (tempfile::TempDir, Paths, Spool) {
        let root = tempfile::tempdir().unwrap();
        let paths = Paths::below_root(root.path()).unwrap();
        let spool = Spool::open(&paths).unwrap();
        (root, paths, spool)
    }

    fn ids(spool: &Spool, place: Place) -> Vec<String> {
        let entries = spool.entries(place).unwrap();
        entries.into_iter().filter_map(|e| if let Entry::Mail(m) = e { Some(m.id) } else { None }).collect()
    }

    fn answered(spool: &Spool, id: &str, answer: Answer) {
        let mut mail = spool.read(Place::Queue, id).unwrap().unwrap();
        mail.envelope.note(&[("root@web01".into(), answer)], now());
        spool.settle(&mail).unwrap();
    }

    #[test]
    fn a_posted_mail_comes_back_as_it_was() {
        let (_root, paths, spool) = spool();
        assert!(Spool::is_empty(&paths));
        assert!(spool.put(&letter("run1"), now()).unwrap());
        assert!(!Spool::is_empty(&paths));
        let mail = spool.read(Place::Queue, "run1").unwrap().unwrap();
        assert_eq!(mail.message, letter("run1").bytes);
        assert_eq!(mail.envelope.waiting(), ["root@web01"]);
    }

    #[test]
    fn an_event_that_waits_was_sent_or_was_refused_is_not_posted_again() {
        let (_root, _paths, spool) = spool();
        spool.put(&letter("run1"), now()).unwrap();
        assert!(!spool.put(&letter("run1"), now()).unwrap());
        answered(&spool, "run1", Answer::Taken);
        assert_eq!((ids(&spool, Place::Queue).len(), ids(&spool, Place::Sent)), (0, vec!["run1".to_string()]));
        assert!(!spool.put(&letter("run1"), now()).unwrap());
        spool.put(&letter("run2"), now()).unwrap();
        answered(&spool, "run2", Answer::Refused("550".into()));
        assert!(!spool.put(&letter("run2"), now()).unwrap());
    }

    #[test]
    fn a_refused_mail_is_kept_and_can_be_put_back() {
        let (_root, _paths, spool) = spool();
        spool.put(&letter("run1"), now()).unwrap();
        answered(&spool, "run1", Answer::Refused("550 no".into()));
        assert_eq!(ids(&spool, Place::Refused), ["run1"]);
        assert!(spool.retry("run1", now()).unwrap());
        assert_eq!(ids(&spool, Place::Queue), ["run1"]);
        assert!(!spool.retry("run9", now()).unwrap());
    }

    #[test]
    fn an_id_that_is_no_plain_name_is_refused() {
        let (_root, _paths, spool) = spool();
        for id in ["", "..", "../x", "a/b", ".hidden", "a\nb", "-x"] {
            assert!(matches!(spool.put(&letter(id), now()), Err(Error::Refused { .. })), "{id:?}");
            assert!(matches!(spool.read(Place::Queue, id), Err(Error::Refused { .. })), "{id:?}");
        }
    }

    #[test]
    fn a_mail_with_two_names_after_a_power_cut_is_not_sent_again() {
        let (_root, paths, spool) = spool();
        spool.put(&letter("run1"), now()).unwrap();
        std::fs::hard_link(paths.mail_queue().join("run1"), paths.mail_sent().join("run1")).unwrap();
        assert!(spool.drop_if_sent("run1").unwrap());
        assert_eq!((ids(&spool, Place::Queue).len(), ids(&spool, Place::Sent).len()), (0, 1));
    }

    #[test]
    fn what_is_no_mail_is_shown_and_left_alone() {
        let (_root, paths, spool) = spool();
        spool.put(&letter("run1"), now()).unwrap();
        std::fs::write(paths.mail_queue().join("junk"), "junk").unwrap();
        std::fs::write(paths.mail_queue().join("a b"), "junk").unwrap();
        std::fs::write(paths.mail_queue().join("empty"), "").unwrap();
        std::os::unix::fs::symlink("/etc/passwd", paths.mail_queue().join("link")).unwrap();
        let entries = spool.entries(Place::Queue).unwrap();
        let unreadable = entries.iter().filter(|e| matches!(e, Entry::Unreadable(_))).count();
        assert_eq!((entries.len(), unreadable), (5, 4));
    }

    #[test]
    fn a_mail_is_not_lost_behind_something_that_is_none() {
        let (_root, paths, spool) = spool();
        std::fs::write(paths.mail_queue().join("run1"), "").unwrap();
        let words = spool.put(&letter("run1"), now()).unwrap_err().to_string();
        assert!(words.contains("queue/run1") && words.contains("no mail of ours"), "{words}");
    }

    #[test]
    fn what_was_sent_is_forgotten_after_its_time_and_drafts_are_removed() {
        let (_root, paths, spool) = spool();
        spool.put(&letter("run1"), now()).unwrap();
        answered(&spool, "run1", Answer::Taken);
        std::fs::write(paths.mail_queue().join(".run2.draft"), "half").unwrap();
        let written = crate::sys::clock::now();
        spool.tidy(Duration::from_hours(1), written).unwrap();
        assert_eq!(ids(&spool, Place::Sent), ["run1"]);
        assert!(!paths.mail_queue().join(".run2.draft").exists());
        spool.tidy(Duration::from_hours(1), written + chrono::TimeDelta::hours(2)).unwrap();
        assert!(ids(&spool, Place::Sent).is_empty());
    }

    #[test]
    fn nobody_else_can_look_into_the_spool() {
        let (_root, paths, spool) = spool();
        spool.put(&letter("run1"), now()).unwrap();
        let mode = |path: std::path::PathBuf| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(paths.mail_queue()), 0o700);
        assert_eq!(mode(paths.mail_queue().join("run1")), 0o600);
    }

    #[test]
    fn two_posts_at_once_mail_once() {
        let (_root, paths, _spool) = spool();
        let done: Vec<bool> = std::thread::scope(|scope| {
            let post = || Spool::open(&paths).unwrap().put(&letter("run1"), now()).unwrap();
            let handles: Vec<_> = (0..8).map(|_| scope.spawn(post)).collect();
            handles.into_iter().map(|h| h.join().unwrap()).collect()
        });
        assert_eq!(done.iter().filter(|new| **new).count(), 1);
    }
}
