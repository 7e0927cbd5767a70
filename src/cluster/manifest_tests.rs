//! Tests of [`super`].

use super::*;
use proptest::prelude::*;

fn cluster() -> Cluster {
    let file = |path: &str, size| FileEntry { path: path.into(), size, sha256: "0a".repeat(32), md5: "0b".repeat(16) };
    Cluster {
        format: 1,
        name: "debian-12/amd64 of 2026-11-21".into(),
        id: "20261121T020007Z".into(),
        sequence: 4,
        expires: "2027-01-20T02:00:07Z".into(),
        release: "debian-12/amd64".into(),
        kind: Kind::Apt,
        program: None,
        files: vec![file("Packages", 10), file("packages/a_1_amd64.deb", 20)],
        advisories: vec!["DSA-5000-1".into()],
    }
}

fn at(text: &str) -> Moment {
    clock::parse(text).unwrap()
}

#[test]
fn a_cluster_survives_being_written_and_read() {
    assert_eq!(Cluster::parse(&cluster().to_bytes().unwrap()).unwrap(), cluster());
}

#[test]
fn what_is_wrong_with_a_cluster_is_named() {
    type Spoil = fn(&mut Cluster);
    let cases: [(Spoil, &str); 13] = [
        (|c| c.files[0].path = "../etc/passwd".into(), "not plain"),
        (|c| c.files[0].path = "/etc/passwd".into(), "not plain"),
        (|c| c.files[0].path = c.files[1].path.clone(), "twice"),
        (|c| c.files[0].path = "packages".into(), "below a file"),
        (|c| c.files[0].sha256 = "0A".repeat(32), "digests"),
        (|c| c.files[0].md5.clear(), "digests"),
        (|c| c.files[0].size = u64::MAX, "overflow"),
        (|c| c.files.clear(), "no files"),
        (|c| c.id = "../x".into(), "id"),
        (|c| c.release = "debian-12".into(), "release"),
        (|c| c.expires = "tomorrow".into(), "expires"),
        (|c| c.kind = Kind::Script, "program"),
        (|c| c.advisories = vec!["a b".into()], "advisory"),
    ];
    for (spoil, word) in cases {
        let mut bad = cluster();
        spoil(&mut bad);
        let words = bad.to_bytes().unwrap_err().to_string();
        assert!(words.contains(word), "{words}");
        let words = Cluster::parse(&serde_json::to_vec(&bad).unwrap()).unwrap_err().to_string();
        assert!(words.starts_with("refusing cluster.json: ") && words.contains(word), "{words}");
    }
}

#[test]
fn a_newer_format_says_upgrade_whatever_else_it_holds() {
    let words = Cluster::parse(br#"{"format": 2, "colour": "blue"}"#).unwrap_err().to_string();
    assert!(words.contains("upgrade"), "{words}");
}

#[test]
fn a_stranger_among_the_fields_is_refused() {
    let text = String::from_utf8(cluster().to_bytes().unwrap()).unwrap();
    assert!(Cluster::parse(text.replacen("\"name\"", "\"run\": \"sh\", \"name\"", 1).as_bytes()).is_err());
    assert!(Cluster::parse(text.replacen("\"name\"", "\"id\": \"x\", \"name\"", 1).as_bytes()).is_err());
}

#[test]
fn a_host_takes_what_suits_it_and_the_same_again() {
    let now = at("2026-11-22T00:00:00Z");
    judge(&cluster(), "debian-12/amd64", now, None).unwrap();
    judge(&cluster(), "debian-12/amd64", now, Some(4)).unwrap();
    judge(&cluster(), "debian-12/amd64", now, Some(3)).unwrap();
}

#[test]
fn a_host_refuses_what_is_expired_older_foreign_or_beyond_it() {
    let now = at("2026-11-22T00:00:00Z");
    let words = |c: &Cluster, release, now, last| judge(c, release, now, last).unwrap_err().to_string();
    assert!(words(&cluster(), "debian-12/amd64", at("2027-01-20T02:00:07Z"), None).contains("expired"));
    assert!(words(&cluster(), "debian-12/amd64", now, Some(5)).contains("older than 5"));
    assert!(words(&cluster(), "debian-13/amd64", now, None).contains("it is for debian-12/amd64"));
    let rpm = Cluster { kind: Kind::Rpm, ..cluster() };
    assert!(words(&rpm, "debian-12/amd64", now, None).contains("kind rpm"));
}

#[test]
fn content_is_the_same_in_any_order_and_differs_by_a_name() {
    let same = |c: &Cluster| {
        let files = c.files.iter().map(|f| (f.path.as_str(), f.size, f.sha256.as_str()));
        cluster().has_content(c.kind, c.program.as_deref(), files)
    };
    let mut other = cluster();
    other.files.reverse();
    assert!(same(&other));
    other.files[0].path = "packages/b_1_amd64.deb".into();
    assert!(!same(&other));
}

proptest! {
    #[test]
    fn no_bytes_upset_it(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = Cluster::parse(&bytes);
    }

    #[test]
    fn a_flipped_byte_never_gives_a_path_that_leads_elsewhere(at in 0usize..600, byte in any::<u8>()) {
        let mut bytes = cluster().to_bytes().unwrap();
        let at = at % bytes.len();
        bytes[at] = byte;
        if let Ok(cluster) = Cluster::parse(&bytes) {
            prop_assert!(cluster.files.iter().all(|f| is_plain_path(&f.path)));
        }
    }
}
