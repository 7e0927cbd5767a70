//! Which names of a directory run, and in which order. Pure.

use std::fmt;

/// What editors and package managers leave beside a script.
const LEFTOVERS: [&str; 5] = ["~", ".bak", ".rpmsave", ".rpmnew", ".rpmorig"];

/// Why a name does not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// It begins with a dot.
    Hidden,
    /// An editor or a package manager left it.
    Leftover,
    /// It is a directory: nothing that could run, and nothing that anybody takes for a script.
    Directory,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hidden => "its name begins with a dot",
            Self::Leftover => "an editor or a package manager left it there",
            Self::Directory => "it is a directory",
        })
    }
}

/// The names of a directory, told apart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    /// Those that run, in their order: by bytes, so that it is the same in every locale.
    pub run: Vec<String>,
    /// Those that do not, in the same order.
    pub skipped: Vec<(String, Reason)>,
}

/// Tells the names of a directory apart.
pub fn select(names: impl IntoIterator<Item = String>) -> Names {
    let mut told = Names::default();
    for name in names {
        match skipped(&name) {
            Some(reason) => told.skipped.push((name, reason)),
            None => told.run.push(name),
        }
    }
    told.run.sort();
    told.skipped.sort_by(|a, b| a.0.cmp(&b.0));
    told
}

fn skipped(name: &str) -> Option<Reason> {
    if name.is_empty() || name.starts_with('.') {
        return Some(Reason::Hidden);
    }
    let is_leftover = name.contains(".dpkg-") || LEFTOVERS.iter().any(|leftover| name.ends_with(leftover));
    is_leftover.then_some(Reason::Leftover)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn w33_leftovers_and_hidden_files_do_not_run_and_are_told() {
        let names = [
            "20-web",
            "10-dnf",
            ".hidden",
            "10-dnf~",
            "a.bak",
            "b.rpmsave",
            "c.rpmnew",
            "d.rpmorig",
            "e.dpkg-old",
            "f.dpkg-dist",
            "README",
        ];
        let told = select(names.map(String::from));
        assert_eq!(told.run, ["10-dnf", "20-web", "README"]);
        let skipped: Vec<_> = told.skipped.iter().map(|(name, _)| name.as_str()).collect();
        let all = [".hidden", "10-dnf~", "a.bak", "b.rpmsave", "c.rpmnew", "d.rpmorig", "e.dpkg-old", "f.dpkg-dist"];
        assert_eq!(skipped, all);
        assert_eq!(told.skipped[0].1, Reason::Hidden);
        assert_eq!(told.skipped[1].1, Reason::Leftover);
    }

    #[test]
    fn w32_the_order_is_that_of_the_bytes_whatever_order_the_directory_has() {
        let told = select(["b", "a", "10", "9", "B", "é"].map(String::from));
        assert_eq!(told.run, ["10", "9", "B", "a", "b", "é"]);
    }
}
