//! The checksum of a module, as `patch-manifest(5)` documents it so that other programs can compute it.
//!
//! It is the SHA-256 of one record for each entry of the directory, sorted by path, byte by byte:
//! `TYPE MODE SIZE DIGEST PATH` and a byte 0. TYPE is `d`, `f` or `l`; MODE the permissions in four octal digits, of a link `0777`;
//! SIZE and DIGEST are those of the content: of a file its bytes, of a link its text, of a directory nothing. The regular file
//! `checksum` at the top is left out.

use std::io::Write as _;

use sha2::{Digest as _, Sha256};

/// The file at the top of a module that may hold its checksum, for people; it proves nothing.
pub const FILE: &str = "checksum";

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A directory.
    Directory,
    /// A regular file.
    File,
    /// A symbolic link.
    Link,
}

impl Kind {
    fn letter(self) -> char {
        match self {
            Self::Directory => 'd',
            Self::File => 'f',
            Self::Link => 'l',
        }
    }
}

/// One entry of a module's directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Below the module's directory.
    pub path: Vec<u8>,
    /// What it is.
    pub kind: Kind,
    /// Permissions.
    pub mode: u32,
    /// Bytes of its content.
    pub size: u64,
    /// SHA-256 of its content.
    pub digest: [u8; 32],
}

impl Entry {
    /// Adds its record.
    fn push(&self, records: &mut Vec<u8>) {
        let mode = if self.kind == Kind::Link { 0o777 } else { self.mode & 0o7777 };
        let _ = write!(records, "{} {mode:04o} {} ", self.kind.letter(), self.size); // into memory: cannot fail
        push_hex(records, &self.digest);
        records.push(b' ');
        records.extend_from_slice(&self.path);
        records.push(0);
    }
}

/// The records of a directory, of which the checksum is taken. The entries are sorted.
pub fn records(entries: &[Entry]) -> Vec<u8> {
    let mut records = Vec::with_capacity(entries.iter().map(|entry| entry.path.len() + 96).sum());
    for entry in entries {
        entry.push(&mut records);
    }
    records
}

/// The checksum of these records, in lower-case hexadecimal.
pub fn of(records: &[u8]) -> String {
    hex(&Sha256::digest(records))
}

/// Bytes in lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    let mut text = Vec::with_capacity(bytes.len() * 2);
    push_hex(&mut text, bytes);
    text.into_iter().map(char::from).collect()
}

fn push_hex(text: &mut Vec<u8>, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in bytes {
        text.push(DIGITS[usize::from(byte >> 4)]);
        text.push(DIGITS[usize::from(byte & 15)]);
    }
}

/// What differs between two directories, a line each, in the order of the paths: `+` is new, `-` is gone, `~` is changed.
pub fn differences(before: &[u8], after: &[u8]) -> Vec<String> {
    let (before, after) = (split(before), split(after));
    let mut lines = Vec::new();
    let (mut left, mut right) = (before.iter().peekable(), after.iter().peekable());
    loop {
        let order = match (left.peek(), right.peek()) {
            (None, None) => return lines,
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (Some(old), Some(new)) => old.1.cmp(new.1),
        };
        match order {
            std::cmp::Ordering::Less => lines.extend(left.next().map(|old| line('-', old.1, "gone"))),
            std::cmp::Ordering::Greater => lines.extend(right.next().map(|new| line('+', new.1, "new"))),
            std::cmp::Ordering::Equal => {
                let (Some(old), Some(new)) = (left.next(), right.next()) else { return lines };
                if old.0 != new.0 {
                    lines.push(line('~', new.1, what(old.0, new.0)));
                }
            }
        }
    }
}

fn line(sign: char, path: &[u8], what: &str) -> String {
    format!("{sign} {} ({what})", String::from_utf8_lossy(path))
}

/// Which field of the head differs first.
fn what(old: &[u8], new: &[u8]) -> &'static str {
    let fields = |head| <[u8]>::split(head, |byte| *byte == b' ').collect::<Vec<_>>();
    let (old, new) = (fields(old), fields(new));
    let differs = |at: usize| old.get(at) != new.get(at);
    match (differs(0), differs(1), differs(2) || differs(3)) {
        (true, _, _) => "another kind of file",
        (_, true, true) => "mode and content changed",
        (_, true, false) => "mode changed",
        _ => "content changed",
    }
}

/// Head and path of each record.
fn split(records: &[u8]) -> Vec<(&[u8], &[u8])> {
    let one = |record: &'_ [u8]| -> Option<(usize, usize)> {
        let mut spaces = record.iter().enumerate().filter(|(_, byte)| **byte == b' ').map(|(at, _)| at);
        spaces.nth(3).map(|end| (end, end + 1))
    };
    records
        .split(|byte| *byte == 0)
        .filter_map(|record| one(record).map(|(end, begin)| (&record[..end], &record[begin..])))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, mode: u32, content: &[u8]) -> Entry {
        let digest = Sha256::digest(content).into();
        Entry { path: path.into(), kind: Kind::File, mode, size: content.len() as u64, digest }
    }

    #[test]
    fn the_records_are_those_of_the_manual() {
        let records = records(&[file("index", 0o100_755, b"abc")]);
        let expected = "f 0755 3 ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad index\0";
        assert_eq!(String::from_utf8(records).unwrap(), expected);
        assert_eq!(of(b""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    }

    #[test]
    fn what_changed_is_told_file_by_file() {
        let before = records(&[
            file("a b", 0o644, b"1"),
            file("b", 0o644, b"1"),
            file("c", 0o644, b"1"),
            file("d", 0o644, b"1"),
        ]);
        let after = records(&[
            file("a b", 0o644, b"2"),
            file("c", 0o755, b"1"),
            file("d", 0o644, b"1"),
            file("e", 0o644, b"1"),
        ]);
        let expected = ["~ a b (content changed)", "- b (gone)", "~ c (mode changed)", "+ e (new)"];
        assert_eq!(differences(&before, &after), expected);
        assert!(differences(&after, &after).is_empty());
    }
}
