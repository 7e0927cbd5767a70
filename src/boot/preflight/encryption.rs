//! `encrypted-root`: whether the boot would stop and ask for a passphrase.

use std::path::Path;

use super::Finding;
use crate::boot::mounts::Tables;
use crate::error::{Error, Result};
use crate::paths::Paths;

const ID: &str = "encrypted-root";
/// Layers of devices are followed this far.
const DEPTH: usize = 8;
/// crypttab(5): options by which a key comes without a person.
const BY_ITSELF: [&str; 4] = ["keyscript=", "tpm2-device=", "pkcs11-uri=", "tang"];
/// Clevis unlocks without a word in crypttab; these are its hooks for the initial RAM disk.
const CLEVIS: [&str; 3] = [
    "/usr/share/initramfs-tools/hooks/clevis",
    "/usr/lib/dracut/modules.d/60clevis",
    "/usr/lib/dracut/modules.d/50clevis",
];

/// Whether something that unlocks by itself is installed, though crypttab does not say so.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Helper {
    Installed,
    Absent,
}

pub fn encrypted_root(paths: &Paths, tables: &Tables) -> Finding {
    Finding::of(ID, check(paths, tables))
}

fn check(paths: &Paths, tables: &Tables) -> Result<Finding> {
    let Some(root) = tables.of(Path::new("/")) else { return Ok(Finding::ok(ID, "the root's device cannot be told")) };
    let mut names = Vec::new();
    if let Some(device) = block_device(paths, &root.source) {
        encrypted_below(paths, &device, DEPTH, &mut names);
    }
    let path = paths.at("/etc/crypttab");
    let crypttab = match std::fs::read_to_string(&path) {
        Err(why) if why.kind() == std::io::ErrorKind::NotFound => String::new(),
        text => text.map_err(Error::io("read", &path))?,
    };
    let clevis = CLEVIS.iter().any(|hook| paths.at(hook).exists());
    Ok(judge(&names, &crypttab, if clevis { Helper::Installed } else { Helper::Absent }))
}

/// The kernel's name of a device: `dm-0` for `/dev/mapper/vg-root`. A source that is no device has none.
fn block_device(paths: &Paths, source: &str) -> Option<String> {
    let name = Path::new(source.strip_prefix("/dev/")?).file_name()?.to_str()?.to_string();
    let class = paths.at("/sys/class/block");
    if class.join(&name).exists() {
        return Some(name);
    }
    let devices = std::fs::read_dir(class).ok()?.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    devices.into_iter().find(|device| attribute(paths, device, "dm/name").as_deref() == Some(&name))
}

/// Collects the names of the encrypted layers that a device rests on.
fn encrypted_below(paths: &Paths, device: &str, depth: usize, names: &mut Vec<String>) {
    if attribute(paths, device, "dm/uuid").is_some_and(|uuid| uuid.starts_with("CRYPT-")) {
        names.push(attribute(paths, device, "dm/name").unwrap_or_else(|| device.to_string()));
    }
    let below = paths.at("/sys/class/block").join(device).join("slaves");
    let Ok(entries) = std::fs::read_dir(below) else { return };
    for entry in entries.flatten().filter(|_| depth > 0) {
        encrypted_below(paths, &entry.file_name().to_string_lossy(), depth - 1, names);
    }
}

fn attribute(paths: &Paths, device: &str, name: &str) -> Option<String> {
    let path = paths.at("/sys/class/block").join(device).join(name);
    Some(std::fs::read_to_string(path).ok()?.trim().to_string())
}

