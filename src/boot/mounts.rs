//! What is mounted and what should be: fstab(5), and `/proc/self/mountinfo` of proc(5).

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::paths::Paths;

/// One line of either table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// The device, or what stands for it.
    pub source: String,
    /// Where it is mounted.
    pub point: PathBuf,
    /// The type of the file system.
    pub kind: String,
    /// The options, without their commas.
    pub options: Vec<String>,
}

impl Mount {
    /// Whether an option stands there, by itself or with a value.
    pub fn has(&self, option: &str) -> bool {
        self.options.iter().any(|o| o == option || o.strip_prefix(option).is_some_and(|rest| rest.starts_with('=')))
    }
}

/// The tables of a host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tables {
    /// What is mounted now, in the order of mounting; `None` where nobody can tell (a root that was not booted).
    pub mounted: Option<Vec<Mount>>,
    /// What the host's own table says. Swap and entries without a place are left out.
    pub fstab: Vec<Mount>,
}

impl Tables {
    /// Reads both. A host without an fstab has an empty one.
    ///
    /// # Errors
    /// [`Error::Io`] if one is there and cannot be read.
    pub fn read(paths: &Paths) -> Result<Self> {
        let mountinfo = read(&paths.at("/proc/self/mountinfo"))?;
        if mountinfo.is_none() && paths.is_system() {
            return Err(Error::failed("read", "/proc/self/mountinfo", "it is not there; mount /proc"));
        }
        let fstab = read(&paths.at("/etc/fstab"))?.unwrap_or_default();
        Ok(Self { mounted: mountinfo.map(|text| parse_mountinfo(&text)), fstab: parse_fstab(&fstab) })
    }

    /// The file system that a path lies on now.
    pub fn of(&self, path: &Path) -> Option<&Mount> {
        holder(self.mounted.as_deref().unwrap_or_default(), path)
    }

    /// The file system that a path should lie on.
    pub fn planned(&self, path: &Path) -> Option<&Mount> {
        holder(&self.fstab, path)
    }

    /// Whether a path lies on the file system that fstab plans for it, or on one further down. What is mounted only when somebody
    /// asks for it (`noauto`) is not missed.
    pub fn is_in_place(&self, path: &Path) -> bool {
        let Some(mounted) = &self.mounted else { return true };
        let at_boot: Vec<Mount> = self.fstab.iter().filter(|m| !m.has("noauto")).cloned().collect();
        let planned = holder(&at_boot, path).map_or(Path::new("/"), |m| &m.point);
        let actual = holder(mounted, path).map_or(Path::new("/"), |m| &m.point);
        actual.starts_with(planned)
    }
}

/// Whether a path lies on the file system that it should lie on. In a maintenance level something may not be mounted, and what is
/// written below its empty directory would be hidden for ever when it is.
///
/// # Errors
/// [`Error::Io`] if that cannot be told.
pub fn is_on_its_own_file_system(paths: &Paths, path: &Path) -> Result<bool> {
    Ok(Tables::read(paths)?.is_in_place(&resolve(paths, path)))
}

/// The path as the kernel would take it, links resolved as far as it exists, seen from inside the root.
pub fn resolve(paths: &Paths, path: &Path) -> PathBuf {
    for above in path.ancestors() {
        if let Ok(real) = above.canonicalize() {
            let rest = path.strip_prefix(above).unwrap_or(Path::new(""));
            return paths.inside(&real).join(rest).components().collect();
        }
    }
    paths.inside(path)
}

/// The mount that holds a path: the deepest one, and of several on one place the last, which hides the others.
fn holder<'a>(mounts: &'a [Mount], path: &Path) -> Option<&'a Mount> {
    let depth = |mount: &Mount| mount.point.components().count();
    mounts.iter().filter(|mount| path.starts_with(&mount.point)).max_by_key(|mount| depth(mount))
}

fn read(path: &Path) -> Result<Option<String>> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(why) if why.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(why) => Err(Error::io("read", path)(why)),
    }
}

/// Lines of `SOURCE POINT TYPE OPTIONS …`.
pub fn parse_fstab(text: &str) -> Vec<Mount> {
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    let mounts = lines.filter_map(|line| {
        let mut words = line.split_whitespace().map(unescape);
        let (source, point, kind) = (words.next()?, words.next()?, words.next()?);
        Some(Mount { source, point: point.into(), kind, options: split(&words.next().unwrap_or_default()) })
    });
    mounts.filter(|mount| mount.point.is_absolute() && mount.kind != "swap").collect()
}

