//! Apt clusters from a signed archive that is made here.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::site::{RELEASE, Site, Web, sh};

/// A signed Debian archive with two suites, in the directory `archive` of a site.
struct Archive {
    dir: PathBuf,
}

impl Archive {
    fn new(dir: &Path) -> Self {
        let archive = Self { dir: dir.to_path_buf() };
        sh(
            dir,
            "mkdir -p gnupg archive/pool; chmod 700 gnupg; \
             gpg --homedir gnupg -q --batch --passphrase '' --quick-gen-key test@example.org ed25519 sign never; \
             gpg --homedir gnupg -q --export > keyring.gpg",
        );
        archive
    }

    fn package(&self, suite: &str, name: &str, version: &str, content: &str) {
        let script = format!(
            "rm -rf deb; mkdir -p deb/DEBIAN archive/pool/{suite} deb/usr/share/{name}; \
             printf 'Package: {name}\\nVersion: {version}\\nArchitecture: all\\nMaintainer: x <x@example.org>\\n\
             Description: {content}\\n' > deb/DEBIAN/control; echo '{content}' > deb/usr/share/{name}/f; \
             dpkg-deb --root-owner-group -b deb archive/pool/{suite} >/dev/null"
        );
        sh(&self.dir, &script);
    }

    /// Makes the indices of a suite and signs them. `extra` are options of apt-ftparchive.
    fn release(&self, suite: &str, extra: &str) {
        let script = format!(
            "cd archive; d=dists/{suite}; rm -rf $d; mkdir -p $d/main/binary-amd64; \
             dpkg-scanpackages -m pool/{suite} 2>/dev/null > $d/main/binary-amd64/Packages; \
             gzip -k $d/main/binary-amd64/Packages; \
             apt-ftparchive -o APT::FTPArchive::Release::Suite={suite} {extra} release $d > Release; mv Release $d/"
        );
        sh(&self.dir, &script);
        self.sign(suite);
    }

    fn sign(&self, suite: &str) {
        let script = format!(
            "cd archive/dists/{suite}; rm -f InRelease; \
             gpg --homedir ../../../gnupg -q --batch --clearsign -o InRelease Release"
        );
        sh(&self.dir, &script);
    }

    fn section(&self, source: &str, more: &str) -> String {
        format!("kind = apt\nsource = {source}\nkeyring = {}\n{more}", self.dir.join("keyring.gpg").display())
    }
}

impl Drop for Archive {
    fn drop(&mut self) {
        let _ = Command::new("gpgconf").arg("--homedir").arg(self.dir.join("gnupg")).args(["--kill", "all"]).status();
    }
}

const SUITES: &str = "suites = stable security";

fn site() -> (Site, Archive) {
    let site = Site::new("kind = script\nsource = /nowhere.zip");
    let archive = Archive::new(site.dir.path());
    archive.package("stable", "alpha", "1.0", "old");
    archive.package("stable", "beta", "2:1.0-1", "beta");
    archive.package("security", "alpha", "1.0+deb12u1", "mended");
    archive.release("stable", "");
    archive.release("security", "");
    let source = site.at("archive").display().to_string();
    site.configure("", &archive.section(&source, SUITES));
    (site, archive)
}

fn names(site: &Site) -> Vec<String> {
    let id = site.pointer("development").unwrap().id;
    let path = site.tree().join(RELEASE).join("clusters").join(id).join("cluster.json");
    let json: serde_json::Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let files = json["files"].as_array().unwrap();
    files.iter().map(|file| file["path"].as_str().unwrap().to_string()).collect()
}

#[test]
fn the_newest_packages_of_all_suites_make_a_cluster_and_the_same_ones_make_none() {
    let (site, archive) = site();
    assert!(site.ok(&["-n", "pull"]).contains("would publish"));
    assert!(site.ok(&["pull"]).contains(", 2 packages, "));
    site.is_whole().unwrap();
    let expected = ["Packages", "packages/alpha_1.0+deb12u1_all.deb", "packages/beta_1.0-1_all.deb"];
    assert_eq!(names(&site), expected);
    // A new signature and date on the same packages is no change.
    archive.release("security", "");
    assert!(site.ok(&["pull"]).contains("unchanged"));
    assert!(site.ok(&["-n", "pull"]).contains("unchanged"));
    archive.package("security", "beta", "2:1.0-2", "mended");
    archive.release("security", "");
    assert!(site.ok(&["pull"]).ends_with("sequence 2"));
    assert!(names(&site).contains(&"packages/beta_1.0-2_all.deb".to_string()));
    site.is_whole().unwrap();
}

