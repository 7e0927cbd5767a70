//! The local sendmail: where no relay is configured, whatever `/usr/sbin/sendmail` is on this host.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::delivery::{Trouble, Way};
use super::envelope::{Answer, Envelope};
use crate::config::Mail;
use crate::paths::Paths;
use crate::sys::process::{Ended, Finished, Job, in_memory};

/// A sendmail that only queues is done in a second.
const DEADLINE: Duration = Duration::from_mins(5);
const GRACE: Duration = Duration::from_secs(10);
/// The codes of sysexits.h by which a sendmail refuses the mail itself: data, user, host. Everything else may pass.
const REFUSALS: [i32; 3] = [65, 67, 68];

/// The way through the local sendmail.
pub struct Sendmail {
    program: PathBuf,
    root: PathBuf,
}

impl Sendmail {
    /// As configured.
    pub fn new(paths: &Paths, mail: &Mail) -> Self {
        Self { program: mail.sendmail.clone(), root: paths.root().to_path_buf() }
    }
}

impl Way for Sendmail {
    fn carry(&mut self, envelope: &Envelope, message: &[u8]) -> Result<Vec<(String, Answer)>, Trouble> {
        let recipients = envelope.waiting();
        let there =
            |words: String| Trouble::Unreachable(format!("{words}; is there a sendmail? Else set relay in [mail]"));
        let done = self.run(envelope, &recipients, message).map_err(|error| there(error.to_string()))?;
        let words = format!("{}: {}", self.program.display(), done.reason());
        let answer = match done.ended {
            Ended::Code(0) => Answer::Taken,
            Ended::Code(code) if REFUSALS.contains(&code) => Answer::Refused(words),
            // chroot(8) and env(1): it could not be run.
            Ended::Code(126 | 127) => return Err(there(words)),
            _ => Answer::Later(words),
        };
        Ok(recipients.into_iter().map(|address| (address, answer.clone())).collect())
    }
}

impl Sendmail {
    /// `-oi`: a line with a dot alone does not end the mail. No address begins with a hyphen.
    fn run(&self, envelope: &Envelope, recipients: &[String], message: &[u8]) -> crate::error::Result<Finished> {
        let program: &Path = &self.program;
        let mut argv =
            vec![program.as_os_str().to_os_string(), "-oi".into(), "-f".into(), envelope.from.clone().into()];
        argv.extend(recipients.iter().map(Into::into));
        Job::new(argv).inside(&self.root).input(in_memory(&unix_lines(message))?).deadline(DEADLINE, GRACE).run()
    }
}

/// A local program reads local lines.
fn unix_lines(message: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(message.len());
    for (at, &byte) in message.iter().enumerate() {
        if byte != b'\r' || message.get(at + 1) != Some(&b'\n') {
            out.push(byte);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::compose::Letter;
    use std::os::unix::fs::PermissionsExt;

    fn carry(script: &str) -> (tempfile::TempDir, Result<Vec<(String, Answer)>, Trouble>) {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("sendmail");
        let script = format!("#!/bin/sh\nd={}\n{script}\n", dir.path().display());
        std::fs::write(&program, script).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let mut way = Sendmail { program, root: "/".into() };
        let said = way.carry(&envelope(), b"Subject: s\r\n\r\n.\r\nend\r\n");
        (dir, said)
    }

    fn envelope() -> Envelope {
        let letter = Letter {
            id: "run1".into(),
            host: "web01".into(),
            from: "patchflag@web01".into(),
            to: vec!["root@web01".into(), "ops@x".into()],
            bytes: Vec::new(),
        };
        Envelope::new(&letter, crate::sys::clock::now())
    }

    fn answer(said: Result<Vec<(String, Answer)>, Trouble>) -> Answer {
        said.unwrap().remove(0).1
    }

    #[test]
    fn sendmail_gets_sender_recipients_and_the_message_in_local_lines() {
        let (dir, said) = carry("echo \"$@\" >$d/args; cat >$d/mail");
        assert_eq!(answer(said), Answer::Taken);
        let read = |name| std::fs::read_to_string(dir.path().join(name)).unwrap();
        assert_eq!(read("args"), "-oi -f patchflag@web01 root@web01 ops@x\n");
        assert_eq!(read("mail"), "Subject: s\n\n.\nend\n");
    }

    #[test]
    fn only_the_codes_for_data_user_and_host_refuse_for_good() {
        assert!(matches!(answer(carry("echo no such user; exit 67").1), Answer::Refused(_)));
        assert!(matches!(answer(carry("exit 75").1), Answer::Later(_)));
        assert!(matches!(answer(carry("exit 1").1), Answer::Later(_)));
        assert!(matches!(answer(carry("kill -9 $$").1), Answer::Later(_)));
    }

    #[test]
    fn a_host_without_sendmail_is_told_what_to_set() {
        let mut way = Sendmail { program: "/nonexistent/sendmail".into(), root: "/".into() };
        let trouble = way.carry(&envelope(), b"").unwrap_err();
        assert!(trouble.words().contains("set relay in [mail]"), "{trouble:?}");
    }
}
