//! What a host takes from a patch server's tree, and what it refuses.

#![allow(clippy::unwrap_used)] // a test that cannot go on has failed

use std::cell::Cell;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use patchflag::cluster::fetch::{self, Asker, Clock, Found, Retry, Server};
use patchflag::cluster::manifest::{Cluster, FileEntry, Kind};
use patchflag::cluster::pointer::Pointer;
use patchflag::cluster::signature::{self, Signer, Verifier};
use patchflag::cluster::transport::Transport;
use patchflag::cluster::tree::{self, Level};
use patchflag::cluster::{digest, install};
use patchflag::error::{Error, Result};
use patchflag::host::Host;
use patchflag::paths::Paths;
use patchflag::sys::clock;

const RELEASE: &str = "debian-12/amd64";
const BASE: &str = "/var/lib/patch";

/// A host, and the tree of its server at `/srv` of the same root.
struct Place {
    keep: tempfile::TempDir,
    paths: Paths,
    signer: Signer,
    host: Host,
}

/// Time that passes when it is waited for.
#[derive(Default)]
struct Told(Cell<Duration>);

impl Clock for Told {
    fn passed(&self) -> Duration {
        self.0.get()
    }
    fn pause(&self, time: Duration) {
        self.0.set(self.0.get() + time);
    }
}

impl Place {
    fn new() -> Self {
        let keep = tempfile::tempdir().unwrap();
        let secret = keep.path().join("k.key");
        signature::generate(&secret, &keep.path().join("k.pub")).unwrap();
        let paths = Paths::below_root(keep.path()).unwrap();
        let host = Host { name: "web01".into(), os: "debian-12".into(), arch: "amd64".into() };
        let place = Self { paths, signer: Signer::load(&secret).unwrap(), host, keep };
        place.publish(tree::HOST_TYPE, format!("web* production {BASE}/web\n").as_bytes());
        place
    }

    fn write(&self, path: &str, bytes: &[u8]) {
        let path = self.keep.path().join("srv").join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    fn publish(&self, path: &str, bytes: &[u8]) {
        self.write(path, bytes);
        let signed = self.signer.sign(bytes, path, clock::now()).unwrap();
        self.write(&tree::signature(path), signed.as_bytes());
    }

    /// A script cluster of these archives, named by both levels.
    fn cluster(&self, id: &str, sequence: u64, archives: &[(&str, &[u8])]) -> Cluster {
        let cluster = made(id, sequence, archives);
        for (_, bytes) in archives {
            self.write(&tree::pool(&digest::of_bytes(bytes).sha256), bytes);
        }
        self.offer(&cluster);
        cluster
    }

    fn offer(&self, cluster: &Cluster) {
        let bytes = cluster.to_bytes().unwrap();
        self.publish(&tree::manifest(RELEASE, &cluster.id), &bytes);
        let pointer =
            Pointer { id: cluster.id.clone(), sequence: cluster.sequence, sha256: digest::of_bytes(&bytes).sha256 };
        for level in [Level::Development, Level::Production] {
            self.publish(&tree::pointer(RELEASE, level), pointer.to_string().as_bytes());
        }
    }

    fn with_server<T>(&self, base: &str, act: impl FnOnce(&Server) -> T) -> T {
        let transport = Transport::new(base, None, &self.paths).unwrap();
        let verifier = Verifier::load(&self.keep.path().join("k.pub")).unwrap();
        let clock = Told::default();
        let retry = Retry { time: Duration::from_mins(10), seed: 1, clock: &clock };
        act(&Server { transport: &transport, verifier: &verifier, retry: &retry })
    }

    fn find(&self, wanted: Option<&str>) -> Result<Found> {
        let now = clock::parse("2026-11-21T02:00:00Z").unwrap();
        let asker = Asker { paths: &self.paths, host: &self.host, base: Path::new(BASE), now, wanted };
        self.with_server("/srv", |server| fetch::find(server, &asker))
    }

    fn download(&self, found: &Found) -> Result<PathBuf> {
        self.with_server("/srv", |server| fetch::download(found, server, &self.paths))
    }

    fn stage(&self) -> Result<PathBuf> {
        self.download(&self.find(None)?)
    }

    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.paths.at(BASE).join("web")).unwrap();
        let mut names: Vec<String> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

fn made(id: &str, sequence: u64, archives: &[(&str, &[u8])]) -> Cluster {
    let entry = |(path, bytes): &(&str, &[u8])| {
        let digests = digest::of_bytes(bytes);
        FileEntry { path: (*path).into(), size: digests.size, sha256: digests.sha256, md5: digests.md5 }
    };
    Cluster {
        format: 1,
        name: "test".into(),
        id: id.into(),
        sequence,
        expires: "2027-01-01T00:00:00Z".into(),
        release: RELEASE.into(),
        kind: Kind::Script,
        program: Some("install_cluster".into()),
        files: archives.iter().map(entry).collect(),
        advisories: Vec::new(),
    }
}

fn archive(program: &str) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    writer.start_file("install_cluster", zip::write::SimpleFileOptions::default()).unwrap();
    writer.write_all(program.as_bytes()).unwrap();
    writer.finish().unwrap().into_inner()
}

