//! A relay, by SMTP (RFC 5321) with lettre; TLS by STARTTLS (RFC 3207) or from the first byte (RFC 8314).
//!
//! The conversation is held here command by command, because every recipient has an answer of its own. A 5xx about the mail or
//! a recipient refuses it; everything else, a failed login included, says nothing about the mail and is tried again.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use lettre::Address;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{Certificate, CertificateStore, SmtpConnection, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail as MailFrom, Rcpt};
use lettre::transport::smtp::extension::ClientId;

use super::delivery::{Trouble, Way};
use super::envelope::{Answer, Envelope};
use super::message::one_line;
use crate::config::{self, Mail, MailTls};
use crate::paths::Paths;
use crate::sys::{secret, trusted};

/// A list of authorities may not be larger than this.
const LIMIT: u64 = 4 << 20;

/// How long the relay may take.
#[derive(Debug, Clone, Copy)]
struct Patience {
    /// For the connection, each address, and the greeting.
    connect: Duration,
    /// For the answer to a command.
    command: Duration,
    /// For the answer to the whole mail. RFC 5321 4.5.3.2.6: giving up early makes duplicates.
    verdict: Duration,
    /// For everything together: a relay that sends a byte a minute is caught here.
    whole: Duration,
}

const PATIENCE: Patience = Patience {
    connect: Duration::from_secs(30),
    command: Duration::from_mins(1),
    verdict: Duration::from_mins(10),
    whole: Duration::from_mins(15),
};

/// The way through a relay.
pub struct Relay {
    host: String,
    port: u16,
    tls: MailTls,
    ca_file: Option<PathBuf>,
    login: Option<(String, PathBuf)>,
    patience: Patience,
}

/// What one conversation needs, complete, so that it can be held by a thread of its own.
struct Call {
    host: String,
    port: u16,
    starttls: Option<TlsParameters>,
    implicit: Option<TlsParameters>,
    credentials: Option<Credentials>,
    hello: ClientId,
    from: Address,
    to: Vec<String>,
    message: Vec<u8>,
    patience: Patience,
}

type Said<T> = Result<T, Trouble>;
type SmtpError = lettre::transport::smtp::Error;

impl Relay {
    /// As configured. Files are read when a mail is carried.
    pub fn new(paths: &Paths, mail: &Mail, relay: &config::Relay) -> Self {
        let usual = match mail.tls {
            MailTls::Starttls => 587,
            MailTls::Implicit => 465,
            MailTls::None => 25,
        };
        let at = |file: &PathBuf| paths.at(file);
        Self {
            host: relay.host.clone(),
            port: relay.port.unwrap_or(usual),
            tls: mail.tls,
            ca_file: mail.ca_file.as_ref().map(at),
            login: mail.user.clone().zip(mail.password_file.as_ref().map(at)),
            patience: PATIENCE,
        }
    }

    fn call(&self, envelope: &Envelope, message: &[u8]) -> Said<Call> {
        let tls = match self.tls {
            MailTls::None => None,
            MailTls::Starttls | MailTls::Implicit => Some(self.tls_parameters()?),
        };
        let (starttls, implicit) = if self.tls == MailTls::Starttls { (tls, None) } else { (None, tls) };
        let credentials = match &self.login {
            Some((user, file)) => Some(Credentials::new(user.clone(), password(file)?)),
            None => None,
        };
        let from = envelope.from.parse().map_err(|why| {
            Trouble::Configuration(format!("cannot use sender {}: {why}; set from in [mail]", envelope.from))
        })?;
        Ok(Call {
            host: self.host.clone(),
            port: self.port,
            starttls,
            implicit,
            credentials,
            hello: ClientId::Domain(envelope.host.clone()),
            from,
            to: envelope.waiting(),
            message: message.to_vec(),
            patience: self.patience,
        })
    }

