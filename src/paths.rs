//! The names of everything on disk, in one place.
//!
//! Every path lies below a root: `/`, or the directory that `--root` named. Nothing else in the crate spells a path of a flag,
//! of the configuration or of the system.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// Where things are.
#[derive(Debug, Clone)]
pub struct Paths {
    root: PathBuf,
}

impl Paths {
    /// The paths of this machine.
    pub fn system() -> Self {
        Self { root: PathBuf::from("/") }
    }

    /// The paths below another root. It must exist: a mistyped `--root` must not be taken for an idle host.
    ///
    /// # Errors
    /// [`Error::Usage`] if the directory cannot be resolved.
    pub fn below_root(root: &Path) -> Result<Self> {
        let resolved =
            root.canonicalize().map_err(|why| Error::Usage(format!("cannot use --root {}: {why}", root.display())))?;
        Ok(Self { root: resolved })
    }

    /// Whether this is the machine itself; only then may anything be rebooted or logged to its syslog.
    pub fn is_system(&self) -> bool {
        self.root == Path::new("/")
    }

    /// The root.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// An absolute path as seen from inside the root, placed below it.
    pub fn at(&self, absolute: impl AsRef<Path>) -> PathBuf {
        let path = absolute.as_ref();
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// A path as it is called inside the root: what journals and messages say.
    pub fn inside(&self, path: &Path) -> PathBuf {
        Path::new("/").join(path.strip_prefix(&self.root).unwrap_or(path))
    }

    /// `/etc`: the flags lie on the root file system, because in single-user mode nothing else may be mounted.
    pub fn etc(&self) -> PathBuf {
        self.at("/etc")
    }

    /// The order, `patchflag(5)`.
    pub fn flag(&self) -> PathBuf {
        self.at("/etc").join(FLAG)
    }

    /// The journal of the run, `patchlog(5)`.
    pub fn log(&self) -> PathBuf {
        self.at("/etc").join(LOG)
    }

    /// Installed and not yet confirmed.
    pub fn done(&self) -> PathBuf {
        self.at("/etc").join(DONE)
    }

    /// The default configuration, `patch-config(5)`.
    pub fn config(&self) -> PathBuf {
        self.at("/etc/patch/config.ini")
    }

    /// The dotenv configuration of DLM Engine Updater 1.0.
    pub fn dlm_env(&self) -> PathBuf {
        self.at("/etc/dlm_engine_updater/.env")
    }

    /// The configuration of DLM Engine Updater before 1.0.
    pub fn dlm_config(&self) -> PathBuf {
        self.at("/etc/dlm_engine_updater/config.ini")
    }

    /// The configuration of Foreman DLM Updater.
    pub fn foreman_config(&self) -> PathBuf {
        self.at("/etc/foreman_dlm_updater/config.ini")
    }

    /// Held by the one `patch-run` that works.
    pub fn run_lock(&self) -> PathBuf {
        self.at("/run/patch/run")
    }

    /// The configuration of the lock service, `lockd.ini(5)`.
    pub fn lockd_config(&self) -> PathBuf {
        self.at("/etc/patch/lockd.ini")
    }

    /// Programs that must all agree before a patched host counts as confirmed.
    pub fn confirm_d(&self) -> PathBuf {
        self.at("/etc/patch/confirm.d")
    }

    /// Programs that are run when a run has failed.
    pub fn on_failure_d(&self) -> PathBuf {
        self.at("/etc/patch/on_failure.d")
    }

    /// The host lock. It lies on a file system that a reboot empties, and is only ever locked.
    pub fn host_lock(&self) -> PathBuf {
        self.at("/run/patch/lock")
    }

    /// Taken by the one `patch-lock acquire -p` that waits on this host; never the host lock while it waits.
    pub fn waiting(&self) -> PathBuf {
        self.at("/run/patch/waiting")
    }

    /// Which process group works for the tool that holds the host lock, or held it.
    pub fn worker(&self) -> PathBuf {
        self.at("/run/patch/worker")
    }

    /// Mail that waits for delivery, and mail that was delivered.
    pub fn spool(&self) -> PathBuf {
        self.at("/var/spool/patch")
    }

    /// What installers said, a file a run.
    pub fn outputs(&self) -> PathBuf {
        self.at("/var/log/patchflag")
    }

    /// sysvinit's table, whose `initdefault` is the trigger of the maintenance boot there.
    pub fn inittab(&self) -> PathBuf {
        self.at("/etc/inittab")
    }

    /// The two names that systemd's generator looks for, systemd.offline-updates(7). We put the first; the second is newer,
    /// and another updater's if it is there.
    pub fn system_update(&self) -> [PathBuf; 2] {
        [self.at("/system-update"), self.at("/etc/system-update")]
    }

    /// Mail that waits.
    pub fn mail_queue(&self) -> PathBuf {
        self.spool().join("queue")
    }

    /// Mail that was delivered, kept so that no run mails twice.
    pub fn mail_sent(&self) -> PathBuf {
        self.spool().join("sent")
    }

    /// Mail that was refused for good, kept until a person looks.
    pub fn mail_refused(&self) -> PathBuf {
        self.spool().join("refused")
    }

    /// Held for the moment of a change in the spool.
    pub fn spool_lock(&self) -> PathBuf {
        self.spool().join("lock")
    }

    /// Held by the one process that delivers, however long the relay takes.
    pub fn delivery_lock(&self) -> PathBuf {
        self.spool().join("delivery")
    }

    /// Where distributions keep the certificate authorities that they trust, in one file.
    pub fn ca_bundles(&self) -> [PathBuf; 4] {
        [
            "/etc/ssl/certs/ca-certificates.crt",
            "/etc/pki/tls/certs/ca-bundle.crt",
            "/etc/ssl/ca-bundle.pem",
            "/etc/ssl/cert.pem",
        ]
        .map(|path| self.at(path))
    }

    /// Where `policy-rc.d` is looked for by invoke-rc.d(8) and deb-systemd-invoke(1p).
    pub fn policy_dir(&self) -> PathBuf {
        self.at("/usr/sbin")
    }

    /// The state of dpkg(1): whether a host is a Debian one, its locks, its journal.
    pub fn dpkg(&self) -> PathBuf {
        self.at("/var/lib/dpkg")
    }

    /// What tells two installations of one image apart, machine-id(5).
    pub fn machine_id(&self) -> PathBuf {
        self.at("/etc/machine-id")
    }

    /// The same, made by us where there is no machine-id.
    pub fn host_id(&self) -> PathBuf {
        self.at("/etc/patch/host-id")
    }

    /// The locks that this host took by hand, a line each.
    pub fn grants(&self) -> PathBuf {
        self.at("/var/lib/patch/grants")
    }

    /// The drivers of this host, a link each to its state file.
    pub fn drivers(&self) -> PathBuf {
        self.at("/var/lib/patch/drivers")
    }

    /// The highest number that this host gave a grant itself.
    pub fn grant_number(&self) -> PathBuf {
        self.at("/var/lib/patch/grant-number")
    }

    /// Held for the moment of a change of [`Paths::grants`] or [`Paths::grant_number`].
    pub fn grants_lock(&self) -> PathBuf {
        self.at("/run/patch/grants")
    }

    /// The member of etcd that answered last.
    pub fn etcd_member(&self) -> PathBuf {
        self.at("/run/patch/etcd")
    }

    /// Held while a command runs under a lock, a file for each lock.
    pub fn holds(&self) -> PathBuf {
        self.at("/run/patch/hold")
    }

    /// What `/system-update` points to: a directory of ours, and nothing but a name for it.
    pub fn offline_update(&self) -> PathBuf {
        self.at("/var/lib/patch/system-update")
    }
}

/// The order, in `/etc`.
pub const FLAG: &str = "patchflag";
/// The journal, in `/etc`.
pub const LOG: &str = "patchlog";
/// Installed and not yet confirmed, in `/etc`.
pub const DONE: &str = "patchdone";
/// Link to the dated log of a failed run, in `/etc`.
pub const FAILED: &str = "patchfailed";
/// Room on the file system of `/etc`, set aside at staging and given back when the installer has ended.
pub const ROOM: &str = ".patchroom";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_below_another_root_keeps_its_name_inside() {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths::below_root(dir.path()).unwrap();
        assert_eq!(paths.inside(&paths.flag()), Path::new("/etc/patchflag"));
        assert!(!paths.is_system());
    }

    #[test]
    fn a_root_that_is_not_there_is_an_error() {
        assert!(matches!(Paths::below_root(Path::new("/nonexistent/root")), Err(Error::Usage(_))));
    }
}
