//! Unpacking a cluster's archive: zip, tar.gz or tar.zst into a folder of its own.
//!
//! The folder appears whole or not at all: everything is written below a fresh draft folder that only root can enter, each file
//! and folder is flushed, then the draft gets its name. Beside it stands `NAME.sha256`, in the format of sha256sum(1), by
//! which [`verify`] can tell at night what was unpacked in the evening. Owners, times, special modes and attributes of the
//! archive are not taken over: a file is 0755 if the archive calls it executable, else 0644.

mod guard;
mod listing;

use std::cell::Cell;
use std::collections::BTreeSet;
use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;

pub use guard::Limits;
use guard::{Guard, Kind};
pub use listing::list;

use super::digest;
use crate::error::{Error, Result};
use crate::sys::dir::Dir;
use crate::sys::{replace, trusted};

/// Bytes moved at once.
const CHUNK: usize = 64 << 10;
/// The most that the headers between two members of a tar may take: long names and extended headers are read into memory.
const HEADERS: u64 = 1 << 20;
/// A zstd frame may ask for a window of 128 MiB, what `zstd --long` makes, and no more.
const WINDOW_LOG: u32 = 27;
/// A listing may not be larger than this.
const LISTING: u64 = 64 << 20;

/// The packings that are understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    /// `.zip`
    Zip,
    /// `.tar.gz`, `.tgz`
    TarGz,
    /// `.tar.zst`
    TarZst,
}

impl Packing {
    /// Told by the end of the file's name, with the name that remains; `None` if it is no archive.
    pub fn of(name: &str) -> Option<(Self, &str)> {
        let known = [(".zip", Self::Zip), (".tar.gz", Self::TarGz), (".tgz", Self::TarGz), (".tar.zst", Self::TarZst)];
        known.into_iter().find_map(|(end, packing)| Some((packing, name.strip_suffix(end)?)))
    }
}

/// What came out of an archive.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Unpacked {
    /// Regular files.
    pub files: usize,
    /// Bytes of all of them.
    pub bytes: u64,
}

/// Unpacks `archive` to the folder `name` in `into`. A folder of that name that is already there is whole, from an earlier
/// call; it is checked against its listing and kept if it is right, else made anew. `program` names the file that is
/// executable even if the archive (a zip from a system without modes) does not say so.
///
/// # Errors
/// [`Error::Refused`] for what [`Limits`] and the rules of this module forbid, naming the entry; [`Error::Io`] for the rest,
/// "no space left" among them. Nothing stands under `name` then.
pub fn unpack(archive: &Path, into: &Dir, name: &str, program: &str, limits: Limits) -> Result<Unpacked> {
    let file_name = archive.file_name().unwrap_or_default().to_string_lossy();
    let Some((packing, _)) = Packing::of(&file_name) else {
        return Err(Error::refused(archive.display(), "it is none of .zip, .tar.gz, .tgz, .tar.zst"));
    };
    if into.has(name)? {
        if let Ok(unpacked) = verify(into, name) {
            return Ok(unpacked);
        }
        remove_tree(into, name)?;
    }
    let draft = format!(".{name}.draft");
    remove_tree(into, &draft)?;
    let made = fill(archive, packing, into, &draft, program, limits);
    let finished = made.and_then(|(listing, unpacked)| {
        replace::replace(into, &listing_name(name), listing.as_bytes(), 0o600)?;
        if replace::rename_new(into, &draft, into, name)? {
            Ok(unpacked)
        } else {
            Err(Error::failed("unpack", archive.display(), format!("{name} appeared meanwhile")))
        }
    });
    if finished.is_err() {
        // What cannot be removed now is removed by the next call.
        let _ = remove_tree(into, &draft);
    }
    finished
}

/// Checks an unpacked folder against its listing.
///
/// # Errors
/// [`Error::Refused`] naming the first file that is missing, added or different.
pub fn verify(into: &Dir, name: &str) -> Result<Unpacked> {
    let path = into.join(name);
    let refuse = |what: &str, why: &str| Error::refused(path.join(what).display(), why);
    let listing = into
        .read(listing_name(name), LISTING)?
        .ok_or_else(|| Error::refused(path.display(), "it has no listing beside it; fetch the cluster again"))?;
    let listing = String::from_utf8(listing).map_err(|_| refuse("", "its listing is not UTF-8"))?;
    let mut expected: BTreeSet<&str> = BTreeSet::new();
    let mut unpacked = Unpacked::default();
    for line in listing.lines() {
        let (sum, member) = line.split_once("  ").ok_or_else(|| refuse("", "its listing is damaged"))?;
        let file = trusted::file(&path.join(member))?;
        let found = digest::of(file).map_err(Error::io("read", path.join(member)))?;
        if found.sha256 != sum {
            return Err(refuse(member, "it was changed after it was unpacked; fetch the cluster again"));
        }
        expected.insert(member);
        unpacked = Unpacked { files: unpacked.files + 1, bytes: unpacked.bytes + found.size };
    }
    for entry in walkdir::WalkDir::new(&path) {
        let entry = entry.map_err(|why| Error::failed("read", path.display(), why))?;
        let member = entry.path().strip_prefix(&path).unwrap_or(entry.path());
        let known = member.to_str().is_some_and(|member| expected.contains(member));
        if !entry.file_type().is_dir() && !known {
            return Err(refuse(&member.to_string_lossy(), "it was added after unpacking; fetch the cluster again"));
        }
    }
    Ok(unpacked)
}

