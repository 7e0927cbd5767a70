//! Where in a text something is, for people: lines and columns from 1, columns in characters.

use crate::error::Error;

/// What is wrong at this byte of a file.
pub fn wrong(text: &str, file: &str, at: usize, words: &str) -> Error {
    let before = text.get(..at).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    Error::Usage(format!("{file}:{line}:{column}: {words}"))
}

/// The names on a way, and of a long one the ends.
pub fn way(names: &[&str]) -> String {
    const SHOWN: usize = 20;
    match names.len().checked_sub(2 * SHOWN) {
        None | Some(0) => names.join(" -> "),
        Some(more) => {
            let (first, last) = (&names[..SHOWN], &names[names.len() - SHOWN..]);
            format!("{} -> ({more} more) -> {}", first.join(" -> "), last.join(" -> "))
        }
    }
}