fn refusal<T: std::fmt::Debug>(result: Result<T>) -> String {
    let error = result.unwrap_err();
    assert!(matches!(error, Error::Refused { .. }), "{error}");
    error.to_string()
}

#[test]
fn a_host_finds_fetches_and_unpacks_its_cluster() {
    let place = Place::new();
    let cluster = place.cluster("20261101T000000Z", 1, &[("a.zip", &archive("one")), ("b.zip", &archive("two"))]);
    let found = place.find(None).unwrap();
    assert_eq!((&found.cluster, found.level), (&cluster, Level::Production));
    let dir = place.download(&found).unwrap();
    assert_eq!(dir, Path::new("/var/lib/patch/web/20261101T000000Z"));
    assert_eq!(std::fs::read(place.paths.at(&dir).join("b/install_cluster")).unwrap(), b"two");
    assert_eq!(place.names(), ["20261101T000000Z"]);

    let verifier = Verifier::load(&place.keep.path().join("k.pub")).unwrap();
    let (staged, sha256) = fetch::staged(&place.paths.at(&dir), &verifier).unwrap();
    assert_eq!((staged, sha256), (cluster, found.sha256.clone()));
    std::fs::write(place.paths.at(&dir).join("cluster.json"), found.manifest.strip_suffix(b"\n").unwrap()).unwrap();
    refusal(fetch::staged(&place.paths.at(&dir), &verifier));
    assert_eq!(place.stage().unwrap(), dir, "staged again, it is put right");
    fetch::staged(&place.paths.at(&dir), &verifier).unwrap();
}

#[test]
fn a_host_that_is_not_in_the_list_is_told_the_line_to_add() {
    let mut place = Place::new();
    place.cluster("20261101T000000Z", 1, &[("a.zip", &archive("x"))]);
    place.host.name = "db01.example.org".into();
    let words = place.find(None).unwrap_err().to_string();
    assert!(words.contains("db01.example.org") && words.contains("add a line"), "{words}");
}

#[test]
fn what_is_not_signed_by_our_key_for_this_name_is_refused() {
    let place = Place::new();
    place.cluster("20261101T000000Z", 1, &[("a.zip", &archive("x"))]);
    let stranger = Place::new();
    stranger.cluster("20261101T000000Z", 1, &[("a.zip", &archive("x"))]);
    let manifest = tree::manifest(RELEASE, "20261101T000000Z");
    let pointer = tree::pointer(RELEASE, Level::Production);
    for path in [tree::HOST_TYPE, &manifest, &pointer] {
        let read = |place: &Place, path: &str| std::fs::read(place.keep.path().join("srv").join(path)).unwrap();
        let (bytes, minisig) = (read(&place, path), tree::signature(path));
        let good = read(&place, &minisig);
        place.write(&minisig, &read(&stranger, &minisig));
        assert!(refusal(place.find(None)).contains("another key"), "{path}");
        place.write(&minisig, &good);
        place.write(path, &[&bytes[..], b" "].concat());
        refusal(place.find(None));
        place.write(path, &bytes);
        std::fs::remove_file(place.keep.path().join("srv").join(&minisig)).unwrap();
        let words = refusal(place.find(None));
        assert!(
            words.contains("not signed") && words.contains(&format!("{minisig}: there is no such file")),
            "{words}"
        );
        place.write(&minisig, &good);
    }
    place.find(None).unwrap();
}

