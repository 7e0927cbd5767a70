//! Running a directory of scripts.

use std::path::Path;
use std::time::Duration;

use super::judge::{Script, Whose};
use super::list::list;
use crate::error::Result;
use crate::paths::Paths;
use crate::sys::process::{Finished, Job};

/// What is between TERM and KILL.
const GRACE: Duration = Duration::from_secs(10);

/// What a script that fails means for those after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failing {
    /// They do not run: the first no is the answer.
    Stops,
    /// They run all the same: each is told.
    GoesOn,
}

/// One script that ran.
#[derive(Debug)]
pub struct Ran {
    /// Its name in the directory.
    pub name: String,
    /// How it ended, and what it said.
    pub finished: Finished,
}

/// Judges every script of a directory and returns their names in the order in which they would run. A directory that is not there
/// holds no scripts.
///
/// # Errors
/// [`Error::Refused`](crate::error::Error::Refused) with the first that is unfit, and why.
pub fn judge_dir(paths: &Paths, dir: &Path) -> Result<Vec<String>> {
    let listed = list(paths, dir, &Whose::Root)?.unwrap_or_default();
    Ok(listed.scripts.into_iter().map(|script| script.name).collect())
}

/// Runs the scripts of a directory one after the other, each with these arguments and environment, in `/`, without input, and
/// no longer than `timeout`. All are judged before the first one runs, and each again just before it does. A directory
/// that is not there holds no scripts.
///
/// # Errors
/// [`Error::Refused`](crate::error::Error::Refused) if one is unfit, an error if one cannot be started. How one ended is a result.
pub fn run_dir(
    paths: &Paths,
    dir: &Path,
    args: &[&str],
    env: &[(&str, &str)],
    timeout: Duration,
    failing: Failing,
) -> Result<Vec<Ran>> {
    let names = judge_dir(paths, dir)?;
    let mut ran = Vec::with_capacity(names.len());
    for name in names {
        let script = Script::judge(paths, &dir.join(&name), &Whose::Root)?;
        let words = std::iter::once(script.program.as_os_str()).chain(args.iter().map(AsRef::as_ref));
        let mut job = Job::new(words).inside(paths.root()).deadline(timeout, GRACE);
        for (key, value) in env {
            job = job.env(key, value);
        }
        script.check(paths)?;
        let finished = job.run()?;
        let goes_on = finished.is_success() || failing == Failing::GoesOn;
        ran.push(Ran { name, finished });
        if !goes_on {
            break;
        }
    }
    Ok(ran)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::process::Ended;
    use std::os::unix::fs::PermissionsExt;

    const SOON: Duration = Duration::from_secs(10);

    fn scripts(bodies: &[(&str, &str, u32)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, body, mode) in bodies {
            let path = dir.path().join(name);
            std::fs::write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(*mode)).unwrap();
        }
        dir
    }

    fn run(dir: &Path, failing: Failing) -> Result<Vec<Ran>> {
        run_dir(&Paths::system(), dir, &["now"], &[("PATCH_RUN", "7")], SOON, failing)
    }

    #[test]
    fn scripts_run_in_the_order_of_their_names_with_what_they_are_given() {
        let dir =
            scripts(&[("20-b", "echo b $1 $PATCH_RUN", 0o755), ("10-a", "pwd", 0o755), ("30-c~", "echo c", 0o755)]);
        let ran = run(dir.path(), Failing::Stops).unwrap();
        let said: Vec<_> = ran.iter().map(|r| (r.name.as_str(), r.finished.text())).collect();
        assert_eq!(said, [("10-a", "/\n".to_string()), ("20-b", "b now 7\n".to_string())]);
    }

    #[test]
    fn the_first_no_is_the_answer_or_all_are_asked() {
        let dir = scripts(&[("a", "exit 3", 0o755), ("b", "exit 0", 0o755)]);
        let ran = run(dir.path(), Failing::Stops).unwrap();
        assert_eq!((ran.len(), ran[0].finished.ended), (1, Ended::Code(3)));
        assert_eq!(run(dir.path(), Failing::GoesOn).unwrap().len(), 2);
    }

    #[test]
    fn one_unfit_script_stops_all_before_the_first_has_run() {
        let dir = scripts(&[("a", "touch ran", 0o755), ("b", "", 0o644)]);
        assert!(run(dir.path(), Failing::GoesOn).is_err());
        assert!(!dir.path().join("ran").exists());
    }

    #[test]
    fn a_script_has_its_time_and_no_more() {
        let dir = scripts(&[("a", "sleep 600", 0o755)]);
        let paths = Paths::system();
        let ran = run_dir(&paths, dir.path(), &[], &[], Duration::from_millis(50), Failing::Stops).unwrap();
        assert_eq!(ran[0].finished.ended, Ended::Deadline);
    }

    #[test]
    fn a_directory_that_is_not_there_holds_no_scripts() {
        assert!(run(Path::new("/nonexistent/confirm.d"), Failing::Stops).unwrap().is_empty());
    }
}
