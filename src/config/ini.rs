//! The INI dialect of Python's configparser, as its documentation and its behaviour have it: `=` or `:`, whole-line comments by
//! `#` and `;` (an inline one is part of the value), indented continuation lines, `[DEFAULT]`, `%(key)s` and `%%`, keys in
//! lower case, repeated sections and keys refused. Source: docs.python.org, configparser, "Supported INI File Structure".

use std::collections::HashMap;

use crate::error::{Error, Result};

/// How deep `%(key)s` may lead from key to key, as in configparser.
const DEPTH: usize = 10;

/// A parsed file, values not yet interpolated.
#[derive(Debug)]
pub struct Ini {
    file: String,
    sections: Vec<RawSection>,
    defaults: HashMap<String, Raw>,
}

#[derive(Debug)]
struct RawSection {
    name: String,
    line: usize,
    keys: HashMap<String, Raw>,
}

#[derive(Debug)]
struct Raw {
    lines: Vec<String>,
    line: usize,
}

/// A value with the line it stands on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value {
    /// The text, interpolated.
    pub text: String,
    /// The line of its key, from 1.
    pub line: usize,
}

/// Where the parser stands: no section yet, the defaults, or a section by its index.
#[derive(Clone, Copy)]
enum Place {
    Nowhere,
    Defaults,
    Section(usize),
}

impl Ini {
    /// Parses a text; `file` is for the messages.
    ///
    /// # Errors
    /// [`Error::Usage`] with the line.
    pub fn parse(text: &str, file: &str) -> Result<Self> {
        let mut ini = Self { file: file.to_string(), sections: Vec::new(), defaults: HashMap::new() };
        let mut place = Place::Nowhere;
        let mut key: Option<String> = None;
        let mut indent = 0;
        for (number, line) in lines(text) {
            let value = line.trim();
            if value.starts_with(['#', ';']) {
                continue;
            }
            if value.is_empty() {
                if let Some(raw) = key.as_ref().and_then(|k| ini.raw_mut(place, k)) {
                    raw.lines.push(String::new());
                }
                continue;
            }
            let depth = line.chars().take_while(|c| c.is_whitespace()).count();
            if depth > indent
                && let Some(raw) = key.as_ref().and_then(|k| ini.raw_mut(place, k))
            {
                raw.lines.push(value.to_string());
                continue;
            }
            indent = depth;
            if let Some(name) = header(value) {
                place = ini.enter(name, number)?;
                key = None;
            } else {
                key = Some(ini.add(place, value, number)?);
            }
        }
        Ok(ini)
    }

    fn enter(&mut self, name: &str, line: usize) -> Result<Place> {
        if name == "DEFAULT" {
            return Ok(Place::Defaults);
        }
        if let Some(first) = self.sections.iter().find(|s| s.name == name) {
            let words = format!("section [{name}] is already on line {}; join them", first.line);
            return Err(self.wrong(line, &words));
        }
        self.sections.push(RawSection { name: name.to_string(), line, keys: HashMap::new() });
        Ok(Place::Section(self.sections.len() - 1))
    }

    fn add(&mut self, place: Place, text: &str, line: usize) -> Result<String> {
        if matches!(place, Place::Nowhere) {
            let words = match text.strip_prefix('\u{feff}') {
                Some(_) => "it begins with a byte order mark; save it as UTF-8 without one",
                None => "a key before the first [section]",
            };
            return Err(self.wrong(line, words));
        }
        let Some((key, value)) = text.split_once(['=', ':']) else {
            return Err(self.wrong(line, &format!("neither a [section] nor key = value: {text:?}")));
        };
        let key = key.trim().to_lowercase();
        if key.is_empty() {
            return Err(self.wrong(line, "a value without a key"));
        }
        let keys = match place {
            Place::Section(index) => &mut self.sections[index].keys,
            Place::Defaults | Place::Nowhere => &mut self.defaults,
        };
        if let Some(first) = keys.get(&key) {
            let words = format!("key {key} is already on line {}; keep one of them", first.line);
            return Err(self.wrong(line, &words));
        }
        keys.insert(key.clone(), Raw { lines: vec![value.trim().to_string()], line });
        Ok(key)
    }

    fn raw_mut(&mut self, place: Place, key: &str) -> Option<&mut Raw> {
        match place {
            Place::Section(index) => self.sections[index].keys.get_mut(key),
            Place::Defaults => self.defaults.get_mut(key),
            Place::Nowhere => None,
        }
    }

    fn wrong(&self, line: usize, words: &str) -> Error {
        Error::Usage(format!("{}:{line}: {words}", self.file))
    }

    /// The name of the file, for messages.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The sections in the order of the file, `[DEFAULT]` left out.
    pub fn section_names(&self) -> impl Iterator<Item = &str> {
        self.sections.iter().map(|s| s.name.as_str())
    }

    /// The line of a section's header, from 1; 0 if there is no such section.
    pub fn section_line(&self, name: &str) -> usize {
        self.section(name).map_or(0, |s| s.line)
    }

