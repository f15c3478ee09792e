//! The sorts of programs of the object, behind one interface: load, attach, unload.

use aya::programs::links::{FdLink, LinkError};
use aya::programs::{BtfTracePoint, FEntry, FExit, ProgramError, ProgramFd};
use aya::{Btf, Ebpf};

use crate::loader::LoadError;
use crate::plan::{Place, Program};

/// An attachment. Dropping it stops the program, which stays loaded.
pub(crate) struct Link(FdLink);

impl Link {
    /// Asks the kernel whether the program with this id is still attached.
    ///
    /// # Errors
    /// With what is wrong.
    pub(crate) fn look(&self, program: Option<u32>) -> Result<(), String> {
        match self.0.info() {
            Ok(info) if program.is_some_and(|id| id != info.program_id()) => {
                Err("another program runs in its place".to_owned())
            }
            Ok(_) => Ok(()),
            // A kind of attachment that this kernel does not describe.
            Err(LinkError::SyscallError(error)) if error.io_error.raw_os_error() == Some(libc::EINVAL) => {
                Ok(())
            }
            Err(error) => Err(format!("its attachment is gone: {error}")),
        }
    }
}

/// Runs `$do` on the program with its own type, which `$of` names.
macro_rules! with {
    ($ebpf:expr, $program:expr, |$of:ident| $do:expr) => {{
        let found = $ebpf.program_mut($program.name).ok_or_else(|| missing($program.name))?;
        match $program.place {
            Place::Tracepoint => {
                let $of: &mut BtfTracePoint = found.try_into().map_err(refused($program.name))?;
                $do
            }
            Place::Entry => {
                let $of: &mut FEntry = found.try_into().map_err(refused($program.name))?;
                $do
            }
            Place::Return => {
                let $of: &mut FExit = found.try_into().map_err(refused($program.name))?;
                $do
            }
        }
    }};
}

/// Hands a program to the verifier.
pub(crate) fn load(ebpf: &mut Ebpf, program: Program, btf: &Btf) -> Result<(), LoadError> {
    with!(ebpf, program, |it| it.load(program.at, btf)).map_err(refused(program.name))
}

/// Lets a loaded program run.
pub(crate) fn attach(ebpf: &mut Ebpf, program: Program) -> Result<Link, LoadError> {
    // Taken out of the library's hands: it would keep an attachment that is gone.
    with!(ebpf, program, |it| it.attach().and_then(|id| it.take_link(id)).map(|link| Link(link.into())))
        .map_err(refused(program.name))
}

/// Takes a program out of the kernel.
pub(crate) fn unload(ebpf: &mut Ebpf, program: Program) -> Result<(), LoadError> {
    with!(ebpf, program, |it| it.unload()).map_err(refused(program.name))
}

/// Descriptor of a loaded program.
pub(crate) fn fd<'a>(ebpf: &'a Ebpf, name: &'static str) -> Result<&'a ProgramFd, LoadError> {
    ebpf.program(name).ok_or_else(|| missing(name))?.fd().map_err(refused(name))
}

fn missing(program: &'static str) -> LoadError {
    LoadError::Program { program, reason: "not in this build's object".to_owned() }
}

fn refused(program: &'static str) -> impl Fn(ProgramError) -> LoadError {
    move |error| {
        if let ProgramError::LoadError { io_error, verifier_log } = &error {
            let log = verifier_log.to_string();
            tracing::debug!(program, log, "the verifier's log");
            let why = verdict(&log).map(|verdict| format!("{verdict}: ")).unwrap_or_default();
            return LoadError::Program { program, reason: format!("the kernel refused it: {why}{io_error}") };
        }
        LoadError::Program { program, reason: error.to_string() }
    }
}

/// What the verifier says at the end of its log, before it counts what it has looked at.
fn verdict(log: &str) -> Option<&str> {
    // The last one since 7.3 at the latest.
    let counts = ["processed ", "verification time ", "stack depth ", "subprog "];
    let said = |line: &&str| !line.is_empty() && !counts.iter().any(|count| line.starts_with(count));
    log.lines().rev().map(str::trim).find(said)
}

#[cfg(test)]
mod tests {
    use super::verdict;

    #[test]
    fn the_verdict_is_the_last_line_that_counts_nothing() {
        let log = "0: R1=ctx()\n7: (61) r1 = *(u32 *)(r6 +9000)\naccess beyond struct sock at off 9000 size 4\n\
                   verification time 40 usec\nstack depth 0\nprocessed 8 insns (limit 1000000)\n\
                   subprog 0 (net_send) global insns_self 8 insns_total 8 stack 0\n\
                   subprog 2 (memset) static insns_self 0 insns_total 0 stack 0\n";
        assert_eq!(verdict(log), Some("access beyond struct sock at off 9000 size 4"));
        assert_eq!(verdict("processed 0 insns (limit 1000000)\n"), None);
        assert_eq!(verdict(""), None);
    }
}
