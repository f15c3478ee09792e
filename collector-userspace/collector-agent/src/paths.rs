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

    /// The places of a user, by the XDG base directory rules: relative paths there are ignored.
    fn of_user(uid: u32, variable: impl Fn(&str) -> Option<PathBuf>) -> Self {
        let base = |name: &str| variable(name).filter(|path| path.is_absolute());
        let temporary = || env::temp_dir().join(format!("collector-{uid}"));
        let home = base("HOME");
        let under_home = |name, rest| base(name).or_else(|| Some(home.as_ref()?.join(rest)));
        Self {
            config_dir: under_home("XDG_CONFIG_HOME", ".config")
                .map_or_else(temporary, |path| path.join("collector")),
            state_dir: under_home("XDG_STATE_HOME", ".local/state")
                .map_or_else(temporary, |path| path.join("collector")),
            runtime_dir: base("XDG_RUNTIME_DIR").map_or_else(temporary, |path| path.join("collector")),
        }
    }

    /// The database.
    pub(crate) fn database(&self) -> PathBuf {
        self.state_dir.join("collector.db")
    }
}

/// Makes a directory and its parents with `mode`, if it is not there.
pub(crate) fn make_dir(path: &Path, mode: u32) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    if path.as_os_str().is_empty() {
        return Ok(());
    }
    std::fs::DirBuilder::new().recursive(true).mode(mode).create(path)
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
    fn home_and_the_temporary_directory_follow() {
        let paths = user(&[("HOME", "/home/u"), ("XDG_CONFIG_HOME", "relative")]);
        assert_eq!(paths.config_dir, Path::new("/home/u/.config/collector"));
        assert_eq!(paths.state_dir, Path::new("/home/u/.local/state/collector"));
        assert!(paths.runtime_dir.ends_with("collector-1000"), "{paths:?}");
    }
}
