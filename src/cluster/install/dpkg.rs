//! The package database of a Debian host: what is installed, whether it is sound, making it sound again.

use std::fs::File;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;

use super::Deadline;
use super::changes::{DPKG_FORMAT, Packages, dpkg_packages};
use crate::error::{Error, Result};
use crate::paths::Paths;
use crate::sys::process::{Ended, Finished, Job};

/// Questions to dpkg and apt take seconds; one that takes this long hangs.
const ANSWER: Duration = Duration::from_mins(10);
/// Between TERM and KILL.
const GRACE: Duration = Duration::from_secs(10);
/// Between two looks at a lock.
const PAUSE: Duration = Duration::from_millis(500);

/// A configuration file that was changed on this host is kept, whatever the host's own apt.conf(5) says; the package's new
/// one is laid beside it.
pub const KEEP_OLD: [&str; 4] = ["--refuse-confnew", "--force-confdef", "--force-confold", "--refuse-confask"];

/// apt looks at what is installed and at nothing else, and writes no cache; a release that the host prefers is then one that apt
/// does not know.
const INSTALLED_ALONE: [&str; 5] = [
    "Dir::Etc::sourcelist=/dev/null",
    "Dir::Etc::sourceparts=/dev/null",
    "Dir::Cache::pkgcache=",
    "Dir::Cache::srcpkgcache=",
    "APT::Default-Release=",
];

/// Nobody is there to be asked, and nothing is to be started, listed or mailed.
pub const ENVIRONMENT: [(&str, &str); 8] = [
    ("DEBIAN_FRONTEND", "noninteractive"),
    ("DEBIAN_PRIORITY", "critical"),
    ("DEBCONF_NONINTERACTIVE_SEEN", "true"),
    ("UCF_FORCE_CONFFOLD", "1"),
    ("NEEDRESTART_MODE", "l"),
    ("NEEDRESTART_SUSPEND", "1"),
    ("APT_LISTCHANGES_FRONTEND", "none"),
    ("APT_LISTBUGS_FRONTEND", "none"),
];

/// Whether this host has such a database.
pub fn is_here(paths: &Paths) -> bool {
    paths.dpkg().join("status").exists()
}

/// A question, asked inside the root.
///
/// # Errors
/// [`Error::Failed`] with the last thing it said if it does not succeed.
pub fn ask(paths: &Paths, job: Job, verb: &'static str, object: &str) -> Result<String> {
    let done = with_environment(job).inside(paths.root()).deadline(ANSWER, GRACE).run()?;
    if done.is_success() { Ok(done.text()) } else { Err(Error::failed(verb, object, complaint(&done))) }
}

/// Why it did not succeed, in the program's own words: apt's and dpkg's errors say `E:` or `error`, and what follows
/// them is advice.
pub fn complaint(done: &Finished) -> String {
    let text = done.text();
    let error = text.lines().map(str::trim).find(|line| line.starts_with("E:") || line.contains("error:"));
    error.map_or_else(|| done.reason(), |line| format!("{}: {line}", done.ended))
}

/// Adds [`ENVIRONMENT`].
pub fn with_environment(job: Job) -> Job {
    ENVIRONMENT.iter().fold(job, |job, (key, value)| job.env(key, value))
}

/// The architecture that packages are of unless they say otherwise.
///
/// # Errors
/// As [`ask`].
pub fn native(paths: &Paths) -> Result<String> {
    let said = ask(paths, Job::new(["dpkg", "--print-architecture"]), "ask", "dpkg for the architecture")?;
    Ok(said.trim().to_string())
}

/// All installed packages.
///
/// # Errors
/// As [`ask`].
pub fn packages(paths: &Paths) -> Result<Packages> {
    let native = native(paths)?;
    let job = Job::new(["dpkg-query", "--show", "--showformat", DPKG_FORMAT]);
    Ok(dpkg_packages(&ask(paths, job, "list", "the installed packages")?, &native))
}

/// Whether packages could be installed now: dpkg was not interrupted, no package is half installed, no dependency is broken.
/// A host without dpkg has nothing that could be unsound.
///
/// # Errors
/// [`Error::Failed`] with what is wrong and how it is mended.
pub fn database_is_sound(paths: &Paths) -> Result<()> {
    if !is_here(paths) {
        return Ok(());
    }
    let broken = |why: String| {
        Err(Error::failed(
            "use",
            "the package database",
            format!("{why}; run dpkg --configure -a and apt-get -f install"),
        ))
    };
    if is_interrupted(paths)? {
        return broken("dpkg was interrupted".into());
    }
    let audit = ask(paths, Job::new(["dpkg", "--audit"]), "check", "the package database")?;
    if !audit.trim().is_empty() {
        let names: Vec<&str> = audit.lines().filter_map(|line| line.strip_prefix(' ')?.split(' ').next()).collect();
        return broken(format!("packages are half installed ({})", names.join(", ")));
    }
    let mut check = vec!["apt-get", "check", "-o", "Debug::NoLocking=1"];
    for option in INSTALLED_ALONE {
        check.extend(["-o", option]);
    }
    match ask(paths, Job::new(check), "check", "the installed packages") {
        Err(Error::Failed { reason, .. }) => broken(reason),
        other => other.map(drop),
    }
}