/// Lines of `ID PARENT DEVICE ROOT POINT OPTIONS … - TYPE SOURCE OPTIONS`.
pub fn parse_mountinfo(text: &str) -> Vec<Mount> {
    let mount = |line: &str| {
        let (before, after) = line.split_once(" - ")?;
        let mut words = before.split_whitespace().skip(4).map(unescape);
        let (point, options) = (words.next()?, words.next()?);
        let mut rest = after.split_whitespace().map(unescape);
        let (kind, source) = (rest.next()?, rest.next()?);
        Some(Mount { source, point: point.into(), kind, options: split(&options) })
    };
    text.lines().filter_map(mount).collect()
}

fn split(options: &str) -> Vec<String> {
    options.split(',').filter(|option| !option.is_empty()).map(str::to_string).collect()
}

/// White space in a name is written as a backslash and three octal digits.
fn unescape(word: &str) -> String {
    let mut out = Vec::with_capacity(word.len());
    let mut rest = word.as_bytes();
    while let [first, tail @ ..] = rest {
        let digits = tail.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) if *first == b'\\' => {
                out.push(byte);
                rest = &tail[3..];
            }
            _ => {
                out.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MOUNTINFO: &str = "22 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw\n\
        30 22 254:2 / /var rw,nosuid - ext4 /dev/vda2 rw\n\
        31 22 0:22 / /run rw - tmpfs tmpfs rw\n\
        40 22 0:30 / /srv/a\\040b ro,noexec - nfs4 server:/x rw\n";

    fn tables(fstab: &str, mountinfo: &str) -> Tables {
        Tables { mounted: Some(parse_mountinfo(mountinfo)), fstab: parse_fstab(fstab) }
    }

    #[test]
    fn both_tables_are_understood() {
        let mounts = parse_mountinfo(MOUNTINFO);
        assert_eq!((mounts[3].point.as_path(), mounts[3].kind.as_str()), (Path::new("/srv/a b"), "nfs4"));
        let fstab = parse_fstab(
            "# x\nUUID=1 / ext4 errors=remount-ro 0 1\n/dev/sr0 /media/cd udf,iso9660 user,noauto 0 0\nUUID=2 none swap sw\n",
        );
        assert_eq!(fstab.len(), 2);
        assert!(fstab[0].has("errors") && fstab[1].has("noauto") && !fstab[1].has("auto"));
    }

    #[test]
    fn the_deepest_and_last_mount_holds_a_path() {
        let tables = tables("", MOUNTINFO);
        assert_eq!(tables.of(Path::new("/var/spool/patch")).unwrap().source, "/dev/vda2");
        assert_eq!(tables.of(Path::new("/variable")).unwrap().source, "/dev/vda1");
    }

    #[test]
    fn a_directory_whose_file_system_is_not_mounted_is_noticed() {
        let fstab = "/dev/vda1 / ext4 defaults\n/dev/vda2 /var ext4 defaults\n/dev/vda3 /srv ext4 noauto\n";
        let whole = tables(fstab, MOUNTINFO);
        assert!(whole.is_in_place(Path::new("/var/spool/patch")));
        assert!(whole.is_in_place(Path::new("/srv/x")));
        let only_root = MOUNTINFO.lines().next().unwrap();
        assert!(!tables(fstab, only_root).is_in_place(Path::new("/var/spool/patch")));
        assert!(tables(fstab, only_root).is_in_place(Path::new("/etc")));
        assert!(tables("", "1 0 0:1 / / rw - overlay overlay rw\n").is_in_place(Path::new("/var/spool")));
    }

    #[test]
    fn a_link_is_followed_to_the_file_system_it_leads_to() {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths::below_root(dir.path()).unwrap();
        std::fs::create_dir_all(paths.at("/data/spool")).unwrap();
        std::os::unix::fs::symlink("data/spool", paths.at("/spool")).unwrap();
        assert_eq!(resolve(&paths, &paths.at("/spool/patch/new")), Path::new("/data/spool/patch/new"));
    }

    #[test]
    fn this_machine_is_in_place() {
        assert!(is_on_its_own_file_system(&Paths::system(), Path::new("/proc/self")).unwrap());
    }

    proptest! {
        #[test]
        fn tables_of_any_kind_are_no_trouble(text in "\\PC{0,200}") {
            let _ = (parse_fstab(&text), parse_mountinfo(&text));
        }
    }
}