/// Removes a folder and all below it, links not followed; that there is none is fine.
///
/// # Errors
/// [`Error::Io`].
pub fn remove_tree(dir: &Dir, name: &str) -> Result<()> {
    let path = dir.join(name);
    match std::fs::remove_dir_all(&path) {
        Ok(()) => dir.sync(),
        Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(why) => Err(Error::io("remove", &path)(why)),
    }
}

fn listing_name(name: &str) -> String {
    format!("{name}.sha256")
}

fn fill(
    archive: &Path,
    packing: Packing,
    into: &Dir,
    draft: &str,
    program: &str,
    limits: Limits,
) -> Result<(String, Unpacked)> {
    let file = trusted::file(archive)?;
    let size = file.metadata().map_err(Error::io("look at", archive))?.len();
    let folder = into.join(draft);
    std::fs::DirBuilder::new().mode(0o700).create(&folder).map_err(Error::io("make", &folder))?;
    let mut writer = Writer {
        folder: folder.clone(),
        guard: Guard::new(limits, size),
        program,
        archive,
        folders: BTreeSet::from([folder]),
        listing: Vec::new(),
        unpacked: Unpacked::default(),
    };
    walk(file, packing, &mut writer)?;
    writer.finish()
}

/// Shows every entry to a visitor, in the order of the archive.
fn walk(file: File, packing: Packing, visitor: &mut impl Visitor) -> Result<()> {
    match packing {
        Packing::Zip => from_zip(file, visitor),
        Packing::TarGz => from_tar(flate2::read::MultiGzDecoder::new(file), visitor),
        Packing::TarZst => {
            let archive = visitor.archive().to_path_buf();
            let mut decoder = zstd::Decoder::new(file).map_err(Error::io("read", &archive))?;
            decoder.window_log_max(WINDOW_LOG).map_err(Error::io("read", &archive))?;
            from_tar(decoder, visitor)
        }
    }
}

/// Who is shown the entries of an archive.
trait Visitor {
    /// Where the archive is, for messages.
    fn archive(&self) -> &Path;

    /// Bytes that may still come out.
    fn bytes_left(&self) -> u64;

    /// One entry, not yet judged.
    fn entry(&mut self, raw: &[u8], kind: Kind, mode: Option<u32>, content: &mut dyn Read) -> Result<()>;

    /// The archive must not be used.
    fn refuse(&self, why: impl std::fmt::Display) -> Error {
        Error::refused(self.archive().display(), why)
    }
}

/// Takes what the guard has admitted to disk.
struct Writer<'a> {
    folder: PathBuf,
    guard: Guard,
    program: &'a str,
    archive: &'a Path,
    folders: BTreeSet<PathBuf>,
    listing: Vec<String>,
    unpacked: Unpacked,
}

impl Visitor for Writer<'_> {
    fn archive(&self) -> &Path {
        self.archive
    }

    fn bytes_left(&self) -> u64 {
        self.guard.bytes_left()
    }

    fn entry(&mut self, raw: &[u8], kind: Kind, mode: Option<u32>, content: &mut dyn Read) -> Result<()> {
        let Some(path) = self.guard.admit(raw, kind).map_err(|why| self.refuse(why))? else { return Ok(()) };
        if kind == Kind::Folder {
            return self.make_folder(&path);
        }
        if let Some(above) = path.parent() {
            self.make_folder(above)?;
        }
        let is_program = path.ends_with(self.program);
        let executable = is_program || mode.is_some_and(|mode| mode & 0o111 != 0);
        self.write(&path, executable, content)
    }
}

impl Writer<'_> {
    fn make_folder(&mut self, path: &Path) -> Result<()> {
        let mut walked = self.folder.clone();
        for part in path.components() {
            walked.push(part);
            if self.folders.insert(walked.clone()) {
                std::fs::DirBuilder::new().mode(0o755).create(&walked).map_err(Error::io("make", &walked))?;
            }
        }
        Ok(())
    }

    fn write(&mut self, path: &Path, executable: bool, content: &mut dyn Read) -> Result<()> {
        let full = self.folder.join(path);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        let mut file = options.open(&full).map_err(Error::io("make", &full))?;
        let mut hasher = digest::Hasher::default();
        let mut chunk = vec![0; CHUNK];
        loop {
            let read = content.read(&mut chunk).map_err(Error::io("read", self.archive))?;
            if read == 0 {
                break;
            }
            self.guard.grow(read as u64).map_err(|why| self.refuse(why))?;
            hasher.update(&chunk[..read]);
            file.write_all(&chunk[..read]).map_err(Error::io("write", &full))?;
        }
        let digests = hasher.finish();
        let mode = if executable { 0o755 } else { 0o644 };
        file.set_permissions(Permissions::from_mode(mode))
            .and_then(|()| file.sync_all())
            .map_err(Error::io("write", &full))?;
        self.listing.push(format!("{}  {}\n", digests.sha256, path.display()));
        self.unpacked = Unpacked { files: self.unpacked.files + 1, bytes: self.unpacked.bytes + digests.size };
        Ok(())
    }

    /// Flushes every folder, the deepest first.
    fn finish(mut self) -> Result<(String, Unpacked)> {
        for folder in self.folders.iter().rev() {
            File::open(folder).and_then(|open| open.sync_all()).map_err(Error::io("flush", folder))?;
        }
        self.listing.sort();
        Ok((self.listing.concat(), self.unpacked))
    }
}

