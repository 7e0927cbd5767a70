//! Archives as they come, and as they must not come: made here, byte by byte where no tool would make them.

use super::*;
use proptest::prelude::*;
use std::os::unix::fs::MetadataExt;

struct Place {
    keep: tempfile::TempDir,
    dir: Dir,
}

fn place() -> Place {
    let keep = tempfile::tempdir().unwrap();
    let dir = Dir::open(keep.path()).unwrap();
    Place { keep, dir }
}

impl Place {
    fn archive(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.keep.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    fn unpack(&self, archive: &Path) -> Result<Unpacked> {
        unpack(archive, &self.dir, "c", "install_cluster", Limits::default())
    }

    fn refusal(&self, name: &str, bytes: &[u8]) -> String {
        let archive = self.archive(name, bytes);
        let error = self.unpack(&archive).unwrap_err();
        assert!(matches!(error, Error::Refused { .. }), "{error}");
        assert_eq!(self.dir.names().unwrap(), [name], "nothing is left of a refused archive");
        error.to_string()
    }
}

struct Member<'a> {
    name: &'a str,
    kind: tar::EntryType,
    mode: u32,
    content: &'a [u8],
}

fn member<'a>(name: &'a str, content: &'a [u8]) -> Member<'a> {
    Member { name, kind: tar::EntryType::Regular, mode: 0o644, content }
}

/// A tar with names exactly as given: the library's own builder would refuse the bad ones.
fn tar(members: &[Member]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for member in members {
        let mut header = tar::Header::new_ustar();
        header.as_old_mut().name[..member.name.len()].copy_from_slice(member.name.as_bytes());
        header.set_entry_type(member.kind);
        header.set_mode(member.mode);
        header.set_size(member.content.len() as u64);
        if member.kind == tar::EntryType::Symlink || member.kind == tar::EntryType::Link {
            header.set_link_name("target").unwrap();
        }
        header.set_cksum();
        bytes.extend(header.as_bytes());
        bytes.extend(member.content);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
    }
    bytes.extend([0; 1024]);
    bytes
}

fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zip_of(members: &[(&str, u32, &[u8])]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(io::Cursor::new(Vec::new()));
    for (name, mode, content) in members {
        let options = zip::write::SimpleFileOptions::default().unix_permissions(*mode);
        writer.start_file(*name, options).unwrap();
        writer.write_all(content).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

fn replaced(mut bytes: Vec<u8>, old: &[u8], new: &[u8]) -> Vec<u8> {
    assert_eq!(old.len(), new.len());
    for at in 0..bytes.len() - old.len() {
        if &bytes[at..at + old.len()] == old {
            bytes[at..at + old.len()].copy_from_slice(new);
        }
    }
    bytes
}

#[test]
fn all_packings_give_the_same_folder_with_modes_of_our_own() {
    let members = [
        Member { name: "./", kind: tar::EntryType::Directory, mode: 0o777, content: b"" },
        Member { mode: 0o6777, ..member("./install_cluster", b"#!/bin/sh\n") },
        Member { mode: 0o666, ..member("patches/1.txt", b"one") },
    ];
    let tarred = tar(&members);
    let zipped = zip_of(&[("install_cluster", 0o644, b"#!/bin/sh\n"), ("patches/1.txt", 0o666, b"one")]);
    for (name, bytes) in [
        ("c.tar.gz", gz(&tarred)),
        ("c.tgz", gz(&tarred)),
        ("c.tar.zst", zstd::encode_all(&tarred[..], 1).unwrap()),
        ("c.zip", zipped),
    ] {
        let place = place();
        let archive = place.archive(name, &bytes);
        let unpacked = place.unpack(&archive).unwrap();
        assert_eq!(unpacked, Unpacked { files: 2, bytes: 13 }, "{name}");
        let mode = |path: &str| std::fs::metadata(place.dir.join("c").join(path)).unwrap().mode() & 0o7777;
        assert_eq!(
            (mode("."), mode("install_cluster"), mode("patches"), mode("patches/1.txt")),
            (0o700, 0o755, 0o755, 0o644),
            "{name}"
        );
        assert_eq!(place.unpack(&archive).unwrap(), unpacked, "a second call finds it done");
    }
}

#[test]
fn a_folder_that_was_changed_after_unpacking_is_made_anew() {
    let place = place();
    let archive = place.archive("c.zip", &zip_of(&[("install_cluster", 0o755, b"good")]));
    place.unpack(&archive).unwrap();
    let program = place.dir.join("c").join("install_cluster");
    for spoil in [
        |path: &Path| std::fs::write(path, "bad"),
        |path: &Path| std::fs::remove_file(path),
        |path: &Path| std::fs::write(path.with_file_name("added"), ""),
    ] {
        spoil(&program).unwrap();
        assert!(verify(&place.dir, "c").is_err());
        place.unpack(&archive).unwrap();
        assert_eq!(std::fs::read(&program).unwrap(), b"good");
        assert!(verify(&place.dir, "c").is_ok());
    }
}

#[test]
fn a_draft_of_a_call_that_was_cut_short_is_in_nobodys_way() {
    let place = place();
    std::fs::create_dir(place.dir.join(".c.draft")).unwrap();
    std::fs::write(place.dir.join(".c.draft/install_cluster"), "half").unwrap();
    let archive = place.archive("c.zip", &zip_of(&[("install_cluster", 0o755, b"whole")]));
    place.unpack(&archive).unwrap();
    assert_eq!(std::fs::read(place.dir.join("c/install_cluster")).unwrap(), b"whole");
}

#[test]
fn a_tar_that_leads_elsewhere_is_refused_and_nothing_of_it_is_left() {
    for (bad, word) in [
        (member("/tmp/evil", b"x"), "absolute"),
        (member("a/../../evil", b"x"), ".."),
        (Member { kind: tar::EntryType::Symlink, ..member("link", b"") }, "symbolic link"),
        (Member { kind: tar::EntryType::Link, ..member("link", b"") }, "hard link"),
        (Member { kind: tar::EntryType::Char, ..member("dev", b"") }, "device"),
        (Member { kind: tar::EntryType::Fifo, ..member("pipe", b"") }, "pipe"),
        (member("good", b"again"), "twice"),
    ] {
        let words = place().refusal("c.tar.gz", &gz(&tar(&[member("good", b"x"), bad])));
        assert!(words.contains(word), "{words}");
    }
}

#[test]
fn a_zip_that_leads_elsewhere_is_refused_and_nothing_of_it_is_left() {
    let sound = || zip_of(&[("good", 0o644, b"x"), ("aa/bb/cc", 0o644, b"y")]);
    for (bad, word) in [
        (replaced(sound(), b"aa/bb/cc", b"/a/bb/cc"), "absolute"),
        (replaced(sound(), b"aa/bb/cc", b"../../cc"), ".."),
        (replaced(zip_of(&[("good", 0o644, b"x"), ("gooe", 0o644, b"y")]), b"gooe", b"good"), "twice"),
    ] {
        let words = place().refusal("c.zip", &bad);
        assert!(words.contains(word), "{words}");
    }
    let mut writer = zip::ZipWriter::new(io::Cursor::new(Vec::new()));
    writer.add_symlink("link", "/etc/passwd", zip::write::SimpleFileOptions::default()).unwrap();
    let words = place().refusal("c.zip", &writer.finish().unwrap().into_inner());
    assert!(words.contains("symbolic link"), "{words}");
}

#[test]
fn a_bomb_is_refused_before_it_fills_the_disk() {
    let zeros = vec![0; 4 << 20];
    let limits = Limits { bytes: 1 << 20, ..Limits::default() };
    for (name, bytes) in
        [("c.zip", zip_of(&[("bomb", 0o644, &zeros)])), ("c.tar.gz", gz(&tar(&[member("bomb", &zeros)])))]
    {
        let place = place();
        let archive = place.archive(name, &bytes);
        let words = unpack(&archive, &place.dir, "c", "install_cluster", limits).unwrap_err().to_string();
        assert!(words.contains("too large"), "{words}");
        assert_eq!(place.dir.names().unwrap(), [name]);
    }
}

#[test]
fn a_long_name_that_would_fill_the_memory_is_refused() {
    let name = vec![b'a'; 4 << 20];
    let long = Member { kind: tar::EntryType::GNULongName, ..member("././@LongLink", &name) };
    let words = place().refusal("c.tar.gz", &gz(&tar(&[long, member("a", b"")])));
    assert!(words.contains("more than it may"), "{words}");
}

#[test]
fn a_truncated_archive_is_refused() {
    let whole = gz(&tar(&[member("a", &[7; 5000])]));
    for end in [0, 10, whole.len() / 2] {
        let place = place();
        let archive = place.archive("c.tar.gz", &whole[..end]);
        let unpacked = place.unpack(&archive);
        assert!(unpacked.is_err(), "{end}: {unpacked:?}");
    }
    place().refusal("c.zip", b"no zip at all");
}

fn zst(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    encoder.include_checksum(true).unwrap();
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A gzip whose content is not compressed, so that a flipped byte of it is still a stream.
fn stored(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn flipped(mut bytes: Vec<u8>, from_the_end: usize) -> Vec<u8> {
    let at = bytes.len() - from_the_end;
    bytes[at] ^= 1;
    bytes
}

fn cut(mut bytes: Vec<u8>, less: usize) -> Vec<u8> {
    bytes.truncate(bytes.len() - less);
    bytes
}

/// Amid the 400 bytes of content of a tar's last member: behind them come 112 of padding, 1024 of the tar's end, and the
/// end of the gzip.
const LAST_CONTENT: usize = 1300;

#[test]
fn an_archive_that_does_not_fit_its_checksum_is_neither_listed_nor_unpacked() {
    let whole = tar(&[member("install_cluster", &[7; 400])]);
    for (what, name, bytes) in [
        ("a flipped byte of content", "c.tar.gz", flipped(stored(&whole), LAST_CONTENT)),
        ("a wrong CRC", "c.tar.gz", flipped(gz(&whole), 8)),
        ("a wrong length", "c.tgz", flipped(gz(&whole), 1)),
        ("no CRC", "c.tar.gz", cut(gz(&whole), 9)),
        ("half a CRC", "c.tar.gz", cut(gz(&whole), 2)),
        ("a wrong checksum of zstd", "c.tar.zst", flipped(zst(&whole), 1)),
        ("no checksum of zstd", "c.tar.zst", cut(zst(&whole), 4)),
    ] {
        let place = place();
        let archive = place.archive(name, &bytes);
        let packing = Packing::of(name).unwrap().0;
        assert!(list(&archive, packing, Limits::default()).is_err(), "{what} is published");
        assert!(place.unpack(&archive).is_err(), "{what} is unpacked");
        assert_eq!(place.dir.names().unwrap(), [name], "{what}");
    }
}

#[test]
fn only_zeros_and_further_members_may_stand_behind_an_archive() {
    let whole = tar(&[member("install_cluster", b"x")]);
    let padded = [&whole[..], &[0; 8192]].concat();
    for (name, bytes) in [
        ("c.tar.gz", gz(&padded)),
        ("c.tar.gz", [gz(&whole[..700]), gz(&whole[700..])].concat()),
        ("c.tar.zst", [zst(&whole), zst(&[0; 512])].concat()),
        ("c.tar.gz", gz(&cut(whole.clone(), 1024))),
    ] {
        let place = place();
        let archive = place.archive(name, &bytes);
        assert_eq!(place.unpack(&archive).unwrap().files, 1);
    }
    for (name, bytes) in [
        ("c.tar.gz", gz(&[&whole[..], &[0; 100], b"more"].concat())),
        ("c.tar.gz", [&gz(&whole)[..], b"more"].concat()),
        ("c.tar.gz", [gz(&whole), gz(&whole)].concat()),
        ("c.tar.zst", [&zst(&whole)[..], b"more"].concat()),
        ("c.tar.zst", [&zst(&whole)[..], b"x"].concat()),
        ("c.tar.zst", [zst(&whole), zst(b"more")].concat()),
    ] {
        place().refusal(name, &bytes);
    }
}

#[test]
fn zeros_behind_the_end_are_no_way_around_the_limits() {
    let bomb = [tar(&[member("a", b"x")]), vec![0; 8 << 20]].concat();
    let limits = Limits { bytes: 1 << 20, ..Limits::default() };
    for (name, bytes) in [("c.tar.gz", gz(&bomb)), ("c.tar.zst", zst(&bomb))] {
        let place = place();
        let archive = place.archive(name, &bytes);
        let words = unpack(&archive, &place.dir, "c", "install_cluster", limits).unwrap_err().to_string();
        assert!(words.contains("more than it may"), "{words}");
        let packing = Packing::of(name).unwrap().0;
        assert!(list(&archive, packing, limits).is_err());
    }
}

#[test]
fn an_archive_of_an_unknown_packing_is_refused() {
    assert!(place().refusal("c.rar", b"x").contains("none of"));
}

fn hostile_name() -> impl Strategy<Value = String> {
    proptest::collection::vec(
        prop_oneof!["[a-c]{1,3}", Just("..".to_string()), Just(".".into()), Just(String::new())],
        1..5,
    )
    .prop_map(|parts| parts.join("/"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn whatever_an_archive_holds_nothing_appears_outside_of_its_folder(
        names in proptest::collection::vec(hostile_name(), 1..8),
        kinds in proptest::collection::vec(0u8..8, 8),
    ) {
        let members: Vec<Member> = names.iter().zip(&kinds).filter(|(name, _)| !name.is_empty()).map(|(name, kind)| {
            let kind = match kind { 0 => b'1', 1 => b'2', 2 => b'5', _ => b'0' };
            Member { kind: tar::EntryType::new(kind), ..member(name, b"") }
        }).collect();
        let outer = tempfile::tempdir().unwrap();
        let inner = outer.path().join("inner");
        std::fs::create_dir(&inner).unwrap();
        let archive = inner.join("c.tar.gz");
        std::fs::write(&archive, gz(&tar(&members))).unwrap();
        let dir = Dir::open(&inner).unwrap();
        let unpacked = unpack(&archive, &dir, "c", "install_cluster", Limits::default());
        prop_assert_eq!(std::fs::read_dir(outer.path()).unwrap().count(), 1);
        let expected: &[&str] = if unpacked.is_ok() { &["c", "c.sha256", "c.tar.gz"] } else { &["c.tar.gz"] };
        prop_assert_eq!(dir.names().unwrap(), expected);
        for entry in walkdir::WalkDir::new(&inner) {
            prop_assert!(!entry.unwrap().file_type().is_symlink());
        }
    }
}
