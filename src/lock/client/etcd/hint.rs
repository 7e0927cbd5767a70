//! Which member answered last, for the next call: one that is cut off would cost each call a whole time-out.
//!
//! A hint, and no more: whatever stands in the file, it says no more than who is asked first. What cannot be read is none, and what
//! cannot be written is left out.

use crate::paths::Paths;
use crate::sys::dir::Dir;
use crate::sys::{replace, trusted};

/// An address is one short line.
const LIMIT: u64 = 4096;

/// Which of these members answered last; the first if nobody knows.
pub fn read<'a>(paths: &Paths, members: impl IntoIterator<Item = &'a str>) -> usize {
    let Ok(bytes) = trusted::read(&paths.etcd_member(), LIMIT) else { return 0 };
    let known = String::from_utf8_lossy(&bytes);
    members.into_iter().position(|member| member == known.trim_end()).unwrap_or_default()
}

/// Remembers it.
pub fn write(paths: &Paths, member: &str) {
    let path = paths.etcd_member();
    if let Ok((above, name)) = trusted::split(&path)
        && let Ok(dir) = Dir::create(above, 0o755)
    {
        let _ = replace::replace(&dir, &name.to_string_lossy(), format!("{member}\n").as_bytes(), 0o644);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    const MEMBERS: [&str; 3] = ["http://a:2379", "http://b:2379", "http://c:2379"];

    #[test]
    fn what_was_written_is_read() {
        let keep = tempfile::tempdir().unwrap();
        let paths = Paths::below_root(keep.path()).unwrap();
        assert_eq!(read(&paths, MEMBERS), 0);
        write(&paths, MEMBERS[2]);
        assert_eq!(read(&paths, MEMBERS), 2);
        assert_eq!(fs::metadata(paths.etcd_member()).unwrap().permissions().mode() & 0o7777, 0o644);
        assert_eq!(read(&paths, ["http://x:2379"]), 0, "the configuration has changed");
    }

    #[test]
    fn what_is_planted_names_nobody_who_is_not_configured_and_stops_nothing() {
        let keep = tempfile::tempdir().unwrap();
        let paths = Paths::below_root(keep.path()).unwrap();
        let path = paths.etcd_member();
        write(&paths, MEMBERS[1]);
        for text in
            ["", "\n", "http://evil:2379\n", "http://b:2379\nhttp://c:2379\n", "\0\u{fffd}", &"x".repeat(1 << 20)]
        {
            fs::write(&path, text).unwrap();
            assert_eq!(read(&paths, MEMBERS), 0, "{text:.40}");
        }
        fs::write(&path, MEMBERS[1]).unwrap();
        fs::set_permissions(&path, PermissionsExt::from_mode(0o666)).unwrap();
        assert_eq!(read(&paths, MEMBERS), 0, "anybody could have written it");
        fs::remove_file(&path).unwrap();
        symlink("/nonexistent", &path).unwrap();
        assert_eq!(read(&paths, MEMBERS), 0);
        fs::remove_file(&path).unwrap();
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRUSR).unwrap();
        assert_eq!(read(&paths, MEMBERS), 0, "it waits for no writer");
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert_eq!(read(&paths, MEMBERS), 0);
        write(&paths, MEMBERS[1]);
        assert_eq!(read(&paths, MEMBERS), 0, "a directory is in the way, and that is all");
    }
}