    fn tls_parameters(&self) -> Said<TlsParameters> {
        let builder = TlsParameters::builder(self.host.clone());
        let builder = match &self.ca_file {
            None => builder,
            Some(file) => builder.certificate_store(CertificateStore::None).add_root_certificate(authority(file)?),
        };
        builder.build().map_err(|why| {
            let from = self.ca_file.as_deref().unwrap_or(Path::new("the system's certificate authorities"));
            Trouble::Configuration(format!("cannot use {}: {}", from.display(), reason(&why)))
        })
    }
}

impl Way for Relay {
    /// In a thread of its own, because a read time-out begins anew with each byte. A thread that is given up ends with the
    /// process; it touches nothing but its connection.
    fn carry(&mut self, envelope: &Envelope, message: &[u8]) -> Said<Vec<(String, Answer)>> {
        let call = self.call(envelope, message)?;
        let (tell, hear) = mpsc::channel();
        let place = format!("{}:{}", self.host, self.port);
        std::thread::Builder::new()
            .name("smtp".into())
            .spawn(move || tell.send(call.hold()))
            .map_err(|why| Trouble::Unreachable(format!("cannot start a thread: {why}")))?;
        let said = hear.recv_timeout(self.patience.whole).unwrap_or_else(|_| {
            Err(Trouble::Unreachable(format!("it was not done after {} s", self.patience.whole.as_secs())))
        });
        said.map_err(|trouble| match trouble {
            Trouble::Unreachable(why) => Trouble::Unreachable(format!("relay {place}: {why}")),
            Trouble::Login(why) => {
                Trouble::Login(format!("relay {place}: {why}; look at user and password_file in [mail]"))
            }
            Trouble::Configuration(why) => Trouble::Configuration(why),
        })
    }
}

impl Call {
    fn hold(&self) -> Said<Vec<(String, Answer)>> {
        let mut relay = self.connect()?;
        if let Err(why) = relay.command(MailFrom::new(Some(self.from.clone()), Vec::new())) {
            return Ok(self.everybody(&about_mail(&why)?));
        }
        let mut answers = Vec::new();
        for address in &self.to {
            answers.push((address.clone(), recipient(&mut relay, address)?));
        }
        if answers.iter().any(|(_, answer)| *answer == Answer::Taken) {
            let verdict = self.data(&mut relay)?;
            for (_, answer) in answers.iter_mut().filter(|(_, answer)| *answer == Answer::Taken) {
                answer.clone_from(&verdict);
            }
        }
        // The answers are known; a relay that does not say goodbye is not waited for.
        if relay.set_timeout(Some(Duration::from_secs(5))).is_ok() {
            let _ = relay.quit();
        }
        Ok(answers)
    }

    fn connect(&self) -> Said<SmtpConnection> {
        let addresses = self.resolve()?;
        let connect = Some(self.patience.connect);
        let mut relay =
            SmtpConnection::connect(addresses.as_slice(), connect, &self.hello, self.implicit.as_ref(), None)
                .map_err(|why| unreachable(&why))?;
        relay.set_timeout(Some(self.patience.command)).map_err(|why| Trouble::Unreachable(why.to_string()))?;
        if let Some(tls) = &self.starttls {
            if !relay.can_starttls() {
                relay.abort();
                return Err(Trouble::Unreachable("it offers no STARTTLS, and nothing is sent without".into()));
            }
            relay.starttls(tls, &self.hello).map_err(|why| unreachable(&why))?;
        }
        if let Some(credentials) = &self.credentials {
            relay.auth(&[Mechanism::Plain, Mechanism::Login], credentials).map_err(|why| login(&why))?;
        }
        Ok(relay)
    }

    /// Without TLS a password goes to this machine only, whatever the name resolves to.
    fn resolve(&self) -> Said<Vec<SocketAddr>> {
        let found = (self.host.as_str(), self.port).to_socket_addrs();
        let mut addresses: Vec<SocketAddr> =
            found.map_err(|why| Trouble::Unreachable(format!("cannot resolve its name: {why}")))?.collect();
        if self.credentials.is_some() && self.starttls.is_none() && self.implicit.is_none() {
            addresses.retain(|address| address.ip().is_loopback());
            if addresses.is_empty() {
                let words = format!(
                    "refusing relay {}: it is not this machine, and the password would go in plain text; set tls in [mail]",
                    self.host
                );
                return Err(Trouble::Configuration(words));
            }
        }
        Ok(addresses)
    }

