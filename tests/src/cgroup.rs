//! A control group of a test's own.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// An empty child of the control group this process is in, in the hierarchy that the kernel programs report.
#[derive(Debug)]
pub struct ChildCgroup {
    path: PathBuf,
}

impl ChildCgroup {
    /// Makes it; `name` is unique among the tests of this process.
    ///
    /// # Errors
    /// Where control groups are mounted read-only, as in most containers.
    pub fn new(name: &str) -> io::Result<Self> {
        Self::at(own()?.join(format!("collector-tests-{}-{name}", std::process::id())))
    }

    /// Makes one below it, which goes first.
    ///
    /// # Errors
    /// As for [`ChildCgroup::new`].
    pub fn child(&self, name: &str) -> io::Result<Self> {
        Self::at(self.path.join(name))
    }

    fn at(path: PathBuf) -> io::Result<Self> {
        fs::create_dir(&path)?;
        Ok(Self { path })
    }

    /// Its id, as events and filters have it.
    #[must_use]
    pub fn id(&self) -> u64 {
        fs::metadata(&self.path).expect("it is there").ino()
    }

    /// Moves a process into it.
    pub fn take_in(&self, pid: u32) {
        fs::write(self.path.join("cgroup.procs"), pid.to_string()).expect("root may move processes");
    }
}

impl Drop for ChildCgroup {
    fn drop(&mut self) {
        // Fails while a process is in it: then a test has failed, and the directory is the least of it.
        let _ = fs::remove_dir(&self.path);
    }
}

/// The directory of our control group: in the v1 memory hierarchy where that is in use, else in the v2 one.
fn own() -> io::Result<PathBuf> {
    let groups = fs::read_to_string("/proc/self/cgroup")?;
    let field = |controllers: &str| {
        groups.lines().find_map(|line| line.split_once(':')?.1.strip_prefix(controllers)?.strip_prefix(':'))
    };
    let (group, is_ours): (_, fn(&str) -> bool) = match field("memory") {
        Some(group) => (group, |options| options.split(',').any(|option| option == "memory")),
        None => (field("").unwrap_or("/"), |_| true),
    };
    let kind = if field("memory").is_some() { "cgroup" } else { "cgroup2" };
    let mounts = fs::read_to_string("/proc/self/mounts")?;
    let mount = mounts.lines().find_map(|line| {
        let [_, at, file_system, options, ..] = line.split(' ').collect::<Vec<_>>()[..] else { return None };
        (file_system == kind && is_ours(options)).then_some(at)
    });
    let mount = mount.ok_or_else(|| io::Error::other(format!("no file system {kind} is mounted")))?;
    Ok(Path::new(mount).join(group.trim_start_matches('/')))
}
