//! A mail before it is composed: an event, in words.

use std::fmt::Write;

use crate::config::post::is_domain;
use crate::sys::clock::Moment;

/// A file that goes with a mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// What the reader sees as its name.
    pub name: String,
    /// Its content; text goes as text, anything else as base64.
    pub bytes: Vec<u8>,
}

/// A mail before it is composed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Unique for the event: the same event posted again is not mailed again.
    pub id: String,
    /// One line; what happened and where stands first.
    pub subject: String,
    /// Plain text.
    pub body: String,
    /// Files that go with it.
    pub attachments: Vec<Attachment>,
    /// When it happened.
    pub date: Moment,
    /// Where it happened.
    pub host: String,
}

impl Message {
    /// The Message-ID, with its brackets. It is made of nothing but id and host, so that a mail that comes twice can be known
    /// again. What RFC 5322 does not allow in its left part is written `=3A`.
    pub fn message_id(&self) -> String {
        let mut left = String::with_capacity(self.id.len());
        let bytes = self.id.as_bytes();
        for (at, &byte) in bytes.iter().enumerate() {
            let inner_dot = byte == b'.' && at > 0 && bytes[at - 1] != b'.' && at + 1 < bytes.len();
            if byte.is_ascii_alphanumeric() || b"+_~-".contains(&byte) || inner_dot {
                left.push(char::from(byte));
            } else {
                let _ = write!(left, "={byte:02X}");
            }
        }
        format!("<{left}@{}>", domain(&self.host))
    }
}

/// A host's name as the domain of an address. A name that no address can have must not stop a mail: what does not fit is
/// written as a hyphen.
pub fn domain(host: &str) -> String {
    let fitting: String =
        host.chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' }).take(253).collect();
    let labels: Vec<&str> =
        fitting.split('.').map(|label| label.trim_matches('-')).filter(|label| !label.is_empty()).collect();
    let name = labels.join(".");
    if is_domain(&name) { name } else { "localhost".into() }
}

/// A text with nothing in it that moves a cursor or ends a header: one line, blanks for what else is white.
pub fn one_line(text: &str) -> String {
    let plain: String = text.chars().map(|c| if c.is_control() || is_line_end(c) { ' ' } else { c }).collect();
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A text of lines whose only control characters are newlines and tabs.
pub fn lines(text: &str) -> String {
    let unix = text.replace("\r\n", "\n");
    unix.chars().map(|c| if c.is_control() && c != '\n' && c != '\t' { '\u{fffd}' } else { c }).collect()
}

/// Unicode's own line ends.
fn is_line_end(c: char) -> bool {
    matches!(c, '\u{2028}' | '\u{2029}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_id(id: &str) -> String {
        let date = crate::sys::clock::parse("2026-11-21T02:00:07Z").unwrap();
        let message = Message {
            id: id.into(),
            subject: String::new(),
            body: String::new(),
            attachments: Vec::new(),
            date,
            host: "web01".into(),
        };
        message.message_id()
    }

    #[test]
    fn a_message_id_is_the_id_and_the_host() {
        assert_eq!(with_id("20261121T020007Z-812"), "<20261121T020007Z-812@web01>");
        assert_eq!(with_id("a.b:c"), "<a.b=3Ac@web01>");
        assert_eq!(with_id(".a..b."), "<=2Ea.=2Eb=2E@web01>");
    }

    #[test]
    fn every_host_name_makes_a_domain() {
        for (host, as_domain) in [
            ("web01.example.org", "web01.example.org"),
            ("web_01", "web-01"),
            ("-x-..y~", "x.y"),
            ("", "localhost"),
            ("...", "localhost"),
        ] {
            assert_eq!(domain(host), as_domain, "{host}");
        }
    }

    #[test]
    fn a_line_stays_one_line_and_moves_no_cursor() {
        assert_eq!(one_line("a\r\nBcc: x\u{1b}[2Jb\u{2028}c"), "a Bcc: x [2Jb c");
        assert_eq!(lines("a\r\nb\u{1b}[2J\0"), "a\nb\u{fffd}[2J\u{fffd}");
    }
}
