//! Starting programs as a service manager does: as another user, with some capabilities.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use rustix::process::{Resource, Rlimit, setrlimit};
use rustix::thread::{
    CapabilitySet, CapabilitySets, Gid, Uid, configure_capability_in_ambient_set, set_capabilities,
    set_keep_capabilities, set_thread_groups, set_thread_res_gid, set_thread_res_uid,
};

/// A user with the ambient capabilities that its programs begin with.
#[derive(Clone, Copy, Debug)]
pub struct User {
    /// Of user and group.
    pub id: u32,
    /// A bit for each capability.
    pub capabilities: u64,
}

impl User {
    /// Has the program started by this user. Takes root.
    pub(crate) fn starts(self, command: &mut Command) {
        // The configuration and the places of whoever runs the tests are not this user's.
        command
            .env("HOME", "/")
            .env_remove("XDG_CONFIG_HOME")
            .env_remove("XDG_STATE_HOME")
            .env_remove("XDG_RUNTIME_DIR");
        // SAFETY: system calls that take numbers and nothing else; nothing allocates or locks.
        unsafe { command.pre_exec(move || self.assume()) };
    }

    fn assume(self) -> io::Result<()> {
        let Self { id, capabilities } = self;
        let (uid, gid) = (Uid::from_raw(id), Gid::from_raw(id));
        let set = CapabilitySet::from_bits_retain(capabilities);
        // As a service manager is told to, for kernels before 5.11. Where it is refused it is not needed.
        let _ = setrlimit(Resource::Memlock, Rlimit { current: None, maximum: None });
        set_keep_capabilities(true)?;
        set_thread_groups(&[])?;
        set_thread_res_gid(gid, gid, gid)?;
        set_thread_res_uid(uid, uid, uid)?;
        set_capabilities(None, CapabilitySets { effective: set, permitted: set, inheritable: set })?;
        for bit in (0..u64::BITS).map(|number| 1 << number).filter(|bit| capabilities & bit != 0) {
            configure_capability_in_ambient_set(CapabilitySet::from_bits_retain(bit), true)?;
        }
        Ok(())
    }
}