fn judge(names: &[String], crypttab: &str, helper: Helper) -> Finding {
    let asks: Vec<&String> = names.iter().filter(|name| !opens_by_itself(name, crypttab)).collect();
    match (asks.first(), helper) {
        (None, _) if names.is_empty() => Finding::ok(ID, "the root is not encrypted"),
        (None, _) => Finding::ok(ID, "the root is unlocked without a person"),
        (Some(name), Helper::Installed) => {
            let remedy = "make sure that clevis unlocks it: clevis luks list";
            Finding::warn(ID, format!("{name} has no key in /etc/crypttab"), remedy)
        }
        (Some(name), Helper::Absent) => {
            let remedy = "give it a key that needs no person (TPM, Tang, key script), or patch this host attended";
            Finding::stop(ID, format!("the root lies on {name}, whose passphrase would be asked for"), remedy)
        }
    }
}

/// `NAME DEVICE KEY OPTIONS`: a key file, or an option that brings the key.
fn opens_by_itself(name: &str, crypttab: &str) -> bool {
    let lines = crypttab.lines().filter(|line| !line.trim_start().starts_with('#'));
    let entry =
        lines.map(|line| line.split_whitespace().collect::<Vec<_>>()).find(|words| words.first() == Some(&name));
    let Some(words) = entry else { return false };
    let key = words.get(2).copied().unwrap_or("none");
    let options = words.get(3).copied().unwrap_or_default();
    let by_option = options.split(',').any(|option| BY_ITSELF.iter().any(|known| option.starts_with(known)));
    !matches!(key, "none" | "-") || by_option
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::boot::mounts::parse_mountinfo;
    use crate::boot::preflight::Verdict;

    fn verdict(crypttab: &str, helper: Helper) -> Verdict {
        judge(&["sda3_crypt".to_string()], crypttab, helper).verdict
    }

    #[test]
    fn a_passphrase_stops_the_run_and_a_key_does_not() {
        for line in [
            "sda3_crypt UUID=1 none luks,discard",
            "sda3_crypt UUID=1 -",
            "sda3_crypt UUID=1",
            "",
            "#sda3_crypt x /key",
        ] {
            assert_eq!(verdict(line, Helper::Absent), Verdict::Stop, "{line}");
            assert_eq!(verdict(line, Helper::Installed), Verdict::Warn, "{line}");
        }
        for line in [
            "sda3_crypt UUID=1 /etc/keys/root.key luks",
            "sda3_crypt UUID=1 none luks,keyscript=/bin/x",
            "sda3_crypt UUID=1 - tpm2-device=auto",
        ] {
            assert_eq!(verdict(line, Helper::Absent), Verdict::Ok, "{line}");
        }
        assert_eq!(judge(&[], "swap UUID=1 none swap", Helper::Absent).verdict, Verdict::Ok);
    }

    #[test]
    fn an_encrypted_layer_is_found_below_a_volume() {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths::below_root(dir.path()).unwrap();
        let block = paths.at("/sys/class/block");
        for (device, name, uuid) in [("dm-1", "vg-root", "LVM-x"), ("dm-0", "sda3_crypt", "CRYPT-LUKS2-y")] {
            std::fs::create_dir_all(block.join(device).join("dm")).unwrap();
            std::fs::create_dir_all(block.join(device).join("slaves")).unwrap();
            std::fs::write(block.join(device).join("dm/name"), format!("{name}\n")).unwrap();
            std::fs::write(block.join(device).join("dm/uuid"), format!("{uuid}\n")).unwrap();
        }
        std::fs::create_dir(block.join("dm-1/slaves/dm-0")).unwrap();
        let mounted = |source: &str| Tables {
            mounted: Some(parse_mountinfo(&format!("1 0 254:1 / / rw - ext4 {source} rw\n"))),
            fstab: Vec::new(),
        };
        let finding = check(&paths, &mounted("/dev/mapper/vg-root")).unwrap();
        assert_eq!(finding.verdict, Verdict::Stop);
        assert!(finding.evidence.contains("sda3_crypt"), "{finding}");
        assert_eq!(check(&paths, &mounted("/dev/sda1")).unwrap().verdict, Verdict::Ok);
        assert_eq!(check(&paths, &mounted("overlay")).unwrap().verdict, Verdict::Ok);
    }
}
