//! logfmt: `key=value key="value with spaces" word`, one record a line.
//!
//! Anything can be put into a value and comes back as it was; a line never holds a newline or another control character, so that
//! a journal can be read with `cat` on any terminal. Source: brandur.org/logfmt, and what the journal needs on top: escapes.

use std::fmt::Write;

/// Appends ` key=value` (no space at the start of a line). An empty value is written `""`.
pub fn push(line: &mut String, key: &str, value: &str) {
    push_word(line, key);
    line.push('=');
    if is_bare(value) {
        line.push_str(value);
    } else {
        quote(line, value);
    }
}

/// Appends a bare word, such as `done`.
pub fn push_word(line: &mut String, word: &str) {
    if !line.is_empty() {
        line.push(' ');
    }
    line.push_str(word);
}

fn is_bare(value: &str) -> bool {
    !value.is_empty() && value.chars().all(|c| !c.is_whitespace() && !c.is_control() && !matches!(c, '"' | '=' | '\\'))
}

fn quote(line: &mut String, value: &str) {
    line.push('"');
    for c in value.chars() {
        match c {
            '"' => line.push_str("\\\""),
            '\\' => line.push_str("\\\\"),
            '\n' => line.push_str("\\n"),
            '\t' => line.push_str("\\t"),
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') => {
                let _ = write!(line, "\\u{{{:x}}}", u32::from(c));
            }
            c => line.push(c),
        }
    }
    line.push('"');
}

/// Reads a line into its pairs; a bare word has an empty value. `None` if it is not logfmt: torn, or never one of ours.
pub fn parse(line: &str) -> Option<Vec<(String, String)>> {
    let mut pairs = Vec::new();
    let mut rest = line.trim_start_matches(' ');
    while !rest.is_empty() {
        let end = rest.find([' ', '=']).unwrap_or(rest.len());
        let key = &rest[..end];
        if key.is_empty() || key.contains(['"', '\\']) || key.chars().any(char::is_control) {
            return None;
        }
        rest = &rest[end..];
        let value = match rest.strip_prefix('=') {
            None => String::new(),
            Some(after) => {
                let (value, left) = value(after)?;
                rest = left;
                value
            }
        };
        pairs.push((key.to_string(), value));
        match rest.chars().next() {
            None => break,
            Some(' ') => rest = rest.trim_start_matches(' '),
            Some(_) => return None,
        }
    }
    Some(pairs)
}

fn value(text: &str) -> Option<(String, &str)> {
    let Some(mut rest) = text.strip_prefix('"') else {
        let end = text.find(' ').unwrap_or(text.len());
        let bare = &text[..end];
        return (!bare.contains(['"', '=', '\\'])).then(|| (bare.to_string(), &text[end..]));
    };
    let mut out = String::new();
    loop {
        let at = rest.find(['"', '\\'])?;
        out.push_str(&rest[..at]);
        if rest[at..].starts_with('"') {
            return Some((out, &rest[at + 1..]));
        }
        let escape = rest[at + 1..].chars().next()?;
        rest = &rest[at + 1 + escape.len_utf8()..];
        match escape {
            'n' => out.push('\n'),
            't' => out.push('\t'),
            'u' => {
                let (code, after) = rest.strip_prefix('{')?.split_once('}')?;
                out.push(char::from_u32(u32::from_str_radix(code, 16).ok()?)?);
                rest = after;
            }
            c @ ('"' | '\\') => out.push(c),
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_record_reads_as_the_documentation_shows_it() {
        let mut line = String::new();
        push(&mut line, "time", "2026-11-21T02:00:07Z");
        push_word(&mut line, "done");
        push(&mut line, "msg", "two words");
        assert_eq!(line, "time=2026-11-21T02:00:07Z done msg=\"two words\"");
    }

    #[test]
    fn torn_lines_are_not_logfmt() {
        for torn in ["msg=\"half", "msg=\"half\\", "=x", "a=b\"c", "k\0=v"] {
            assert!(parse(torn).is_none(), "{torn:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_written_comes_back(pairs in prop::collection::vec(("[a-z_]{1,8}", any::<String>()), 1..6)) {
            let mut line = String::new();
            for (key, value) in &pairs {
                push(&mut line, key, value);
            }
            prop_assert!(!line.chars().any(char::is_control));
            prop_assert_eq!(parse(&line).unwrap(), pairs);
        }

        #[test]
        fn nothing_makes_the_parser_panic(line in any::<String>()) {
            let _ = parse(&line);
        }
    }
}
