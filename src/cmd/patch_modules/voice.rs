//! What a run says: a line a step, and on a terminal where it stands.

use std::fmt::{self, Write};
use std::path::Path;
use std::time::Duration;

use crate::exit;
use crate::module::manifest::Module;

/// How many modules ended how.
#[derive(Debug, Default, Clone, Copy)]
pub struct Counts {
    pub total: usize,
    pub applied: usize,
    pub failed: usize,
    pub skipped: usize,
}

impl Counts {
    /// How many have ended, or will not begin.
    fn ended(&self) -> usize {
        self.applied + self.failed + self.skipped
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} modules applied", self.applied, self.total)?;
        if self.failed > 0 {
            write!(f, ", {} failed", self.failed)?;
        }
        if self.skipped > 0 {
            write!(f, ", {} skipped", self.skipped)?;
        }
        Ok(())
    }
}

/// Where a run stands, in at most so many columns; names of modules have one column a letter.
pub fn progress(counts: &Counts, working: &[&str], columns: usize) -> String {
    let mut line = format!("[{}/{}", counts.ended(), counts.total);
    if counts.failed > 0 {
        let _ = write!(line, ", {} failed", counts.failed); // into memory: cannot fail
    }
    let _ = write!(line, "] {}", working.join(", "));
    if line.len() > columns {
        line = line.chars().take(columns.saturating_sub(1)).chain(['…']).take(columns).collect();
    }
    line
}

/// A module with its version, for people.
pub fn title(module: &Module) -> String {
    let version = module.version.as_ref().map(|version| format!(" {version}")).unwrap_or_default();
    format!("{}{version}", module.name)
}

/// A module begins.
pub fn begins(module: &Module) {
    exit::out(format_args!("{}: begins", title(module)));
}

/// It has succeeded.
pub fn applied(module: &Module, took: Duration, counts: &Counts) {
    let (ended, took) = (counts.ended(), took.as_secs_f64());
    exit::out(format_args!("{}: applied in {took:.1} s ({ended} of {})", title(module), counts.total));
}

/// It has not.
pub fn failed(module: &Module, why: &str, log: &Path) {
    let hint = if log.exists() { format!("; see {}", log.display()) } else { String::new() };
    exit::warn(format_args!("module {} failed: {why}{hint}", title(module)));
}

/// It was not run.
pub fn skipped(module: &Module, why: &str) {
    exit::out(format_args!("{}: skipped: {why}", title(module)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_run_stands_fits_into_the_line() {
        let mut counts = Counts { total: 12, applied: 3, ..Counts::default() };
        assert_eq!(progress(&counts, &["adblock", "gogs"], 80), "[3/12] adblock, gogs");
        counts.failed = 1;
        assert_eq!(progress(&counts, &["adblock", "gogs"], 80), "[4/12, 1 failed] adblock, gogs");
        assert_eq!(progress(&counts, &["adblock", "gogs"], 30), "[4/12, 1 failed] adblock, gogs");
        assert_eq!(progress(&counts, &["adblock", "gogs"], 20), "[4/12, 1 failed] ad…");
        assert_eq!(progress(&counts, &["adblock", "gogs"], 1), "…");
        assert_eq!(progress(&counts, &["adblock", "gogs"], 0), "");
    }
}