    fn data(&self, relay: &mut SmtpConnection) -> Said<Answer> {
        if let Err(why) = relay.command(Data) {
            return about_mail(&why);
        }
        relay.set_timeout(Some(self.patience.verdict)).map_err(|why| Trouble::Unreachable(why.to_string()))?;
        // The end of the last line belongs to the end of the data.
        match relay.message(self.message.strip_suffix(b"\r\n").unwrap_or(&self.message)) {
            Ok(_) => Ok(Answer::Taken),
            Err(why) => about_mail(&why),
        }
    }

    fn everybody(&self, answer: &Answer) -> Vec<(String, Answer)> {
        self.to.iter().map(|address| (address.clone(), answer.clone())).collect()
    }
}

fn recipient(relay: &mut SmtpConnection, address: &str) -> Said<Answer> {
    let Ok(parsed) = address.parse::<Address>() else {
        return Ok(Answer::Refused("it is no mail address".into()));
    };
    match relay.command(Rcpt::new(parsed, Vec::new())) {
        Ok(_) => Ok(Answer::Taken),
        Err(why) => about_mail(&why),
    }
}

/// What an answer other than yes means for the mail. 421 and the codes of RFC 4954 are about the connection.
fn about_mail(why: &SmtpError) -> Said<Answer> {
    let code = why.status().map(u16::from);
    match code {
        None | Some(421) => Err(unreachable(why)),
        Some(530..=538) => Err(login(why)),
        Some(_) if why.is_permanent() => Ok(Answer::Refused(reason(why))),
        Some(_) => Ok(Answer::Later(reason(why))),
    }
}

fn login(why: &SmtpError) -> Trouble {
    if why.is_permanent() || why.is_client() {
        Trouble::Login(format!("it does not let us in: {}", reason(why)))
    } else {
        unreachable(why)
    }
}

fn unreachable(why: &SmtpError) -> Trouble {
    Trouble::Unreachable(reason(why))
}

/// The relay's own words, or the system's.
fn reason(why: &SmtpError) -> String {
    use std::error::Error;
    let source = why.source().map(ToString::to_string).unwrap_or_default();
    let timed_out = why
        .source()
        .and_then(|e| e.downcast_ref::<std::io::Error>())
        .is_some_and(|e| matches!(e.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut));
    let words = match why.status() {
        Some(code) => format!("{code} {source}"),
        None if timed_out => "it did not answer in time".into(),
        None if source == "incomplete response" => "it closed the connection".into(),
        None if source.starts_with("invalid peer certificate") => {
            format!("{source}; is its authority in ca_file, or else known to the system?")
        }
        None if source.is_empty() => why.to_string(),
        None => source,
    };
    one_line(&words)
}

/// The first line of a file that nobody but root can read.
fn password(file: &Path) -> Said<String> {
    secret::first_line(file).map_err(|why| Trouble::Configuration(why.to_string()))
}

/// An authority file with at least one certificate: lettre takes an empty one without a word.
fn authority(file: &Path) -> Said<Certificate> {
    let wrong = |words: String| Trouble::Configuration(words);
    let bytes = trusted::read(file, LIMIT).map_err(|why| wrong(why.to_string()))?;
    let has_one = bytes.windows(27).any(|part| part == b"-----BEGIN CERTIFICATE-----");
    if !has_one {
        return Err(wrong(format!("refusing {}: there is no PEM certificate in it", file.display())));
    }
    Certificate::from_pem(&bytes).map_err(|why| wrong(format!("cannot use {}: {}", file.display(), reason(&why))))
}

#[cfg(test)]
#[path = "smtp_tests.rs"]
mod tests;
