//! The text of a dotenv file, as python-dotenv reads it: `export`, quotes with their escapes, comments behind a blank, values over
//! several lines in quotes, `${NAME}` and `${NAME:-default}`. Source: its documentation and its behaviour, 1.2. Pure.

use std::collections::HashMap;

/// A line that says something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// The key, in the letters it is written with.
    pub key: String,
    /// What it is; nothing if there is not even an equals sign.
    pub value: Option<String>,
    /// Its line, from 1.
    pub line: usize,
}

/// What stands on a line of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Statement {
    /// A key.
    Binding(Binding),
    /// Something that cannot be understood; the line is from 1.
    Nonsense(usize),
}

/// Reads a text. A line that cannot be understood ends there, and the next one is read as if nothing had been.
pub fn parse(text: &str) -> Vec<Statement> {
    let mut reader = Reader { rest: text.strip_prefix('\u{feff}').unwrap_or(text), line: 1 };
    let mut found = Vec::new();
    loop {
        reader.skip(char::is_whitespace);
        if reader.rest.is_empty() {
            return found;
        }
        let line = reader.line;
        match reader.statement() {
            Some(Said::Key(key, value)) => found.push(Statement::Binding(Binding { key, value, line })),
            Some(Said::Nothing) => {}
            None => {
                reader.skip(|c| !is_end(c));
                found.push(Statement::Nonsense(line));
            }
        }
    }
}

/// The values with `${NAME}` replaced: by what the file has said so far, else by the environment, else by the default behind `:-`,
/// else by nothing. The keys that `is_kept` names are left as they stand.
pub fn expand(bindings: &mut [Binding], env: &[(String, String)], is_kept: impl Fn(&str) -> bool) {
    let mut said: HashMap<String, String> = HashMap::new();
    for binding in bindings {
        let Some(value) = &mut binding.value else {
            said.insert(binding.key.clone(), String::new());
            continue;
        };
        let whole = replaced(value, |name| {
            said.get(name).or_else(|| env.iter().find(|(key, _)| key == name).map(|(_, value)| value)).cloned()
        });
        said.insert(binding.key.clone(), whole.clone());
        if !is_kept(&binding.key) {
            *value = whole;
        }
    }
}

/// Whether [`expand`] would change a value.
pub fn has_variable(value: &str) -> bool {
    next_variable(value).is_some()
}

fn replaced(value: &str, find: impl Fn(&str) -> Option<String>) -> String {
    let mut out = String::with_capacity(value.len());
    let mut rest = value;
    while let Some((before, name, default, after)) = next_variable(rest) {
        out.push_str(before);
        out.push_str(&find(name).unwrap_or_else(|| default.unwrap_or_default().to_string()));
        rest = after;
    }
    out.push_str(rest);
    out
}

/// What is before the first variable, its name, its default, and what is behind it.
fn next_variable(text: &str) -> Option<(&str, &str, Option<&str>, &str)> {
    let mut from = 0;
    loop {
        let at = from + text[from..].find("${")?;
        let inner = &text[at + 2..];
        let end = inner.find(['}', ':'])?;
        let (name, behind) = inner.split_at(end);
        if let Some(after) = behind.strip_prefix('}') {
            return Some((&text[..at], name, None, after));
        }
        if let Some((default, after)) = behind.strip_prefix(":-").and_then(|behind| behind.split_once('}')) {
            return Some((&text[..at], name, Some(default), after));
        }
        from = at + 2;
    }
}

/// What a statement says.
enum Said {
    /// A key with its value; without an equals sign it has none.
    Key(String, Option<String>),
    /// A comment.
    Nothing,
}

struct Reader<'a> {
    rest: &'a str,
    line: usize,
}

fn is_end(c: char) -> bool {
    c == '\n' || c == '\r'
}

fn is_blank(c: char) -> bool {
    c.is_whitespace() && !is_end(c)
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    /// Goes on by so many bytes; CR LF is one end of a line.
    fn advance(&mut self, bytes: usize) -> &'a str {
        let (gone, rest) = self.rest.split_at(bytes);
        let ends = gone.matches(['\n', '\r']).count() - gone.matches("\r\n").count();
        (self.rest, self.line) = (rest, self.line + ends);
        gone
    }

    fn skip(&mut self, is_skipped: impl Fn(char) -> bool) -> &'a str {
        self.advance(self.rest.find(|c| !is_skipped(c)).unwrap_or(self.rest.len()))
    }

    /// Nothing if it cannot be understood.
    fn statement(&mut self) -> Option<Said> {
        if let Some(behind) = self.rest.strip_prefix("export")
            && behind.starts_with(is_blank)
        {
            self.advance("export".len());
            self.skip(is_blank);
        }
        if self.peek() == Some('#') {
            self.skip(|c| !is_end(c));
            return Some(Said::Nothing);
        }
        let key = self.key()?;
        self.skip(is_blank);
        let value = if self.peek() == Some('=') {
            self.advance(1);
            let blanks = self.skip(is_blank);
            // Behind a blank a comment begins; without one it is the value.
            let is_comment = !blanks.is_empty() && self.peek() == Some('#');
            Some(if is_comment { String::new() } else { self.value()? })
        } else {
            None
        };
        self.skip(is_blank);
        if self.peek() == Some('#') {
            self.skip(|c| !is_end(c));
        }
        self.peek().is_none_or(is_end).then_some(Said::Key(key, value))
    }

    fn key(&mut self) -> Option<String> {
        if self.peek() == Some('\'') {
            let end = self.rest[1..].find('\'').filter(|end| *end > 0)?;
            return Some(self.advance(end + 2)[1..=end].to_string());
        }
        let key = self.skip(|c| c != '=' && c != '#' && !c.is_whitespace());
        (!key.is_empty()).then(|| key.to_string())
    }

    fn value(&mut self) -> Option<String> {
        match self.peek() {
            Some(quote @ ('\'' | '"')) => self.quoted(quote),
            _ => Some(without_comment(self.skip(|c| !is_end(c))).to_string()),
        }
    }

    fn quoted(&mut self, quote: char) -> Option<String> {
        let mut out = String::new();
        let mut chars = self.rest.char_indices().skip(1);
        while let Some((at, c)) = chars.next() {
            if c == quote {
                self.advance(at + 1);
                return Some(out);
            }
            if c != '\\' {
                out.push(c);
                continue;
            }
            let (_, escaped) = chars.next()?;
            match unescaped(escaped, quote) {
                Some(c) => out.push(c),
                None => out.extend(['\\', escaped]),
            }
        }
        None
    }
}

/// What a character behind a backslash stands for inside these quotes.
fn unescaped(c: char, quote: char) -> Option<char> {
    match c {
        '\\' | '\'' => Some(c),
        _ if quote == '\'' => None,
        '"' => Some('"'),
        'a' => Some('\u{7}'),
        'b' => Some('\u{8}'),
        'f' => Some('\u{c}'),
        'n' => Some('\n'),
        'r' => Some('\r'),
        't' => Some('\t'),
        'v' => Some('\u{b}'),
        _ => None,
    }
}

/// A comment begins at the first `#` behind a blank.
fn without_comment(text: &str) -> &str {
    let comment = text.match_indices('#').map(|(at, _)| at).find(|at| text[..*at].ends_with(char::is_whitespace));
    comment.map_or(text, |at| &text[..at]).trim_end()
}

#[cfg(test)]
mod tests;
