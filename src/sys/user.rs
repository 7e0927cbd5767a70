//! Users of the host, and acting as one of them.

use std::ffi::CString;
use std::path::PathBuf;
use std::time::Duration;

use nix::unistd::{Gid, Uid, getgrouplist};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};

use super::process::Job;
use crate::error::{Error, Result};

/// A directory service that does not answer is not waited for any longer.
const ANSWER: Duration = Duration::from_secs(30);

/// A user, with all his groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// His name.
    pub name: String,
    /// His number.
    pub uid: u32,
    /// His first group.
    pub gid: u32,
    /// All his groups.
    pub groups: Vec<u32>,
    /// His home.
    pub home: PathBuf,
}

impl User {
    /// Finds a user: in `/etc/passwd`, or by getent(1) and id(1), which know the directory services that a static program cannot
    /// ask.
    ///
    /// # Errors
    /// [`Error::Failed`] if nobody knows him.
    pub fn find(name: &str) -> Result<Self> {
        let known = nix::unistd::User::from_name(name).ok().flatten();
        let found = known.and_then(|user| {
            let c_name = CString::new(name).ok()?;
            let groups = getgrouplist(&c_name, user.gid).ok()?.into_iter().map(Gid::as_raw).collect();
            Some(Self { name: name.into(), uid: user.uid.as_raw(), gid: user.gid.as_raw(), groups, home: user.dir })
        });
        found.or_else(|| Self::ask(name)).ok_or_else(|| {
            Error::failed("find", format_args!("user {name}"), "the host does not know him; correct the name")
        })
    }

    /// Whoever we are.
    pub fn ourselves() -> Self {
        let (uid, gid) = (Uid::effective(), Gid::effective());
        let known = nix::unistd::User::from_uid(uid).ok().flatten();
        let (name, home) = known.map_or_else(|| (uid.to_string(), PathBuf::from("/")), |user| (user.name, user.dir));
        Self { name, uid: uid.as_raw(), gid: gid.as_raw(), groups: vec![gid.as_raw()], home }
    }

    fn ask(name: &str) -> Option<Self> {
        if name.starts_with('-') {
            return None;
        }
        let said = |words: &[&str]| {
            let done = Job::new(words).deadline(ANSWER, Duration::from_secs(1)).run().ok()?;
            done.is_success().then(|| done.text())
        };
        let (uid, gid, home) = passwd_line(&said(&["getent", "passwd", name])?)?;
        let groups =
            said(&["id", "-G", name])?.split_whitespace().map(str::parse).collect::<std::result::Result<_, _>>();
        Some(Self { name: name.into(), uid, gid, groups: groups.ok()?, home })
    }

    /// Works in a thread that has this user's rights and no others, for starting a child: the child has them from its first
    /// instruction, also when the kernel decides whether it may be executed. On Linux rights are a thread's, not a process's
    /// (setuid(2), "C library/kernel differences"); the rest of the process keeps its own.
    ///
    /// # Errors
    /// [`std::io::Error`] if the rights cannot be taken; nothing has been done then.
    pub fn act<T: Send>(&self, work: impl FnOnce() -> std::io::Result<T> + Send) -> std::io::Result<T> {
        let act = || {
            let gid = rustix::thread::Gid::from_raw(self.gid);
            let uid = rustix::thread::Uid::from_raw(self.uid);
            let groups: Vec<_> = self.groups.iter().map(|gid| rustix::thread::Gid::from_raw(*gid)).collect();
            set_thread_groups(&groups)?;
            set_thread_res_gid(gid, gid, gid)?;
            set_thread_res_uid(uid, uid, uid)?;
            work()
        };
        std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().name("user".into()).spawn_scoped(scope, act)?;
            thread.join().unwrap_or_else(|_| Err(std::io::Error::other("the thread with the user's rights died")))
        })
    }
}

/// User, group and home of a line of passwd(5).
fn passwd_line(line: &str) -> Option<(u32, u32, PathBuf)> {
    let fields: Vec<&str> = line.lines().next()?.split(':').collect();
    Some((fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?, PathBuf::from(fields.get(5)?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn root_is_found_and_a_stranger_is_an_error_that_names_him() {
        let root = User::find("root").unwrap();
        assert_eq!((root.uid, root.gid), (0, 0));
        assert!(User::find("no-such-user").unwrap_err().to_string().contains("no-such-user"));
        assert!(User::find("--help").is_err());
    }

    #[test]
    fn a_line_of_passwd_is_read() {
        assert_eq!(passwd_line("app:x:1001:1002:A:/srv/app:/bin/sh\n"), Some((1001, 1002, PathBuf::from("/srv/app"))));
        assert_eq!(passwd_line("app:x"), None);
    }

    #[test]
    fn a_child_has_the_users_rights_and_groups_and_we_keep_ours() {
        if !Uid::effective().is_root() {
            return;
        }
        let user = User { name: "x".into(), uid: 4711, gid: 4712, groups: vec![4712, 4713], home: "/".into() };
        let child = user.act(|| Command::new("id").args(["-G"]).output()).unwrap();
        assert_eq!(String::from_utf8_lossy(&child.stdout), "4712 4713\n");
        let child = user.act(|| Command::new("sh").args(["-c", "grep ^Uid: /proc/self/status"]).output()).unwrap();
        assert_eq!(String::from_utf8_lossy(&child.stdout).split_whitespace().collect::<Vec<_>>()[1..], ["4711"; 4]);
        assert!(Uid::current().is_root() && std::fs::read("/etc/shadow").is_ok());
    }
}