#[test]
fn a_server_cannot_send_a_cluster_to_where_the_host_does_not_want_it() {
    let place = Place::new();
    place.cluster("20261101T000000Z", 1, &[("a.zip", &archive("x"))]);
    for dir in ["/etc", "/var/lib/patch", "/var/lib/patchwork/x", "/var/lib/patch/system-update"] {
        place.publish(tree::HOST_TYPE, format!("web01 production {dir}\n").as_bytes());
        refusal(place.find(None));
    }
}

#[test]
fn a_level_that_has_no_cluster_yet_is_told_the_command_that_gives_it_one() {
    for (level, command) in
        [("production", "pull-cluster promote debian-12/amd64"), ("development", "pull-cluster pull debian-12/amd64")]
    {
        let place = Place::new();
        place.publish(tree::HOST_TYPE, format!("web* {level} {BASE}/web\n").as_bytes());
        let error = place.find(None).unwrap_err();
        assert!(matches!(error, Error::Failed { .. }) && error.to_string().contains(command), "{error}");
    }
}

#[test]
fn a_tree_that_was_mixed_from_two_copies_is_refused() {
    let place = Place::new();
    let cluster = place.cluster("20261101T000000Z", 1, &[("a.zip", &archive("x"))]);
    let mut other = cluster.clone();
    other.name = "other".into();
    place.publish(&tree::manifest(RELEASE, &cluster.id), &other.to_bytes().unwrap());
    assert!(refusal(place.find(None)).contains("mixed"));
    other.id = "20261102T000000Z".into();
    place.publish(&tree::manifest(RELEASE, &cluster.id), &other.to_bytes().unwrap());
    assert!(refusal(place.find(None)).contains("mixed"));
}

#[test]
fn expired_older_and_unpromoted_clusters_are_refused() {
    let place = Place::new();
    let zip = archive("x");
    let old = place.cluster("20261001T000000Z", 1, &[("a.zip", &zip)]);
    place.cluster("20261101T000000Z", 2, &[("a.zip", &zip)]);
    assert_eq!(place.find(Some("20261001T000000Z")).unwrap().cluster.sequence, 1, "an order may name an older one");
    assert!(matches!(place.find(Some("../x")), Err(Error::Usage(_))));
    assert!(place.find(Some("20251001T000000Z")).is_err());
    fetch::remember_sequence(&place.paths, Path::new(BASE), RELEASE, 2).unwrap();
    assert!(refusal(place.find(Some("20261001T000000Z"))).contains("older"));
    assert_eq!(place.find(None).unwrap().cluster.sequence, 2, "the same one again is right");

    let next = made("20261201T000000Z", 3, &[("a.zip", &zip)]);
    place.publish(&tree::manifest(RELEASE, &next.id), &next.to_bytes().unwrap());
    assert!(refusal(place.find(Some("20261201T000000Z"))).contains("promote"));
    place.offer(&Cluster { expires: "2026-11-21T01:59:59Z".into(), sequence: 4, ..old });
    assert!(refusal(place.find(None)).contains("expired"));
}

