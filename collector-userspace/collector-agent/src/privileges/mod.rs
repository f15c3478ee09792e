//! Least privilege: who the agent is while it works, and what it may do.
//!
//! Started as root it gives way to a user of its own as soon as what needs root is done: directories, the output, the limit of
//! locked memory. That is before kernel programs are loaded and before anything is read that somebody else wrote. Started as
//! another user it gives up the capabilities it has no use for. Which ones it keeps is in
//! [`CAPABILITIES`](collector_sources::features::CAPABILITIES).

mod account;
mod confine;
mod places;

use std::path::Path;

use collector_sources::features::{Capabilities, KernelVersion, lift_memory_limit, memory_is_limited};
use serde::{Deserialize, Serialize};

pub(crate) use account::{Account, AsRoot, DEFAULT_USER, Role};
pub(crate) use confine::StepError;
pub(crate) use places::{Directory, Prospect, give, is_within_reach, parent};

use crate::failure::{Failure, Kind};

/// Why the agent cannot be who it shall be.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PrivilegeError {
    /// A name without user.
    #[error("there is no user `{wanted}` to run as")]
    NoUser {
        /// The name.
        wanted: String,
    },
    /// Another user cannot be had.
    #[error("cannot run as {account}: this process runs as uid {uid}, and only root can become another user")]
    NotRoot {
        /// Who was asked for.
        account: Account,
        /// Who this is.
        uid: u32,
    },
    /// root without what makes it root.
    #[error("cannot run as {account}: this process lacks {}", lacking.join(" and "))]
    Lacking {
        /// Who was asked for.
        account: Account,
        /// Names of capabilities.
        lacking: Vec<&'static str>,
    },
    /// The capabilities of this process are not known.
    #[error("cannot read the capabilities of this process: {0}")]
    Unknown(std::io::Error),
    /// The kernel refused a step.
    #[error("cannot give up privileges: {0}")]
    Step(#[from] StepError),
    /// A directory did not get its owner.
    #[error("cannot give the directory {} to {account}: {source}", path.display())]
    Owner {
        /// The directory.
        path: std::path::PathBuf,
        /// To whom.
        account: Account,
        /// Why not.
        source: std::io::Error,
    },
}

/// Who runs the agent, and what that costs: for status and health.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Standing {
    /// Name or, without one, number.
    pub(crate) user: String,
    pub(crate) uid: u32,
    /// Why it runs as root, if it does.
    pub(crate) as_root: Option<String>,
    /// Capabilities that the agent has a use for and does not have, and what it does without each.
    pub(crate) missing: Vec<Missing>,
}

/// A capability that is not there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Missing {
    pub(crate) capability: String,
    pub(crate) without: String,
}

const STAY_ROOT: &str = "`--run-as root` stays root";

/// Who the agent will be, by the setting `agent.run_as` and by who started it.
pub(crate) fn decide(run_as: Option<&str>) -> Result<Role, PrivilegeError> {
    let effective = confine::effective().map_err(|errno| PrivilegeError::Unknown(errno.into()))?;
    let origin = account::Origin { uid: rustix::process::geteuid().as_raw(), effective };
    account::decide(run_as, origin, &account::SystemUsers)
}

/// Makes this process who it shall be, for good, with no more capabilities than it has a use for; the directories become that
/// user's before. To be called before there are other threads, and before anything is read that others wrote.
pub(crate) fn assume(role: &Role, directories: &[Directory]) -> Result<(), Failure> {
    let failed = |error| Failure::new(Kind::Failed, error);
    match role {
        Role::Become(account) => {
            // Not everything that is called root may do that: in some containers, on some network file systems.
            become_user(account, directories).map_err(|error| failed(error).hint(STAY_ROOT))?;
            directories.iter().try_for_each(|directory| check_writable(&directory.path, account))
        }
        Role::Stay { as_root: Some(_) } => {
            confine::forbid_new_privileges().map_err(|error| failed(error.into()))
        }
        // Started by systemd with capabilities, or by a user with none.
        Role::Stay { as_root: None } => confine::confine().map_err(|error| failed(error.into())),
    }
}

fn become_user(account: &Account, directories: &[Directory]) -> Result<(), PrivilegeError> {
    for directory in directories {
        directory.hand_over(account).map_err(|source| {
            let path = directory.path.clone();
            PrivilegeError::Owner { path, account: account.clone(), source }
        })?;
    }
    // The limit stays with the process, the capability to lift it does not.
    lift_memory_limit();
    Ok(confine::become_user(account)?)
}

/// Says what to do where the user who took root's place cannot write, in place of whoever fails to write there later.
fn check_writable(directory: &Path, account: &Account) -> Result<(), Failure> {
    let Some(problem) = crate::paths::not_makeable(directory) else { return Ok(()) };
    let directory = directory.display();
    Err(Failure::from(anyhow::anyhow!(
        "cannot write to {directory} as {account}, whom collector gives way to when root starts it: {problem}"
    ))
    .hint(format!(
        "give it to that user (`chown {} {directory}`), name another place, or stay root with `--run-as root`",
        account.name.clone().unwrap_or_else(|| account.uid.to_string()),
    )))
}

impl Role {
    /// Adds to a failure to open something who failed.
    pub(crate) fn explain(&self, failure: Failure) -> Failure {
        match self {
            Self::Become(account) => failure.hint(format!("collector gave up root and runs as {account}")),
            Self::Stay { .. } => failure,
        }
    }
}

impl Standing {
    /// Of this process, who came to be what it is by this role.
    pub(crate) fn of_this_process(role: &Role) -> Self {
        let uid = rustix::process::geteuid().as_raw();
        let (user, as_root) = match role {
            Role::Become(account) => (account.name.clone(), None),
            Role::Stay { as_root } => (account::name_of(uid), as_root.as_ref().map(ToString::to_string)),
        };
        let missing = effective().missing(memory_is_limited(this_kernel()));
        let missing =
            missing.map(|it| Missing { capability: it.name.to_owned(), without: it.without.to_owned() });
        let user = user.unwrap_or_else(|| uid.to_string());
        Self { user, uid, as_root, missing: missing.collect() }
    }
}

/// Whether this process has the capabilities that kernel programs need.
pub(crate) fn may_trace() -> bool {
    effective().missing_for_tracing().is_empty()
}

fn effective() -> Capabilities {
    confine::effective().map(|set| Capabilities::of_bits(set.bits())).unwrap_or_default()
}

fn this_kernel() -> Option<KernelVersion> {
    KernelVersion::parse(&rustix::system::uname().release().to_string_lossy())
}