#[test]
fn packages_are_chosen_by_pattern_and_a_pattern_that_fits_nothing_is_told() {
    let (site, archive) = site();
    let source = site.at("archive").display().to_string();
    site.configure("", &archive.section(&source, &format!("{SUITES}\npackages = al* gamma")));
    let done = site.run(&["pull"]);
    assert!(done.status.success() && String::from_utf8_lossy(&done.stderr).contains("fits gamma"), "{done:?}");
    assert_eq!(names(&site), ["Packages", "packages/alpha_1.0+deb12u1_all.deb"]);
    site.configure("", &archive.section(&source, &format!("{SUITES}\npackages = gamma")));
    assert!(site.fails(1, &["pull"]).contains("no package fits"));
}

#[test]
fn an_archive_comes_by_http_and_a_suite_may_lie_in_another_one() {
    let (site, archive) = site();
    let web = Web::serve(&site.at("archive"));
    let local = site.at("archive").display().to_string();
    site.configure("", &archive.section(&web.url, &format!("suites = stable security@{local}")));
    assert!(site.ok(&["pull"]).contains(", 2 packages, "));
    site.is_whole().unwrap();
}

#[test]
fn apt_itself_can_use_what_is_published() {
    let (site, _archive) = site();
    site.ok(&["pull"]);
    let id = site.pointer("development").unwrap().id;
    let manifest = site.tree().join(RELEASE).join("clusters").join(id).join("cluster.json");
    let json: serde_json::Value = serde_json::from_slice(&fs::read(manifest).unwrap()).unwrap();
    let unpacked = site.at("unpacked");
    fs::create_dir_all(unpacked.join("packages")).unwrap();
    for file in json["files"].as_array().unwrap() {
        let sha256 = file["sha256"].as_str().unwrap();
        let pooled = site.tree().join("pool/sha256").join(&sha256[..2]).join(sha256);
        fs::copy(pooled, unpacked.join(file["path"].as_str().unwrap())).unwrap();
    }
    let script = format!(
        "mkdir -p apt/lists/partial apt/cache/archives/partial; touch apt/status; \
         echo 'deb [trusted=yes] file:{}/ ./' > apt/sources.list; \
         o=\"-o Dir::Etc::sourcelist=$PWD/apt/sources.list -o Dir::Etc::sourceparts=/dev/null \
         -o Dir::State::lists=$PWD/apt/lists -o Dir::State::status=$PWD/apt/status -o Dir::Cache=$PWD/apt/cache \
         -o APT::Architecture=amd64 -o APT::Sandbox::User=root\"; \
         apt-get $o update >/dev/null; apt-get $o -s install alpha beta > said; \
         grep -q 'Inst alpha (1.0+deb12u1' said; grep -q 'Inst beta (2:1.0-1' said; \
         mkdir got; cd got; apt-get $o download alpha",
        unpacked.display()
    );
    sh(site.dir.path(), &script);
}

#[test]
fn an_archive_that_was_tampered_with_is_refused() {
    let (site, archive) = site();
    site.ok(&["pull"]);
    let before = site.pointer("development");
    let restore = || {
        archive.release("stable", "");
        archive.release("security", "");
    };
    for (script, word) in [
        ("sed -i 's/^Suite: .*/Suite: other/' dists/stable/InRelease", "signature is wrong"),
        ("cp dists/stable/Release dists/stable/InRelease", "not signed"),
        ("cp dists/security/InRelease dists/stable/InRelease", "in its place"),
        (
            "sed -i s/1.0/9.9/ dists/stable/main/binary-amd64/Packages; gzip -kf dists/stable/main/binary-amd64/Packages",
            "not what the signed list says|larger than",
        ),
        ("rm dists/stable/main/binary-amd64/Packages.gz", "no such file"),
        ("rm dists/stable/InRelease", "no such file"),
    ] {
        sh(&site.at("archive"), script);
        let words = site.fails(1, &["pull"]);
        assert!(word.split('|').any(|word| words.contains(word)), "{script}: {words}");
        assert_eq!(site.pointer("development"), before);
        restore();
    }
    site.is_whole().unwrap();
}

