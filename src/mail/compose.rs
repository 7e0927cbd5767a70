//! From a message to the bytes that go over the wire (RFC 5322, MIME).
//!
//! The result is all ASCII with lines that every relay takes, so it needs no extension of SMTP. It is made once, when the
//! message is spooled: delivering it again later needs no configuration and gives the same bytes.

use std::fmt::Write;

use lettre::Address;
use lettre::message::header::{
    ContentTransferEncoding, ContentType, Header, HeaderName, HeaderValue, MessageId, Subject,
};
use lettre::message::{Body, Mailbox, MaybeString, MultiPart, SinglePart};
use sha2::{Digest, Sha256};

use super::message::{self, Attachment, Message, domain};
use crate::config::Mail;
use crate::error::{Error, Result};

/// A composed mail with its envelope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// The message's id, which is its name in the spool.
    pub id: String,
    /// The host it comes from.
    pub host: String,
    /// The envelope's sender.
    pub from: String,
    /// The envelope's recipients.
    pub to: Vec<String>,
    /// The complete message, lines ended by CRLF.
    pub bytes: Vec<u8>,
}

/// A subject is not longer than this: more is not seen anywhere, and the body says it whole.
const SUBJECT: usize = 150;

/// Composes a message for the administrators of the configuration.
///
/// # Errors
/// [`Error::Usage`] for an address that cannot be used.
pub fn letter(message: &Message, mail: &Mail) -> Result<Letter> {
    letter_to(message, mail, &mail.to)
}

/// Composes a message for these recipients: addresses, or names on this host.
///
/// # Errors
/// As [`letter`].
pub fn letter_to(message: &Message, mail: &Mail, to: &[String]) -> Result<Letter> {
    let from = address(mail.from.as_deref().unwrap_or("patchflag"), &message.host)?;
    let mut recipients: Vec<Address> = Vec::new();
    for name in to {
        let recipient = address(name, &message.host)?;
        if !recipients.contains(&recipient) {
            recipients.push(recipient);
        }
    }
    let mut builder = lettre::Message::builder()
        .date(message.date.into())
        .from(Mailbox::new(Some(format!("patchflag {}", domain(&message.host))), from.clone()))
        .header(Subject::from(subject(&message.subject)))
        .header(MessageId::from(message.message_id()))
        .header(AutoSubmitted)
        .header(ListId(from.domain().to_string()))
        .header(Precedence)
        .header(AutoResponseSuppress);
    for recipient in &recipients {
        builder = builder.to(Mailbox::new(None, recipient.clone()));
    }
    let body = message::lines(&message.body);
    let composed = if message.attachments.is_empty() {
        // Alone, the part is followed by the end of its last line; among others, by what separates them.
        builder.singlepart(text_part(body.trim_end_matches('\n').to_string()))
    } else {
        let whole = MultiPart::mixed().boundary(boundary(message)).singlepart(text_part(body));
        builder.multipart(message.attachments.iter().fold(whole, |whole, file| whole.singlepart(attached(file))))
    };
    let composed = composed.map_err(|why| Error::failed("compose mail", &message.id, why))?;
    Ok(Letter {
        id: message.id.clone(),
        host: domain(&message.host),
        from: from.to_string(),
        to: recipients.iter().map(ToString::to_string).collect(),
        bytes: composed.formatted(),
    })
}

fn address(name: &str, host: &str) -> Result<Address> {
    let full = if name.contains('@') { name.to_string() } else { format!("{name}@{}", domain(host)) };
    // The configuration took only such addresses; those on a command line are judged here.
    let fit = crate::config::post::address(&full).map_err(Error::Usage)?;
    fit.parse().map_err(|why| Error::Usage(format!("cannot use mail address {full}: {why}")))
}

fn subject(text: &str) -> String {
    let line = message::one_line(text);
    if line.chars().count() <= SUBJECT {
        return line;
    }
    line.chars().take(SUBJECT - 3).chain("...".chars()).collect()
}

fn text_part(text: String) -> SinglePart {
    SinglePart::builder().header(ContentType::TEXT_PLAIN).body(text)
}

fn attached(file: &Attachment) -> SinglePart {
    let name = message::one_line(&file.name);
    let attachment = lettre::message::Attachment::new(name);
    match std::str::from_utf8(&file.bytes) {
        // As text, so that it can be read without tools. Its line ends become CRLF and come back as newlines.
        Ok(text) if is_text(text) => attachment.body(text.to_string(), ContentType::TEXT_PLAIN),
        _ => attachment.body(base64(&file.bytes), octets()),
    }
}

fn is_text(text: &str) -> bool {
    text.chars().all(|c| !c.is_control() || c == '\n' || c == '\t')
}

fn octets() -> ContentType {
    ContentType::parse("application/octet-stream").unwrap_or(ContentType::TEXT_PLAIN)
}

fn base64(bytes: &[u8]) -> Body {
    // Base64 fits anything; the other arm is never taken.
    Body::new_with_encoding(MaybeString::Binary(bytes.to_vec()), ContentTransferEncoding::Base64)
        .unwrap_or_else(|bytes| Body::new(MaybeString::Binary(bytes)))
}