/// dpkg keeps what it has not yet written into its status file in a journal of numbered files (dpkg's lib/dpkg/dbmodify.c).
fn is_interrupted(paths: &Paths) -> Result<bool> {
    let journal = paths.dpkg().join("updates");
    match std::fs::read_dir(&journal) {
        Ok(entries) => Ok(entries.filter_map(std::result::Result::ok).any(|entry| {
            let name = entry.file_name();
            !name.is_empty() && name.to_string_lossy().bytes().all(|b| b.is_ascii_digit())
        })),
        Err(why) if why.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(why) => Err(Error::io("read", &journal)(why)),
    }
}

/// Waits until no dpkg or apt works any more: one whose parent was killed goes on, and is best left to end.
///
/// # Errors
/// [`Error::Failed`] naming its process if it still works after `time`.
pub fn wait_until_free(paths: &Paths, time: Duration) -> Result<()> {
    let end = Instant::now() + time;
    loop {
        let Some(holder) = holder(paths)? else { return Ok(()) };
        if Instant::now() >= end {
            let why = format!("process {holder} has worked on it for all of {} s", time.as_secs());
            return Err(Error::failed("use", "the package database", why));
        }
        std::thread::sleep(PAUSE);
    }
}

fn holder(paths: &Paths) -> Result<Option<i32>> {
    for name in ["lock-frontend", "lock"] {
        let path = paths.dpkg().join(name);
        let file = match File::options().read(true).write(true).open(&path) {
            Ok(file) => file,
            Err(why) if why.kind() == std::io::ErrorKind::NotFound => continue,
            Err(why) => return Err(Error::io("open", &path)(why)),
        };
        if let Some(pid) = lock_holder(&file).map_err(Error::io("ask for the holder of", &path))? {
            return Ok(Some(pid));
        }
    }
    Ok(None)
}

/// Who holds a POSIX record lock on the file, fcntl(2).
fn lock_holder(file: &File) -> nix::Result<Option<i32>> {
    let whole = |value| i16::try_from(value).unwrap_or_default();
    let mut lock =
        libc::flock { l_type: whole(libc::F_WRLCK), l_whence: whole(libc::SEEK_SET), l_start: 0, l_len: 0, l_pid: 0 };
    fcntl(file.as_fd(), FcntlArg::F_GETLK(&mut lock))?;
    Ok((lock.l_type != whole(libc::F_UNLCK)).then_some(lock.l_pid))
}

/// Finishes what dpkg had begun: `dpkg --configure -a`.
///
/// # Errors
/// [`Error::Io`] if it cannot be started; how it ended is the result.
pub fn configure(paths: &Paths, output: File, deadline: Deadline) -> Result<Ended> {
    let mut argv = vec!["dpkg"];
    argv.extend(KEEP_OLD);
    argv.extend(["--configure", "-a"]);
    let job = with_environment(Job::new(argv)).inside(paths.root()).output(output).marked(paths.worker());
    Ok(job.deadline(deadline.after, deadline.grace).run()?.ended)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root() -> (tempfile::TempDir, Paths) {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths::below_root(dir.path()).unwrap();
        std::fs::create_dir_all(paths.dpkg().join("updates")).unwrap();
        (dir, paths)
    }

    #[test]
    fn a_host_without_dpkg_has_nothing_unsound() {
        let dir = tempfile::tempdir().unwrap();
        database_is_sound(&Paths::below_root(dir.path()).unwrap()).unwrap();
    }

    #[test]
    fn a_journal_that_was_not_finished_is_an_interruption() {
        let (_keep, paths) = root();
        std::fs::write(paths.dpkg().join("updates/tmp.i"), "").unwrap();
        assert!(!is_interrupted(&paths).unwrap());
        std::fs::write(paths.dpkg().join("updates/0001"), "").unwrap();
        std::fs::write(paths.dpkg().join("status"), "").unwrap();
        let words = database_is_sound(&paths).unwrap_err().to_string();
        assert!(words.contains("interrupted") && words.contains("dpkg --configure -a"), "{words}");
    }

    #[test]
    fn a_dpkg_that_works_is_waited_for_and_named() {
        let (_keep, paths) = root();
        let lock = paths.dpkg().join("lock");
        std::fs::write(&lock, "").unwrap();
        wait_until_free(&paths, Duration::ZERO).unwrap();
        let script = "import fcntl,sys,time; f=open(sys.argv[1],'w'); fcntl.lockf(f,fcntl.LOCK_EX); print(1,flush=True); time.sleep(2)";
        let mut child = std::process::Command::new("python3")
            .args(["-c", script, lock.to_str().unwrap()])
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut [0]).unwrap();
        let words = wait_until_free(&paths, Duration::ZERO).unwrap_err().to_string();
        assert!(words.contains(&format!("process {}", child.id())), "{words}");
        wait_until_free(&paths, Duration::from_secs(20)).unwrap();
        child.wait().unwrap();
    }
}
