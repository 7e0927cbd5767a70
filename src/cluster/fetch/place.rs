//! Where a server may make a host put its cluster.

use std::path::{Component, Path};

use crate::error::{Error, Result};
use crate::sys::trusted::is_plain_name;

/// The system's own, and what a boot empties: no cluster goes there, whatever the configuration says.
const NEVER: [&str; 12] =
    ["/etc", "/usr", "/bin", "/sbin", "/lib", "/lib64", "/boot", "/dev", "/proc", "/sys", "/run", "/tmp"];

/// Judges the install directory that `host_type` gives this host: below the host's own base, made of plain names.
///
/// # Errors
/// [`Error::Usage`] if the base is one that must not be; [`Error::Refused`] if the directory does not lie below it.
pub fn judge(install_dir: &Path, base: &Path) -> Result<()> {
    if base.parent().is_none() || NEVER.iter().any(|never| base.starts_with(never)) {
        let words =
            format!("[grab] base = {} is a place of the system's; take one like /var/lib/patch", base.display());
        return Err(Error::Usage(words));
    }
    let refuse = |why: String| Err(Error::refused(install_dir.display(), why));
    let way_out = "correct its line in host_type, or [grab] base here";
    match install_dir.strip_prefix(base) {
        Ok(below) if below.as_os_str().is_empty() => {
            return refuse(format!("host_type names the base itself, {}; name a directory below it", base.display()));
        }
        Ok(_) => {}
        Err(_) => return refuse(format!("it does not lie below {}; {way_out}", base.display())),
    }
    let is_plain = |part: Component| match part {
        Component::RootDir => true,
        Component::Normal(name) => name.to_str().is_some_and(is_plain_name),
        _ => false,
    };
    // A directory is not made of "..", and apt has to be able to read its name.
    if install_dir.components().all(is_plain) {
        Ok(())
    } else {
        refuse(format!("its parts are no plain names; {way_out}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn verdict(dir: &str, base: &str) -> Result<()> {
        judge(Path::new(dir), Path::new(base))
    }

    #[test]
    fn only_what_lies_below_the_base_is_taken() {
        assert!(verdict("/var/lib/patch/web", "/var/lib/patch").is_ok());
        for bad in
            ["/etc", "/var/lib/patch", "/var/lib/patchwork", "/var/lib/patch/../x", "/var/lib/patch/.x", "/var/lib"]
        {
            assert!(matches!(verdict(bad, "/var/lib/patch"), Err(Error::Refused { .. })), "{bad}");
        }
    }

    #[test]
    fn a_base_of_the_systems_is_a_wrong_configuration() {
        for bad in ["/", "/etc", "/etc/patch", "/usr/lib", "/run/patch", "/tmp"] {
            assert!(matches!(verdict(&format!("{bad}/x"), bad), Err(Error::Usage(_))), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn nothing_leads_out_of_the_base(tail in "[a-z./]{0,30}") {
            let dir = format!("/var/lib/patch/{tail}");
            if verdict(&dir, "/var/lib/patch").is_ok() {
                let below = Path::new(&dir).strip_prefix("/var/lib/patch").unwrap();
                prop_assert!(below.components().all(|part| matches!(part, Component::Normal(_))));
            }
        }
    }
}
