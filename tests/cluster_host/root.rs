//! A Debian root for one test, packages for it, and clusters made of them.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::LazyLock;
use std::time::Duration;

use patchflag::cluster::digest;
use patchflag::cluster::install::{self, Deadline, Outcome, Plan};
use patchflag::cluster::manifest::{Cluster, FileEntry, Kind};
use patchflag::error::Result;
use patchflag::paths::Paths;

const ROOT: &str = "PATCHFLAG_TEST_ROOT";
/// A root takes 240 MB.
const SIZE: &str = "600m";
/// Unpacks `$2` on a tmpfs at `$1`, then becomes the rest.
const ENTER: &str = "root=$1 tarball=$2; shift 2; mount -t tmpfs -o mode=755,size=$SIZE root \"$root\" && \
    tar --extract --zstd --preserve-permissions --numeric-owner --file=\"$tarball\" --directory=\"$root\" && exec \"$@\"";

/// The tarball of a sysvinit host, built by the laboratory if it is not there.
static TARBALL: LazyLock<String> = LazyLock::new(|| {
    let script = "from tests.hosts import roots; print(roots.ensure('sysv'))";
    let done = Command::new("python3").args(["-c", script]).current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    assert!(done.status.success(), "the laboratory cannot build a root: {}", words(&done));
    String::from_utf8(done.stdout).unwrap().trim().to_string()
});

/// Runs the body of a test in a root of its own. `test` is the full name of the test that calls.
pub fn in_a_root(test: &str, body: impl FnOnce(Host)) {
    if let Some(root) = std::env::var_os(ROOT) {
        return body(Host::new(Path::new(&root)));
    }
    let root = tempfile::tempdir().unwrap();
    let done = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "sh", "-c", ENTER, "sh"])
        .arg(root.path())
        .arg(&*TARBALL)
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env("SIZE", SIZE)
        .env(ROOT, root.path())
        .output()
        .unwrap();
    let said = words(&done);
    assert!(done.status.success() && said.contains("1 passed"), "{said}");
}

fn words(done: &Output) -> String {
    String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr)
}

/// A host of the test, to be changed at will.
pub struct Host {
    pub paths: Paths,
}

/// A package in the making.
pub struct Package {
    name: String,
    version: String,
    fields: String,
    files: Vec<(String, Vec<u8>)>,
    scripts: Vec<(String, String)>,
}

/// A package with one file that holds its version.
pub fn package(name: &str, version: &str) -> Package {
    let files = vec![(format!("usr/share/{name}/version"), version.as_bytes().to_vec())];
    Package { name: name.into(), version: version.into(), fields: String::new(), files, scripts: Vec::new() }
}

impl Package {
    /// A field of its control file.
    pub fn field(mut self, line: &str) -> Self {
        self.fields = self.fields + line + "\n";
        self
    }

    /// A file in it.
    pub fn file(mut self, path: &str, bytes: &[u8]) -> Self {
        self.files.push((path.into(), bytes.to_vec()));
        self
    }

    /// A file of its control archive: `postinst`, `conffiles`, `templates`.
    pub fn control(mut self, name: &str, text: &str) -> Self {
        self.scripts.push((name.into(), text.into()));
        self
    }

    fn stanza(&self) -> String {
        let (name, version, fields) = (&self.name, &self.version, &self.fields);
        let kib = self.files.iter().map(|(_, bytes)| bytes.len() / 1024 + 1).sum::<usize>();
        format!(
            "Package: {name}\nVersion: {version}\nArchitecture: all\nMaintainer: test <test@localhost>\n\
             Installed-Size: {kib}\nDescription: made by a test\n{fields}"
        )
    }

    fn build(&self, into: &Path) -> PathBuf {
        let tree = tempfile::tempdir().unwrap();
        let write = |path: &str, bytes: &[u8]| {
            let path = tree.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, bytes).unwrap();
            path
        };
        for (path, bytes) in &self.files {
            write(path, bytes);
        }
        write("DEBIAN/control", self.stanza().as_bytes());
        for (name, text) in &self.scripts {
            use std::os::unix::fs::PermissionsExt;
            let path = write(&format!("DEBIAN/{name}"), text.as_bytes());
            let mode = if text.starts_with("#!") { 0o755 } else { 0o644 };
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        }
        std::fs::set_permissions(tree.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let deb = into.join(format!("{}_{}_all.deb", self.name, self.version.replace(':', "%3a")));
        run(Command::new("dpkg-deb").args(["-Znone", "-b", "--root-owner-group"]).arg(tree.path()).arg(&deb));
        deb
    }
}

/// A postinst that does this when the package is configured.
pub fn when_configured(script: &str) -> String {
    format!("#!/bin/sh\nset -e\nif [ \"$1\" = configure ]; then\n{script}\nfi\n")
}

/// A cluster as it lies staged on a host.
pub struct Staged {
    pub dir: PathBuf,
    pub cluster: Cluster,
}

impl Staged {
    /// Puts what is on disk now into the list: the cluster was signed this way.
    pub fn sign(&mut self) {
        for file in &mut self.cluster.files {
            *file = entry(&self.dir, &file.path);
        }
    }

    /// Changes the index.
    pub fn edit_index(&self, edit: impl FnOnce(String) -> String) {
        let path = self.dir.join("Packages");
        let text = std::fs::read_to_string(&path).unwrap();
        let edited = edit(text.clone());
        assert_ne!(edited, text);
        std::fs::write(&path, edited).unwrap();
    }
}

