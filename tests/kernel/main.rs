//! What the kernel programs see, tried on processes of the tests' own. Needs root.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod agent;
mod complete;
mod detection;
mod doctor;
mod doctored;
mod evasion;
mod file;
mod filter;
mod network;
mod overload;
mod privileges;
mod process;
mod prototypes;
mod registers;
mod selfcheck;
mod tiers;

use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// A directory of the test's own, by its real name, open to all users.
struct Dir {
    path: PathBuf,
    _removed: TempDir,
}

impl Dir {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let everybody = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(dir.path(), everybody).unwrap();
        Self { path: dir.path().canonicalize().unwrap(), _removed: dir }
    }

    fn path(&self) -> &Path {
        &self.path
    }

    /// The name of something in it, as events have it.
    fn join(&self, name: &str) -> String {
        self.path.join(name).to_str().unwrap().to_owned()
    }

    /// Writes a file that an actor may copy.
    fn write(&self, name: &str, content: &str) {
        std::fs::write(self.path.join(name), content).unwrap();
    }
}

/// The real name of a program.
fn real(program: &str) -> String {
    std::fs::canonicalize(program).unwrap().to_str().unwrap().to_owned()
}
