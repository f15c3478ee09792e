//! The system calls by which this process gives up what it does not need. All of it is for good.
//!
//! The kernel keeps identities and capabilities per thread, and a new thread inherits those of the one that starts it. So this
//! is done while there is one thread, which is checked.

use std::io;

use collector_sources::features::kept;
use rustix::process::{getegid, geteuid, getgid, getuid};
use rustix::thread::{
    CapabilitySet, CapabilitySets, Gid, Uid, capabilities, capability_is_in_bounding_set,
    remove_capability_from_bounding_set, set_capabilities, set_keep_capabilities, set_no_new_privs,
    set_thread_groups, set_thread_res_gid, set_thread_res_uid,
};

use super::account::Account;

/// What did not work.
#[derive(Debug, thiserror::Error)]
#[error("{step}: {source}")]
pub(crate) struct StepError {
    step: &'static str,
    source: io::Error,
}

/// Names the step that failed.
fn step<T>(step: &'static str, result: rustix::io::Result<T>) -> Result<T, StepError> {
    result.map_err(|errno| StepError { step, source: errno.into() })
}

/// Turns root into this user, who has the capabilities that the agent needs and never gets others.
pub(super) fn become_user(account: &Account) -> Result<(), StepError> {
    check_single_thread()?;
    let (uid, gid) = (Uid::from_raw(account.uid), Gid::from_raw(account.gid));
    let had = step("reading capabilities", capabilities(None))?;
    let keep = keep(had.permitted);
    // While root is there: later the capability for it is gone.
    drop_bounding_set(keep)?;
    step("keeping capabilities", set_keep_capabilities(true))?;
    step("leaving supplementary groups", set_thread_groups(&[]))?;
    step("setting the group", set_thread_res_gid(gid, gid, gid))?;
    step("setting the user", set_thread_res_uid(uid, uid, uid))?;
    reduce(keep)?;
    step("keeping capabilities no longer", set_keep_capabilities(false))?;
    check_identity(uid, gid)
}

/// Gives up capabilities that the agent does not need, if it was started with some, and the ways to more.
pub(super) fn confine() -> Result<(), StepError> {
    check_single_thread()?;
    let had = step("reading capabilities", capabilities(None))?;
    let keep = keep(had.permitted);
    if had.effective.contains(CapabilitySet::SETPCAP) {
        drop_bounding_set(keep)?;
    }
    reduce(keep)
}

/// Programs that this process starts, should it ever, get no privileges from their files.
pub(super) fn forbid_new_privileges() -> Result<(), StepError> {
    step("forbidding new privileges", set_no_new_privs(true))
}

/// What is permitted to this process and in use.
pub(super) fn effective() -> rustix::io::Result<CapabilitySet> {
    capabilities(None).map(|sets| sets.effective)
}

fn keep(permitted: CapabilitySet) -> CapabilitySet {
    CapabilitySet::from_bits_retain(kept(permitted.bits()))
}

/// Makes these all there is. Ambient capabilities end with the inheritable ones.
fn reduce(keep: CapabilitySet) -> Result<(), StepError> {
    let sets = CapabilitySets { effective: keep, permitted: keep, inheritable: CapabilitySet::empty() };
    step("giving up capabilities", set_capabilities(None, sets))?;
    forbid_new_privileges()?;
    let has = step("reading capabilities", capabilities(None))?;
    if has == sets { Ok(()) } else { Err(unchanged("giving up capabilities")) }
}

/// No program that is started later can have others than these.
fn drop_bounding_set(keep: CapabilitySet) -> Result<(), StepError> {
    for number in 0..u64::BITS {
        let capability = CapabilitySet::from_bits_retain(1 << number);
        match capability_is_in_bounding_set(capability) {
            Ok(true) if !keep.contains(capability) => {
                step("reducing the bounding set", remove_capability_from_bounding_set(capability))?;
            }
            Ok(_) => {}
            // Beyond the last one that this kernel knows.
            Err(_) => break,
        }
    }
    Ok(())
}

fn check_identity(uid: Uid, gid: Gid) -> Result<(), StepError> {
    let is_changed = (getuid(), geteuid(), getgid(), getegid()) == (uid, uid, gid, gid);
    if is_changed { Ok(()) } else { Err(unchanged("setting the user")) }
}

fn unchanged(step: &'static str) -> StepError {
    StepError { step, source: io::Error::other("the kernel did not do it") }
}

/// Threads that run already would keep everything.
fn check_single_thread() -> Result<(), StepError> {
    const STEP: &str = "counting threads";
    let threads = std::fs::read_dir("/proc/self/task").map_err(|source| StepError { step: STEP, source })?;
    match threads.count() {
        1 => Ok(()),
        count => {
            let error = format!("{count} run already, which would keep their privileges");
            Err(StepError { step: STEP, source: io::Error::other(error) })
        }
    }
}