#[test]
fn an_attempt_that_was_cut_short_is_gone_on_with() {
    let place = Place::new();
    let (one, two) = (archive("one"), archive("two"));
    place.cluster("20261101T000000Z", 1, &[("a.zip", &one), ("b.zip", &two)]);
    let pool = |bytes: &[u8]| place.keep.path().join("srv").join(tree::pool(&digest::of_bytes(bytes).sha256));
    std::fs::remove_file(pool(&two)).unwrap();
    assert!(place.stage().is_err());
    assert_eq!(place.names(), ["20261101T000000Z.part"]);
    // What is there already is not asked for again.
    std::fs::remove_file(pool(&one)).unwrap();
    place.write(&tree::pool(&digest::of_bytes(&two).sha256), &two);
    place.stage().unwrap();
    assert_eq!(place.names(), ["20261101T000000Z"]);
    // But only if it is right.
    let spoilt = place.paths.at("/var/lib/patch/web/20261101T000000Z/a.zip");
    std::fs::write(spoilt, "spoilt").unwrap();
    assert!(place.stage().is_err());
    place.write(&tree::pool(&digest::of_bytes(&one).sha256), &one);
    place.stage().unwrap();
}

#[test]
fn a_server_that_lies_about_a_file_is_not_believed() {
    let place = Place::new();
    let zip = archive("one");
    place.cluster("20261101T000000Z", 1, &[("a.zip", &zip)]);
    let mut other = zip.clone();
    other[20] ^= 1;
    for lie in [&other[..], &zip[..zip.len() - 1], &[&zip[..], b"x"].concat(), b""] {
        place.write(&tree::pool(&digest::of_bytes(&zip).sha256), lie);
        assert!(place.stage().is_err());
        assert!(!place.paths.at("/var/lib/patch/web/20261101T000000Z.part/a.zip").exists());
    }
}

#[test]
fn a_damaged_archive_is_not_staged_though_it_was_signed() {
    let mut tar = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
    let mut header = tar::Header::new_gnu();
    header.set_size(4);
    header.set_mode(0o755);
    tar.append_data(&mut header, "install_cluster", &b"#!/x"[..]).unwrap();
    let sound = tar.into_inner().unwrap().finish().unwrap();
    let mut damaged = sound.clone();
    let crc = damaged.len() - 8;
    damaged[crc] ^= 1;
    for (bytes, is_staged) in [(&damaged[..], false), (&sound[..sound.len() - 9], false), (&sound, true)] {
        let place = Place::new();
        place.cluster("20261101T000000Z", 1, &[("a.tar.gz", bytes)]);
        assert_eq!(place.stage().is_ok(), is_staged);
        assert_eq!(place.names() == ["20261101T000000Z"], is_staged);
    }
}

#[test]
fn a_server_that_is_gone_is_tried_for_a_while_and_then_unreachable() {
    let place = Place::new();
    place.cluster("20261101T000000Z", 1, &[("a.zip", &archive("x"))]);
    let found = place.find(None).unwrap();
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", closed.local_addr().unwrap());
    drop(closed);
    place.with_server(&base, |server| {
        assert!(matches!(fetch::download(&found, server, &place.paths), Err(Error::Unreachable { .. })));
        assert!(server.retry.clock.passed() >= Duration::from_mins(10));
    });
    place.stage().unwrap();
}

#[test]
fn a_cluster_that_does_not_fit_is_not_begun() {
    let place = Place::new();
    let mut cluster = made("20261101T000000Z", 1, &[("a.zip", b"x")]);
    cluster.files[0].size = 1 << 50;
    place.offer(&cluster);
    let words = place.stage().unwrap_err().to_string();
    assert!(words.contains("make room"), "{words}");
}

#[test]
fn a_directory_that_is_not_ours_is_left_alone() {
    for name in ["20261101T000000Z", "20261101T000000Z.part"] {
        for make in
            [|path: &Path| std::fs::create_dir_all(path.join("theirs")), |path: &Path| std::fs::write(path, "theirs")]
        {
            let place = Place::new();
            place.cluster("20261101T000000Z", 1, &[("a.zip", &archive("x"))]);
            let path = place.paths.at(BASE).join("web").join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            make(&path).unwrap();
            assert!(refusal(place.stage()).contains("did not make it"));
            assert!(path.join("theirs").exists() || std::fs::read(&path).unwrap() == b"theirs");
        }
    }
}

