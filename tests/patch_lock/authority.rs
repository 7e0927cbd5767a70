//! A certificate authority of a test, made with openssl(1).

use std::path::{Path, PathBuf};
use std::process::Command;

/// An authority.
pub struct Authority {
    keep: tempfile::TempDir,
}

impl Authority {
    pub fn new() -> Self {
        let authority = Self { keep: tempfile::tempdir().unwrap() };
        // Of two authorities with one name a client would try the wrong key.
        let name = authority.keep.path().file_name().unwrap().to_string_lossy().into_owned();
        openssl(
            authority.keep.path(),
            &format!(
                "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN={name}"
            ),
        );
        authority
    }

    pub fn certificate(&self) -> PathBuf {
        self.keep.path().join("ca.pem")
    }

    /// A certificate that is good for so many days, with its key; it ended before it began if they are negative.
    pub fn issue(&self, file: &str, name: &str, days: i32) -> (PathBuf, PathBuf) {
        let san = if name.starts_with(char::is_numeric) { format!("IP:{name}") } else { format!("DNS:{name}") };
        let dir = self.keep.path();
        std::fs::write(dir.join("ext"), format!("subjectAltName={san}\nextendedKeyUsage=serverAuth,clientAuth\n"))
            .unwrap();
        self.request(file, name);
        openssl(
            dir,
            &format!(
                "x509 -req -in {file}.csr -CA ca.pem -CAkey ca.key -set_serial {} -extfile ext -days {days} -out {file}.pem",
                days + 100
            ),
        );
        (dir.join(format!("{file}.pem")), dir.join(format!("{file}.key")))
    }

    /// What plain `openssl x509 -req` makes: X.509 version 1.
    pub fn issue_version_1(&self, file: &str) -> (PathBuf, PathBuf) {
        let dir = self.keep.path();
        self.request(file, "web01");
        openssl(
            dir,
            &format!("x509 -req -in {file}.csr -CA ca.pem -CAkey ca.key -set_serial 7 -days 2 -out {file}.pem"),
        );
        (dir.join(format!("{file}.pem")), dir.join(format!("{file}.key")))
    }

    fn request(&self, file: &str, name: &str) {
        let curve = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
        openssl(self.keep.path(), &format!("req -new {curve} -keyout {file}.key -out {file}.csr -subj /CN={name}"));
    }
}

fn openssl(dir: &Path, args: &str) {
    let done = Command::new("openssl").args(args.split(' ')).current_dir(dir).output().unwrap();
    assert!(done.status.success(), "{args}: {}", String::from_utf8_lossy(&done.stderr));
}
