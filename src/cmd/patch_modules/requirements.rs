//! What a virtual environment is made of: `requirements.txt`, and whatever of its module that names, such as another file of
//! requirements, a wheel, or a directory of them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::module::sum::{self, Entry, hex};
use crate::module::tree::Tree;

/// Larger files of requirements are not looked through.
const LIMIT: u64 = 1 << 20;

/// By what an environment is known; `None` for a module without requirements.
pub fn made_of(tree: &Tree) -> Option<String> {
    let first = tree.top("requirements.txt")?;
    let mut found: BTreeMap<&[u8], &Entry> = BTreeMap::new();
    let mut next = vec![first];
    while let Some(file) = next.pop() {
        for entry in words(tree, file).iter().flat_map(|word| tree.named(word)) {
            if found.insert(&entry.path, entry).is_none() && entry.path.ends_with(b".txt") {
                next.push(entry);
            }
        }
    }
    // Environments that were made of the one file alone are known by it.
    if found.is_empty() {
        return Some(hex(&first.digest));
    }
    found.insert(&first.path, first);
    let entries: Vec<Entry> = found.into_values().cloned().collect();
    Some(sum::of(&sum::records(&entries)))
}

/// Whatever in a file could be a path of the module, from its top or from beside the file.
fn words(tree: &Tree, file: &Entry) -> Vec<Vec<u8>> {
    let path = tree.at(file);
    if file.size > LIMIT {
        return Vec::new();
    }
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let beside = String::from_utf8_lossy(&file.path).into_owned();
    let beside = beside.rsplit_once('/').map_or("", |(dir, _)| dir);
    let words = text.split(|c: char| c.is_whitespace() || "=@,;\"'".contains(c));
    let words = words.map(|word| word.strip_prefix("file:").unwrap_or(word)).filter(|word| !word.is_empty());
    words.flat_map(|word| [plain("", word), plain(beside, word)]).filter(|word| !word.is_empty()).collect()
}

/// A relative path without dots; nothing for one that leads out.
fn plain(beside: &str, word: &str) -> Vec<u8> {
    let mut plain = PathBuf::new();
    for part in beside.split('/').chain(word.split('/')).filter(|part| !part.is_empty() && *part != ".") {
        if part == ".." {
            plain.pop();
        } else {
            plain.push(part);
        }
    }
    plain.into_os_string().into_encoded_bytes()
}