/// The same for the same message, and not to be met in it: who wrote a text could not know the digest of the whole.
fn boundary(message: &Message) -> String {
    let mut digest = Sha256::new();
    digest.update(message.id.as_bytes());
    digest.update(message.body.as_bytes());
    for file in &message.attachments {
        digest.update(&file.bytes);
    }
    let mut text = String::from("=_patchflag_");
    for byte in digest.finalize().iter().take(20) {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// A header that lettre does not know.
macro_rules! header {
    ($type:ident, $name:literal, $value:expr) => {
        impl Header for $type {
            fn name() -> HeaderName {
                HeaderName::new_from_ascii_str($name)
            }
            fn parse(_: &str) -> std::result::Result<Self, Box<dyn std::error::Error + Send + Sync>> {
                Err("it is only written".into())
            }
            fn display(&self) -> HeaderValue {
                let value: fn(&Self) -> String = $value;
                HeaderValue::new(Self::name(), value(self))
            }
        }
    };
}

/// RFC 3834: no robot answers.
#[derive(Clone)]
struct AutoSubmitted;
header!(AutoSubmitted, "Auto-Submitted", |_| "auto-generated".into());

/// RFC 2919: what filters sort by.
#[derive(Clone)]
struct ListId(String);
header!(ListId, "List-Id", |list| format!("<patchflag.{}>", list.0));

/// Not in any RFC; old vacation programs look at it.
#[derive(Clone)]
struct Precedence;
header!(Precedence, "Precedence", |_| "bulk".into());

/// The same for Exchange.
#[derive(Clone)]
struct AutoResponseSuppress;
header!(AutoResponseSuppress, "X-Auto-Response-Suppress", |_| "All".into());

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn message(subject: &str, body: &str, file: Option<&[u8]>) -> Message {
        Message {
            id: "20261121T020007Z-812".into(),
            subject: subject.into(),
            body: body.into(),
            attachments: file
                .map(|f| Attachment { name: "patchlog.txt".into(), bytes: f.to_vec() })
                .into_iter()
                .collect(),
            date: crate::sys::clock::parse("2026-11-21T02:00:07Z").unwrap(),
            host: "web01".into(),
        }
    }

    fn text(message: &Message) -> String {
        String::from_utf8(letter(message, &Mail::default()).unwrap().bytes).unwrap()
    }

    fn head(text: &str) -> Vec<&str> {
        text.split("\r\n\r\n").next().unwrap().split("\r\n").collect()
    }

    #[test]
    fn the_header_says_that_a_robot_wrote_and_when() {
        let mail = text(&message("web01 patched", "All well.\n", None));
        for line in [
            "Date: Sat, 21 Nov 2026 02:00:07 +0000",
            "From: \"patchflag web01\" <patchflag@web01>",
            "To: root@web01",
            "Subject: web01 patched",
            "Message-ID: <20261121T020007Z-812@web01>",
            "Auto-Submitted: auto-generated",
            "List-Id: <patchflag.web01>",
            "Precedence: bulk",
            "X-Auto-Response-Suppress: All",
        ] {
            assert!(head(&mail).contains(&line), "{line} is not in\n{mail}");
        }
    }

    #[test]
    fn the_same_message_gives_the_same_bytes() {
        let one = message("s", "b", Some(b"state=installed\n"));
        assert_eq!(text(&one), text(&one));
        assert!(text(&one).contains("\r\nstate=installed\r\n"), "the journal can be read without tools");
    }

    #[test]
    fn plain_names_are_completed_and_nobody_is_named_twice() {
        let to = ["root".to_string(), "ops@example.org".into(), "root@web01".into()];
        let letter = letter_to(&message("s", "b", None), &Mail::default(), &to).unwrap();
        assert_eq!(letter.to, ["root@web01", "ops@example.org"]);
        assert_eq!(letter.from, "patchflag@web01");
    }

    #[test]
    fn an_address_that_is_an_option_of_sendmail_is_refused() {
        let to = ["-oQ/tmp".to_string()];
        assert!(matches!(letter_to(&message("s", "b", None), &Mail::default(), &to), Err(Error::Usage(_))));
    }

    proptest! {
        #[test]
        fn nobody_adds_a_header_or_a_part(subject in any::<String>(), id in any::<String>(), host in any::<String>(),
                                         name in any::<String>(), file in any::<Vec<u8>>()) {
            let mut hostile = message(&subject, "body\r\n.\r\nQUIT", Some(&file));
            hostile.id = id;
            hostile.host = host;
            hostile.attachments[0].name = name;
            let mail = text(&hostile);
            prop_assert!(mail.is_ascii());
            prop_assert!(mail.split("\r\n").all(|line| !line.contains(['\r', '\n']) && line.len() <= 998));
            let names: Vec<&str> =
                head(&mail).iter().filter(|l| !l.starts_with([' ', '\t'])).map(|l| l.split(':').next().unwrap()).collect();
            prop_assert_eq!(names, ["Date", "From", "Subject", "Message-ID", "Auto-Submitted", "List-Id", "Precedence",
                "X-Auto-Response-Suppress", "To", "MIME-Version", "Content-Type"]);
            let separator = format!("--{}", boundary(&hostile));
            prop_assert_eq!(mail.matches(&separator).count(), 3);
        }

        #[test]
        fn whatever_the_configuration_takes_as_an_address_can_be_mailed_to(name in "[a-z0-9._+=~&'@-]{1,40}", host in any::<String>()) {
            if crate::config::post::address(&name).is_ok() {
                let mut mail = message("s", "b", None);
                mail.host = host;
                prop_assert!(letter_to(&mail, &Mail::default(), &[name]).is_ok());
            }
        }
    }
}