fn from_zip(file: File, writer: &mut impl Visitor) -> Result<()> {
    let path = writer.archive().to_path_buf();
    let damaged = |why: zip::result::ZipError| Error::refused(path.display(), format!("it is no sound zip: {why}"));
    let mut archive = zip::ZipArchive::new(file).map_err(damaged)?;
    if archive.has_duplicate_names() {
        return Err(writer.refuse("an entry comes twice"));
    }
    if archive.has_overlapping_entries().map_err(damaged)? {
        return Err(writer.refuse("its entries overlap"));
    }
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).map_err(damaged)?;
        let mode = entry.unix_mode();
        let kind = zip_kind(entry.is_dir(), mode);
        let name = entry.name_raw().to_vec();
        writer.entry(&name, kind, mode, &mut entry)?;
    }
    Ok(())
}

/// The file type bits of `st_mode`, inode(7), where the archive has them.
fn zip_kind(is_folder: bool, mode: Option<u32>) -> Kind {
    match mode.unwrap_or(0) & 0o170_000 {
        0o120_000 => Kind::Other("a symbolic link"),
        0o040_000 => Kind::Folder,
        0 | 0o100_000 if is_folder => Kind::Folder,
        0 | 0o100_000 => Kind::File,
        _ => Kind::Other("a device, a socket or a pipe"),
    }
}

fn from_tar(packed: impl Read, writer: &mut impl Visitor) -> Result<()> {
    let path = writer.archive().to_path_buf();
    let damaged = |why: io::Error| Error::refused(path.display(), format!("it is no sound tar: {why}"));
    let budget = Rc::new(Cell::new(HEADERS));
    let mut archive = tar::Archive::new(Metered { inner: packed, budget: Rc::clone(&budget) });
    for entry in archive.entries().map_err(damaged)? {
        let mut entry = entry.map_err(damaged)?;
        let mode = entry.header().mode().map_err(damaged)?;
        let kind = match entry.header().entry_type() {
            // Says something about the archive as a whole, which git archive(1) does; it is no member.
            tar::EntryType::XGlobalHeader => continue,
            other => tar_kind(other),
        };
        let name = entry.path_bytes().into_owned();
        budget.set(writer.bytes_left().saturating_add(HEADERS));
        writer.entry(&name, kind, Some(mode), &mut entry)?;
        budget.set(HEADERS);
    }
    budget.set(writer.bytes_left().saturating_add(HEADERS));
    padding(archive.into_inner()).map_err(damaged)
}

/// Reads on behind the tar's end to that of its packing: only there stand the checksums that say whether all of it was
/// sound. A tar is padded with zeros, and nothing else may follow.
fn padding(mut rest: impl Read) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK];
    loop {
        match rest.read(&mut chunk) {
            Ok(0) => return Ok(()),
            Ok(read) if chunk[..read].iter().all(|byte| *byte == 0) => {}
            Ok(_) => return Err(io::Error::other("something stands behind its end")),
            Err(why) if why.kind() == io::ErrorKind::Interrupted => {}
            Err(why) => return Err(why),
        }
    }
}

fn tar_kind(kind: tar::EntryType) -> Kind {
    use tar::EntryType as T;
    match kind {
        T::Regular | T::Continuous => Kind::File,
        T::Directory => Kind::Folder,
        T::Symlink => Kind::Other("a symbolic link"),
        T::Link => Kind::Other("a hard link"),
        T::Char | T::Block => Kind::Other("a device"),
        T::Fifo => Kind::Other("a named pipe"),
        _ => Kind::Other("of an unknown kind"),
    }
}

/// A reader that ends with an error when its budget is used up: the tar reader takes headers into memory whole, however
/// long they say they are.
struct Metered<R> {
    inner: R,
    budget: Rc<Cell<u64>>,
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.budget.get()).unwrap_or(usize::MAX);
        if left == 0 {
            return Err(io::Error::other("it holds more than it may"));
        }
        let most = into.len().min(left);
        let read = self.inner.read(&mut into[..most])?;
        self.budget.set(self.budget.get() - read as u64);
        Ok(read)
    }
}

#[cfg(test)]
mod tests;