#[test]
fn a_package_that_was_exchanged_is_refused_and_nothing_is_published() {
    let (site, _archive) = site();
    sh(
        &site.at("archive"),
        "f=$(ls pool/stable/beta*); dd if=/dev/zero of=$f bs=1 seek=200 count=1 conv=notrunc 2>/dev/null",
    );
    assert!(site.fails(1, &["pull"]).contains("sha256"));
    assert_eq!((site.pointer("development"), site.pool().len()), (None, 0));
}

#[test]
fn a_stale_archive_and_a_foreign_key_are_refused() {
    let (site, archive) = site();
    archive.release("stable", "-o APT::FTPArchive::Release::ValidTime=1");
    std::thread::sleep(std::time::Duration::from_secs(2));
    assert!(site.fails(1, &["pull"]).contains("valid until"));
    archive.release("stable", "");
    sh(
        site.dir.path(),
        "mkdir -m 700 other; gpg --homedir other -q --batch --passphrase '' --quick-gen-key o@example.org ed25519 sign never; \
         gpg --homedir other -q --export > keyring.gpg; gpgconf --homedir $PWD/other --kill all",
    );
    assert!(site.fails(1, &["pull"]).contains("no key of the keyring has signed it"));
    sh(site.dir.path(), "gpg --homedir gnupg -q --export --armor > keyring.gpg");
    assert!(site.fails(1, &["pull"]).contains("--dearmor"));
}

#[test]
fn an_archive_signed_with_two_keys_is_taken_when_one_is_known() {
    let (site, _archive) = site();
    sh(
        site.dir.path(),
        "gpg --homedir gnupg -q --batch --passphrase '' --quick-gen-key two@example.org ed25519 sign never; \
         for s in stable security; do (cd archive/dists/$s; rm InRelease; gpg --homedir ../../../gnupg -q --batch \
         -u test@example.org -u two@example.org --clearsign -o InRelease Release); done",
    );
    assert!(site.ok(&["pull"]).contains("published"));
}

/// What this machine's own apt configuration says: archive, suite and keyring of its own Debian release.
fn own_archive() -> (String, String, String) {
    let done = Command::new("apt-get")
        .args(["indextargets", "--format", "$(REPO_URI) $(RELEASE)", "Created-By: Packages"])
        .output()
        .unwrap();
    let release = std::fs::read_to_string("/etc/os-release").unwrap();
    let codename = release.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME=")).unwrap();
    let text = String::from_utf8(done.stdout).unwrap();
    let found = text.lines().filter_map(|line| line.split_once(' ')).find(|(_, suite)| *suite == codename);
    let (uri, suite) = found.expect("apt's sources name the archive of this release; run apt-get update");
    (uri.to_string(), suite.to_string(), "/usr/share/keyrings/debian-archive-keyring.gpg".to_string())
}

/// Needs the network that apt uses here.
#[test]
fn a_handful_of_packages_comes_from_the_real_archive_of_this_machine() {
    let (url, dist, keyring) = own_archive();
    let site = Site::new("kind = script\nsource = /nowhere.zip");
    let section = format!(
        "kind = apt\nsource = {url}\nsuites = {dist}\nkeyring = {keyring}\npackages = hostname sysvinit-utils init"
    );
    site.configure("", &section);
    let mut command = site.command(&["pull"]);
    for (key, value) in std::env::vars().filter(|(key, _)| key.to_ascii_lowercase().ends_with("_proxy")) {
        command.env(key, value);
    }
    let done = command.output().unwrap();
    assert!(done.status.success(), "{done:?}");
    assert!(String::from_utf8(done.stdout).unwrap().contains(", 3 packages, "));
    site.is_whole().unwrap();
}
