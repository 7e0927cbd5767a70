//! Which names of a directory run, and in which order. Pure.

/// What editors and package managers leave beside a script.
const LEFTOVERS: [&str; 5] = ["~", ".bak", ".rpmsave", ".rpmnew", ".rpmorig"];

/// The names that run, in their order: by bytes, so that it is the same in every locale.
pub fn select(names: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut names: Vec<String> = names.into_iter().filter(|name| is_script(name)).collect();
    names.sort();
    names
}

/// Whether a name is a script's and not something left over.
pub fn is_script(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with('.')
        && !name.contains(".dpkg-")
        && !LEFTOVERS.iter().any(|leftover| name.ends_with(leftover))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leftovers_and_hidden_files_do_not_run() {
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
            "",
            "README",
        ];
        assert_eq!(select(names.map(String::from)), ["10-dnf", "20-web", "README"]);
    }
}
