//! Stanzas of fields: the format of `Packages` and `Release` (deb822(5)).

use crate::error::{Error, Result};

/// One stanza. Values are as they stand in the text, continuation lines included.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stanza<'a> {
    fields: Vec<(&'a str, &'a str)>,
}

impl<'a> Stanza<'a> {
    /// The value of a field; the case of its name does not count.
    pub fn get(&self, name: &str) -> Option<&'a str> {
        self.fields.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| *value)
    }

    /// The fields in their order.
    pub fn fields(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.fields.iter().copied()
    }
}

/// The stanzas of a text, parted by empty lines; `file` is for the messages.
///
/// # Errors
/// [`Error::Refused`] with file and line for a line that belongs to no field, or a field that comes twice.
pub fn stanzas<'a>(text: &'a str, file: &str) -> Result<Vec<Stanza<'a>>> {
    let mut all = Vec::new();
    let mut reader = Reader { text, stanza: Stanza::default(), open: None };
    let mut at = 0;
    for (index, line) in text.split_inclusive('\n').enumerate() {
        let content = line.trim_end_matches(['\n', '\r']);
        if content.trim().is_empty() {
            reader.close_stanza(&mut all);
        } else {
            let wrong = |why: &str| Error::refused(format!("{file}:{}", index + 1), why);
            reader.line(at, content).map_err(wrong)?;
        }
        at += line.len();
    }
    reader.close_stanza(&mut all);
    Ok(all)
}

struct Reader<'a> {
    text: &'a str,
    stanza: Stanza<'a>,
    /// The field that may go on: its name, and where in the text its value lies.
    open: Option<(&'a str, usize, usize)>,
}

impl<'a> Reader<'a> {
    fn line(&mut self, at: usize, content: &'a str) -> std::result::Result<(), &'static str> {
        if content.starts_with([' ', '\t']) {
            let (_, _, end) = self.open.as_mut().ok_or("it continues no field")?;
            *end = at + content.len();
            return Ok(());
        }
        self.close_field();
        let (name, _) = content.split_once(':').ok_or("it is no field: it has no colon")?;
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_graphic()) {
            return Err("it is no field: its name is odd");
        }
        if self.stanza.get(name).is_some() {
            return Err("the field comes twice");
        }
        self.open = Some((name, at + name.len() + 1, at + content.len()));
        Ok(())
    }

    fn close_field(&mut self) {
        if let Some((name, from, to)) = self.open.take() {
            self.stanza.fields.push((name, self.text[from..to].trim()));
        }
    }

    fn close_stanza(&mut self, all: &mut Vec<Stanza<'a>>) {
        self.close_field();
        if !self.stanza.fields.is_empty() {
            all.push(std::mem::take(&mut self.stanza));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn fields_may_go_on_and_stanzas_end_at_empty_lines() {
        let text = "Package: a\nDescription: short\n long\n .\n more\n\n \nPackage: b\r\nSize:1\n";
        let all = stanzas(text, "f").unwrap();
        assert_eq!(all.len(), 2);
        assert_eq!(all[0].get("description"), Some("short\n long\n .\n more"));
        assert_eq!((all[1].get("PACKAGE"), all[1].get("Size"), all[1].get("X")), (Some("b"), Some("1"), None));
    }

    #[test]
    fn a_line_that_is_no_field_is_named() {
        for (text, line) in [("A: 1\nnonsense\n", 2), (" leading\n", 1), ("A: 1\na: 2\n", 2), ("A: 1\n: 2\n", 2)] {
            let words = stanzas(text, "f").unwrap_err().to_string();
            assert!(words.starts_with(&format!("refusing f:{line}: ")), "{words}");
        }
    }

    proptest! {
        #[test]
        fn no_text_upsets_it(text in "([A-Ca: \u{e9}\r\t.]{0,6}\n){0,8}") {
            let _ = stanzas(&text, "f");
        }

        #[test]
        fn what_was_written_is_read(values in proptest::collection::vec("[!-~]{1,8}(\n [!-~]{1,8}){0,2}", 1..6)) {
            let lines: Vec<String> = values.iter().enumerate().map(|(n, value)| format!("F{n}: {value}")).collect();
            let text = lines.join("\n");
            let all = stanzas(&text, "f").unwrap();
            let read: Vec<&str> = all[0].fields().map(|(_, value)| value).collect();
            prop_assert_eq!(read, values.iter().map(String::as_str).collect::<Vec<_>>());
        }
    }
}