    /// The keys that a section has of its own, with their lines.
    pub fn own_keys(&self, section: &str) -> impl Iterator<Item = (&str, usize)> {
        self.section(section).into_iter().flat_map(|s| s.keys.iter().map(|(key, raw)| (key.as_str(), raw.line)))
    }

    /// A value, from the section or else from the defaults, interpolated.
    ///
    /// # Errors
    /// [`Error::Usage`] if the interpolation is wrong.
    pub fn get(&self, section: &str, key: &str) -> Result<Option<Value>> {
        let Some(raw) = self.raw(section, key) else { return Ok(None) };
        let text = self.interpolate(section, key, &raw.text(), raw.line, 1)?;
        Ok(Some(Value { text, line: raw.line }))
    }

    fn section(&self, name: &str) -> Option<&RawSection> {
        self.sections.iter().find(|s| s.name == name)
    }

    fn raw(&self, section: &str, key: &str) -> Option<&Raw> {
        self.section(section).and_then(|s| s.keys.get(key)).or_else(|| self.defaults.get(key))
    }

    fn interpolate(&self, section: &str, key: &str, text: &str, line: usize, depth: usize) -> Result<String> {
        if depth > DEPTH {
            return Err(self.wrong(line, &format!("the value of {key} leads from key to key without end")));
        }
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find('%') {
            out.push_str(&rest[..at]);
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix('%') {
                out.push('%');
                rest = after;
            } else if let Some((name, after)) = rest.strip_prefix('(').and_then(|r| r.split_once(")s")) {
                let name = name.to_lowercase();
                let raw = self.raw(section, &name).ok_or_else(|| {
                    self.wrong(line, &format!("the value of {key} names %({name})s, which is not set"))
                })?;
                out.push_str(&self.interpolate(section, &name, &raw.text(), line, depth + 1)?);
                rest = after;
            } else {
                return Err(self.wrong(line, &format!("a % in the value of {key}; write %% if it is meant")));
            }
        }
        out.push_str(rest);
        Ok(out)
    }
}

impl Raw {
    fn text(&self) -> String {
        self.lines.join("\n").trim_end().to_string()
    }
}

/// Lines with their numbers, ended as Python's universal newlines end them.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut rest = text;
    let split = std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = rest.find(['\n', '\r']).unwrap_or(rest.len());
        let line = &rest[..end];
        rest = &rest[end..];
        rest = rest.strip_prefix("\r\n").or_else(|| rest.strip_prefix(['\n', '\r'])).unwrap_or(rest);
        Some(line)
    });
    split.enumerate().map(|(index, line)| (index + 1, line))
}

/// `[name]`, with whatever may follow the last bracket, as configparser takes it.
fn header(value: &str) -> Option<&str> {
    let inner = value.strip_prefix('[')?;
    let end = inner.rfind(']')?;
    (end > 0).then(|| &inner[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(text: &str, section: &str, key: &str) -> Option<String> {
        Ini::parse(text, "f").unwrap().get(section, key).unwrap().map(|v| v.text)
    }

    #[test]
    fn inline_comments_belong_to_the_value() {
        assert_eq!(get("[a]\nsecret = abc #x\n# whole line\n", "a", "secret").unwrap(), "abc #x");
    }

    #[test]
    fn indented_lines_go_on() {
        assert_eq!(get("[a]\nk = one\n  two\n\n  three\nl = x\n", "a", "k").unwrap(), "one\ntwo\n\nthree");
    }

    #[test]
    fn values_are_interpolated_from_their_section_and_the_defaults() {
        let text = "[DEFAULT]\nhost = h\n[a]\nurl = http://%(host)s/%(dir)s\ndir = d%%\n";
        assert_eq!(get(text, "a", "url").unwrap(), "http://h/d%");
    }

    #[test]
    fn what_configparser_refuses_is_refused_with_its_line() {
        for (text, words) in [
            ("k = v\n", "f:1: a key before"),
            ("\u{feff}[a]\nk = v\n", "f:1: it begins with a byte order mark"),
            ("[a]\nk = 1\nk = 2\n", "f:3: key k is already on line 2"),
            ("[a]\n[a]\n", "f:2: section [a] is already on line 1"),
            ("[a]\nnonsense\n", "f:2: neither"),
            ("[a]\n= v\n", "f:2: a value without a key"),
        ] {
            let error = Ini::parse(text, "f").unwrap_err().to_string();
            assert!(error.starts_with(words), "{error}");
        }
    }

    #[test]
    fn a_bare_percent_sign_and_an_endless_chain_are_refused() {
        let ini = Ini::parse("[a]\nk = 5%\nl = %(m)s\nm = %(l)s\nn = %(o)s\n", "f").unwrap();
        for key in ["k", "l", "n"] {
            assert!(ini.get("a", key).is_err(), "{key}");
        }
    }
}