fn entry(dir: &Path, path: &str) -> FileEntry {
    let digests = digest::of(File::open(dir.join(path)).unwrap()).unwrap();
    FileEntry { path: path.into(), size: digests.size, sha256: digests.sha256, md5: digests.md5 }
}

/// A cluster of files that lie in `dir`.
pub fn cluster(dir: &Path, kind: Kind, files: &[String]) -> Cluster {
    Cluster {
        format: 1,
        name: "test".into(),
        id: "20261121T020007Z".into(),
        sequence: 1,
        expires: "2099-01-01T00:00:00Z".into(),
        release: "debian-12/amd64".into(),
        kind,
        program: (kind == Kind::Script).then(|| "install_cluster".to_string()),
        files: files.iter().map(|path| entry(dir, path)).collect(),
        advisories: Vec::new(),
    }
}

impl Host {
    fn new(root: &Path) -> Self {
        Self { paths: Paths::below_root(root).unwrap() }
    }

    /// Installs packages as they would have been long ago, by dpkg alone.
    pub fn has(&self, packages: &[Package]) {
        for package in packages {
            let deb = package.build(&self.paths.at("/root"));
            let inside = self.paths.inside(&deb);
            run(self.command("dpkg").arg("-i").arg(inside).stdin(Stdio::null()));
        }
    }

    /// Stages an apt cluster.
    pub fn staged(&self, packages: &[Package]) -> Staged {
        let dir = self.staged_dir();
        std::fs::create_dir(dir.join("packages")).unwrap();
        let (mut index, mut files) = (String::new(), vec!["Packages".to_string()]);
        for package in packages {
            let deb = package.build(&dir.join("packages"));
            let path = format!("packages/{}", deb.file_name().unwrap().to_string_lossy());
            let file = entry(&dir, &path);
            let stanza = package.stanza();
            let (size, sha256) = (file.size, &file.sha256);
            index = format!("{index}{stanza}Filename: {path}\nSize: {size}\nSHA256: {sha256}\n\n");
            files.push(path);
        }
        std::fs::write(dir.join("Packages"), index).unwrap();
        Staged { cluster: cluster(&dir, Kind::Apt, &files), dir }
    }

    /// An empty directory where clusters are staged.
    pub fn staged_dir(&self) -> PathBuf {
        use std::os::unix::fs::DirBuilderExt;
        let dir = self.paths.at("/var/lib/patch/web/20261121T020007Z");
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir).unwrap();
        dir
    }

    pub fn dry_run(&self, staged: &Staged) -> Result<Plan> {
        install::for_cluster(&self.paths, &staged.dir, &staged.cluster, "run").unwrap().dry_run()
    }

    pub fn install(&self, staged: &Staged) -> Result<Outcome> {
        self.install_within(staged, Duration::from_mins(2))
    }

    pub fn install_within(&self, staged: &Staged, after: Duration) -> Result<Outcome> {
        let deadline = Deadline { after, grace: Duration::from_secs(2) };
        let installer = install::for_cluster(&self.paths, &staged.dir, &staged.cluster, "run").unwrap();
        let outcome = installer.install(self.output(), deadline);
        println!("{outcome:?}\n{}", self.said());
        outcome
    }

    pub fn repair(&self, staged: &Staged) -> Result<Outcome> {
        let deadline = Deadline { after: Duration::from_mins(2), grace: Duration::from_secs(2) };
        let installer = install::for_cluster(&self.paths, &staged.dir, &staged.cluster, "run").unwrap();
        let outcome = installer.repair(self.output(), deadline);
        println!("{outcome:?}\n{}", self.said());
        outcome
    }

    fn output(&self) -> File {
        File::options().append(true).create(true).open(self.paths.at("/root/output")).unwrap()
    }

    /// What the installers wrote.
    pub fn said(&self) -> String {
        std::fs::read_to_string(self.paths.at("/root/output")).unwrap_or_default()
    }

    /// The installed version of a package.
    pub fn version(&self, package: &str) -> String {
        let done = self.command("dpkg-query").args(["-W", "-f", "${Version}", package]).output().unwrap();
        String::from_utf8(done.stdout).unwrap()
    }

    pub fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.paths.at(path)).unwrap_or_default()
    }

    pub fn write(&self, path: &str, text: &str) {
        let path = self.paths.at(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
    }

    pub fn script(&self, path: &str, text: &str) {
        self.write(path, text);
        std::fs::set_permissions(self.paths.at(path), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    }

    pub fn is_there(&self, path: &str) -> bool {
        self.paths.at(path).exists()
    }

    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("chroot");
        command
            .arg(self.paths.root())
            .arg(program)
            .env("LC_ALL", "C.UTF-8")
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        command
    }
}

/// Runs to success.
pub fn run(command: &mut Command) {
    let done = command.output().unwrap();
    assert!(done.status.success(), "{command:?}: {}", words(&done));
}

/// Waits until something is so.
pub fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..600 {
        if is_so() {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("{what} did not happen");
}

/// The changes of a plan or an outcome, as a person reads them.
pub fn lines(changes: &[install::Change]) -> Vec<String> {
    changes.iter().map(ToString::to_string).collect()
}