#[test]
fn the_last_two_clusters_stay_and_older_ones_of_ours_go() {
    let place = Place::new();
    std::fs::create_dir_all(place.paths.at("/var/lib/patch/web/0-theirs")).unwrap();
    for month in 1..=5 {
        place.cluster(&format!("20260{month}01T000000Z"), month, &[("a.zip", &archive("x"))]);
        if month == 4 {
            place.write(&tree::pool(&digest::of_bytes(&archive("x")).sha256), b"lie");
            assert!(place.stage().is_err());
        } else {
            place.stage().unwrap();
        }
    }
    let expected = ["0-theirs", "20260201T000000Z", "20260301T000000Z", "20260501T000000Z"];
    assert_eq!(place.names(), expected);
}

#[test]
fn an_rpm_cluster_is_refused_in_words() {
    let place = Place::new();
    let cluster = Cluster { kind: Kind::Rpm, program: None, ..made("20261101T000000Z", 1, &[("a.rpm", b"x")]) };
    place.offer(&cluster);
    assert!(refusal(place.find(None)).contains("rpm"));
    let made = install::for_cluster(&place.paths, place.keep.path(), &cluster, "run").map(drop);
    assert!(refusal(made).contains("does not install rpm"));
}

/// `grab-patch` on a host whose flag is up and whose `[grab] server` is this.
fn grab(place: &Place, server: &str) -> std::process::Output {
    let etc = place.keep.path().join("etc");
    std::fs::create_dir_all(etc.join("patch")).unwrap();
    std::fs::write(etc.join("patch/config.ini"), format!("[grab]\nserver = {server}\nkey = /k.pub\n")).unwrap();
    std::fs::write(etc.join("patchflag"), "").unwrap();
    let mut grab = std::process::Command::new(env!("CARGO_BIN_EXE_grab-patch"));
    grab.arg("--root").arg(place.keep.path()).output().unwrap()
}

#[test]
fn a_server_that_is_none_or_holds_a_password_is_a_wrong_configuration_and_changes_nothing() {
    for server in ["http://", "http://x:99999", "ftp://x", "tree", "http://user:S3CRET@127.0.0.1:1/"] {
        let place = Place::new();
        let done = grab(&place, server);
        let words = String::from_utf8(done.stderr).unwrap();
        assert_eq!(done.status.code(), Some(2), "{server}: {words}");
        assert!(words.contains("config.ini:2: server: ") && !words.contains("S3CRET"), "{words}");
        let etc = place.keep.path().join("etc");
        assert!(etc.join("patchflag").exists() && !etc.join("patchlog").exists(), "{server}");
    }
}

fn sh(script: &str) {
    let done = std::process::Command::new("sh").args(["-euc", script]).status().unwrap();
    assert!(done.success(), "{script}");
}

#[test]
fn a_disk_that_has_no_room_for_the_journal_gets_none_and_the_flag_stays_up() {
    let place = Place::new();
    let etc = place.keep.path().join("etc");
    sh(&format!("mkdir {0}; mount -t tmpfs -o size=64k,mode=755 tmpfs {0}", etc.display()));
    std::fs::write(etc.join("os-release"), "ID=debian\nVERSION_ID=12\n").unwrap();
    std::fs::write(etc.join("hostname"), "web01\n").unwrap();
    for name in ["proc/sys/kernel/random/boot_id", "proc/1/stat", "proc/uptime", "proc/stat"] {
        let copy = place.keep.path().join(name);
        std::fs::create_dir_all(copy.parent().unwrap()).unwrap();
        std::fs::write(copy, std::fs::read(Path::new("/").join(name)).unwrap()).unwrap();
    }
    let done = grab(&place, "/srv");
    let flags = ["patchflag", "patchlog", "patchfailed"].map(|name| etc.join(name).symlink_metadata().is_ok());
    sh(&format!("umount {}", etc.display()));
    let words = String::from_utf8(done.stderr).unwrap();
    assert!(words.contains("cannot reserve room for") && words.contains("patchlog"), "{words}");
    assert_eq!((done.status.code(), flags), (Some(1), [true, false, false]));
}
