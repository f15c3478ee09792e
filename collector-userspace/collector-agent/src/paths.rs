//! Where things are: the system's places for root, the user's own for everybody else.

use std::env;
use std::path::{Path, PathBuf};

/// Default places.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Paths {
    /// Configuration: `collector.toml` and `conf.d/`.
    pub(crate) config_dir: PathBuf,
    /// What must survive a reboot: the database.
    pub(crate) state_dir: PathBuf,
    /// What must not: lock and status of the running agent.
    pub(crate) runtime_dir: PathBuf,
}

impl Paths {
    /// The places of whoever runs this process.
    pub(crate) fn of_this_process() -> Self {
        let user = rustix::process::geteuid();
        if user.is_root() {
            Self::of_system()
        } else {
            Self::of_user(user.as_raw(), |name| env::var_os(name).map(PathBuf::from))
        }
    }

    /// The places of an agent that runs as root.
    pub(crate) fn of_system() -> Self {
        Self {
            config_dir: PathBuf::from("/etc/collector"),
            state_dir: PathBuf::from("/var/lib/collector"),
            runtime_dir: PathBuf::from("/run/collector"),
        }
    }

    /// The places of a user: those that a service manager made for it (`StateDirectory=` and the like of systemd), else those of
    /// the XDG base directory rules. Relative paths are ignored.
    fn of_user(uid: u32, variable: impl Fn(&str) -> Option<PathBuf>) -> Self {
        let base = |name: &str| variable(name).filter(|path| path.is_absolute());
        let temporary = || env::temp_dir().join(format!("collector-{uid}"));
        let home = base("HOME");
        let under_home = |name, rest| base(name).or_else(|| Some(home.as_ref()?.join(rest)));
        let own = |place: Option<PathBuf>| place.map_or_else(temporary, |path| path.join("collector"));
        let of_service = |name: &str| service_directory(&variable(name)?);
        Self {
            config_dir: of_service("CONFIGURATION_DIRECTORY")
                .unwrap_or_else(|| own(under_home("XDG_CONFIG_HOME", ".config"))),
            state_dir: of_service("STATE_DIRECTORY")
                .unwrap_or_else(|| own(under_home("XDG_STATE_HOME", ".local/state"))),
            runtime_dir: of_service("RUNTIME_DIRECTORY").unwrap_or_else(|| own(base("XDG_RUNTIME_DIR"))),
        }
    }

    /// The database.
    pub(crate) fn database(&self) -> PathBuf {
        self.state_dir.join("collector.db")
    }
}

/// The first of the directories in such a variable of systemd's, which parts them by colons.
fn service_directory(variable: &Path) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStrExt as _;
    let first = variable.as_os_str().as_bytes().split(|byte| *byte == b':').next()?;
    Some(PathBuf::from(std::ffi::OsStr::from_bytes(first))).filter(|path| path.is_absolute())
}

/// Makes a directory and its parents with `mode`, if it is not there.
pub(crate) fn make_dir(path: &Path, mode: u32) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    if path.as_os_str().is_empty() {
        return Ok(());
    }
    std::fs::DirBuilder::new().recursive(true).mode(mode).create(path)
}

/// Why nothing can be made in this directory, which may have to be made itself.
pub(crate) fn not_makeable(directory: &Path) -> Option<String> {
    let existing = directory.ancestors().find(|path| path.as_os_str().is_empty() || path.exists())?;
    let existing = if existing.as_os_str().is_empty() { Path::new(".") } else { existing };
    if !existing.is_dir() {
        return Some(format!("{} is not a directory", existing.display()));
    }
    let access = rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK;
    let flags = rustix::fs::AtFlags::EACCESS;
    let allowed = rustix::fs::accessat(rustix::fs::CWD, existing, access, flags);
    allowed
        .err()
        .map(|errno| format!("{}: {}", existing.display(), crate::output::human::errno(errno.raw_os_error())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(variables: &[(&str, &str)]) -> Paths {
        let variable = |name: &str| {
            variables.iter().find(|(candidate, _)| *candidate == name).map(|(_, value)| PathBuf::from(value))
        };
        Paths::of_user(1000, variable)
    }

    #[test]
    fn xdg_variables_lead() {
        let paths = user(&[
            ("HOME", "/home/u"),
            ("XDG_CONFIG_HOME", "/c"),
            ("XDG_STATE_HOME", "/s"),
            ("XDG_RUNTIME_DIR", "/run/user/1000"),
        ]);
        assert_eq!(paths.config_dir, Path::new("/c/collector"));
        assert_eq!(paths.database(), Path::new("/s/collector/collector.db"));
        assert_eq!(paths.runtime_dir, Path::new("/run/user/1000/collector"));
    }

    #[test]
    fn a_service_has_the_directories_that_were_made_for_it() {
        let paths = user(&[
            ("HOME", "/home/u"),
            ("XDG_RUNTIME_DIR", "/run/user/1000"),
            ("CONFIGURATION_DIRECTORY", "/etc/collector"),
            ("STATE_DIRECTORY", "/var/lib/collector:/var/lib/other"),
            ("RUNTIME_DIRECTORY", "relative"),
        ]);
        assert_eq!(paths.config_dir, Path::new("/etc/collector"));
        assert_eq!(paths.database(), Path::new("/var/lib/collector/collector.db"));
        assert_eq!(paths.runtime_dir, Path::new("/run/user/1000/collector"));
    }

    #[test]
    fn home_and_the_temporary_directory_follow() {
        let paths = user(&[("HOME", "/home/u"), ("XDG_CONFIG_HOME", "relative")]);
        assert_eq!(paths.config_dir, Path::new("/home/u/.config/collector"));
        assert_eq!(paths.state_dir, Path::new("/home/u/.local/state/collector"));
        assert!(paths.runtime_dir.ends_with("collector-1000"), "{paths:?}");
    }
}
