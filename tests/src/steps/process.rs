//! Steps of processes.
//!
//! | step | does |
//! |---|---|
//! | `exec PROGRAM ARGUMENT...` | becomes the program; its name is the first argument |
//! | `exec-actor STEP...` | becomes another actor, which does not wait; words of a step are separated by bars |
//! | `exec-rest PROGRAM` | becomes the program, with the arguments after `--` as its whole vector |
//! | `spawn PROGRAM ARGUMENT...` | starts it, says `child`, waits for it |
//! | `vfork PROGRAM ARGUMENT...` | starts it from a child that shares our memory, says `child`, waits for it |
//! | `memfd NAME PROGRAM ARGUMENT...` | becomes a copy of the program that lives in memory, called `NAME` |
//! | `nameless PROGRAM ARGUMENT...` | deletes the program, and becomes it |
//! | `orphan` | goes on in a child, whose parent has ended; the actor adopts it |
//! | `exit CODE`, `kill SIGNAL` | ends |
//! | `leave CODE` | ends this thread alone |
//! | `outlive FIRST LAST` | ends this thread with a code, and then another one with another |
//! | `rush N` | N further threads and this one end at the same moment |
//! | `io_uring` | sets one up |
//! | `int80 DIR` | makes a directory by a 32-bit system call; says `compat` and its result, or that there are none |
//! | `comm NAME` | sets the thread's name |
//! | `title TEXT` | writes over its arguments |
//! | `user UID` | gives up root for this user and group |
//! | `unshare NAMESPACE`, `mount FROM TO`, `chroot DIR`, `chdir DIR` | changes what it sees; mounts become private |
//! | `tmpfs DIR SIZE` | mounts a file system of that size |

use std::ffi::CString;
use std::io;
use std::os::fd::RawFd;
use std::ptr::null;
use std::sync::Barrier;

use libc::{c_char, c_int, c_void, pid_t};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{PidfdFlags, getpid, pidfd_open};

use super::{AT_ONCE, PANIC, Stage, c_string, check, number, say};

pub(super) fn step(stage: &Stage, words: &[&str]) -> Option<io::Result<()>> {
    Some(match *words {
        ["exec", program, ref arguments @ ..] => Vector::new(program, arguments).exec(),
        ["exec-actor", ref steps @ ..] => {
            let steps: Vec<_> = steps.iter().map(|step| step.replace('|', " ")).collect();
            let steps: Vec<_> = std::iter::once(AT_ONCE).chain(steps.iter().map(|step| &**step)).collect();
            let program = std::env::current_exe().expect("/proc is mounted");
            Vector::new(program.to_str().expect("text"), &steps).exec()
        }
        ["exec-rest", program] => {
            Vector { program: c_string(program), arguments: stage.rest.iter().map(c_string).collect() }.exec()
        }
        ["spawn", program, ref arguments @ ..] => spawn(program, arguments),
        ["vfork", program, ref arguments @ ..] => vfork(&Vector::new(program, arguments)),
        ["memfd", name, program, ref arguments @ ..] => memfd(name, &Vector::new(program, arguments)),
        ["nameless", program, ref arguments @ ..] => nameless(&Vector::new(program, arguments)),
        ["orphan"] => orphan(),
        ["exit", code] => exit(number(code)),
        // SAFETY: no preconditions, as for the others below that take numbers.
        ["kill", signal] => check(unsafe { libc::kill(libc::getpid(), number(signal)) }).map(drop),
        ["leave", code] => leave(number(code)),
        ["outlive", first, last] => outlive(number(first), number(last)),
        ["rush", others] => rush(number(others)),
        ["comm", name] => {
            let name = c_string(name);
            // SAFETY: a string that lives on.
            check(unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr()) }).map(drop)
        }
        ["title", text] => title(text.as_bytes()),
        ["io_uring"] => io_uring(),
        ["int80", dir] => int80(dir),
        ["user", id] => user(number(id)),
        ["unshare", namespace] => unshare(namespace),
        ["mount", from, to] => mount(from, to, libc::MS_BIND | libc::MS_REC),
        ["tmpfs", dir, size] => tmpfs(dir, size),
        // SAFETY: a string that lives on.
        ["chroot", dir] => check(unsafe { libc::chroot(c_string(dir).as_ptr()) }).map(drop),
        ["chdir", dir] => std::env::set_current_dir(dir),
        _ => return None,
    })
}

/// A program and its arguments, as exec takes them.
struct Vector {
    program: CString,
    arguments: Vec<CString>,
}

impl Vector {
    fn new(program: &str, arguments: &[&str]) -> Self {
        let arguments = std::iter::once(&program).chain(arguments).map(c_string).collect();
        Self { program: c_string(program), arguments }
    }

    fn pointers(&self) -> Vec<*const c_char> {
        self.arguments.iter().map(|argument| argument.as_ptr()).chain([null()]).collect()
    }

    /// Returns only an error.
    fn exec(&self) -> io::Result<()> {
        // SAFETY: a string, and an array of strings that ends with a null.
        check(unsafe { libc::execv(self.program.as_ptr(), self.pointers().as_ptr()) }).map(drop)
    }

    /// Becomes what is open under `fd`. Returns only an error.
    fn exec_fd(&self, fd: RawFd) -> io::Result<()> {
        let environment = [null::<c_char>()];
        // SAFETY: as for `exec`.
        check(unsafe { libc::fexecve(fd, self.pointers().as_ptr().cast(), environment.as_ptr().cast()) })
            .map(drop)
    }
}

/// Says who the child is, runs `body` in it, which then ends with 0, and waits for it.
pub(super) fn fork(body: impl FnOnce()) {
    let (told, tell) = rustix::pipe::pipe().expect("there are descriptors left");
    // SAFETY: there are no other threads here whose locks the child could miss.
    match unsafe { libc::fork() } {
        0 => {
            // What parents say of children comes before what these say of theirs.
            drop(tell);
            let _ = rustix::io::read(&told, &mut [0_u8; 1]);
            drop(told);
            body();
            let _ = exit(0);
        }
        child => {
            check(child).expect("a process can be made");
            say("child", child);
            drop(tell);
            wait_for(child).expect("it is our child");
        }
    }
}

/// Writes over the arguments where the kernel shows them, the rest becoming empty.
fn title(text: &[u8]) -> io::Result<()> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    // Fields 48 and 49 of the manual, where the first after the name is 3.
    let (start, end): (usize, usize) = (number(fields[45]), number(fields[46]));
    // SAFETY: the kernel says that this is where our arguments are; std has copied them, and nobody else uses them.
    let arguments = unsafe { std::slice::from_raw_parts_mut(start as *mut u8, end - start) };
    for (index, byte) in arguments.iter_mut().enumerate() {
        *byte = text.get(index).copied().unwrap_or(0);
    }
    Ok(())
}

fn orphan() -> io::Result<()> {
    let parent = pidfd_open(getpid(), PidfdFlags::empty())?;
    // SAFETY: as for `fork`.
    if check(unsafe { libc::fork() })? != 0 {
        return exit(0);
    }
    poll(&mut [PollFd::new(&parent, PollFlags::IN)], None)?;
    Ok(())
}

/// Makes this process the one that inherits its descendants' orphans.
pub(super) fn adopt() {
    // SAFETY: a number.
    check(unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1) }).expect("this needs no rights");
}

/// Waits until there are no children left.
pub(super) fn reap() {
    // SAFETY: no status is asked for.
    while unsafe { libc::waitpid(-1, std::ptr::null_mut(), 0) } > 0 {}
}

fn exit(code: c_int) -> io::Result<()> {
    // SAFETY: no preconditions; nothing is to be cleaned up.
    unsafe { libc::_exit(code) }
}

fn wait_for(child: pid_t) -> io::Result<()> {
    let mut status = 0;
    // SAFETY: a writable number.
    check(unsafe { libc::waitpid(child, &raw mut status, 0) })?;
    say("status", status);
    assert_ne!(status, PANIC << 8, "a child failed");
    Ok(())
}

fn spawn(program: &str, arguments: &[&str]) -> io::Result<()> {
    let mut child = std::process::Command::new(program).args(arguments).spawn()?;
    say("child", child.id());
    child.wait().map(drop)
}

/// As vfork does: the child shares our memory, and we stand still until it execs or ends.
fn vfork(vector: &Vector) -> io::Result<()> {
    extern "C" fn child(vector: *mut c_void) -> c_int {
        // SAFETY: the parent's vector, and the parent stands still.
        let (program, pointers) = unsafe { &*vector.cast::<(*const c_char, *const *const c_char)>() };
        // SAFETY: as for `Vector::exec`; nothing else is done in the parent's memory.
        unsafe { libc::execv(*program, *pointers) };
        127
    }
    let mut stack = vec![0_u64; 16 * 1024];
    let pointers = vector.pointers();
    let mut arguments = (vector.program.as_ptr(), pointers.as_ptr());
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
    let top = stack.as_mut_ptr_range().end;
    // SAFETY: the stack is aligned, large enough, and nobody else's while the child uses it.
    let made = check(unsafe { libc::clone(child, top.cast(), flags, (&raw mut arguments).cast()) })?;
    say("child", made);
    wait_for(made as pid_t)
}

fn memfd(name: &str, vector: &Vector) -> io::Result<()> {
    let program = std::fs::read(vector.program.to_str().expect("a path"))?;
    // SAFETY: a string that lives on.
    let fd = check(unsafe { libc::memfd_create(c_string(name).as_ptr(), libc::MFD_CLOEXEC) })? as RawFd;
    let mut rest = &program[..];
    while !rest.is_empty() {
        // SAFETY: as many readable bytes as said.
        let count = check(unsafe { libc::write(fd, rest.as_ptr().cast(), rest.len()) } as i64)?;
        rest = &rest[count as usize..];
    }
    vector.exec_fd(fd)
}

fn nameless(vector: &Vector) -> io::Result<()> {
    // SAFETY: strings that live on.
    let fd = check(unsafe { libc::open(vector.program.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC) })?;
    // SAFETY: as above.
    check(unsafe { libc::unlink(vector.program.as_ptr()) })?;
    vector.exec_fd(fd as RawFd)
}

/// The last of several threads to end ends the process: they all try to be it.
fn rush(others: usize) -> io::Result<()> {
    let barrier = Barrier::new(others + 1);
    let leave_at_once = || {
        barrier.wait();
        let _ = leave(0);
    };
    std::thread::scope(|scope| {
        for _ in 0..others {
            scope.spawn(leave_at_once);
        }
        leave_at_once();
    });
    Ok(())
}

fn outlive(first: c_int, last: c_int) -> io::Result<()> {
    let leader = format!("/proc/self/task/{}/stat", std::process::id());
    std::thread::spawn(move || {
        // Nothing tells threads that their leader has ended.
        while !std::fs::read_to_string(&leader).is_ok_and(|stat| stat.contains(") Z ")) {
            std::thread::yield_now();
        }
        leave(last)
    });
    leave(first)
}

fn leave(code: c_int) -> io::Result<()> {
    // SAFETY: ends this thread alone, without running anything of Rust's.
    check(unsafe { libc::syscall(libc::SYS_exit, code) }).map(drop)
}

fn user(id: u32) -> io::Result<()> {
    // SAFETY: an empty list.
    check(unsafe { libc::setgroups(0, null()) })?;
    // SAFETY: numbers.
    check(unsafe { libc::setresgid(id, id, id) })?;
    // SAFETY: numbers.
    check(unsafe { libc::setresuid(id, id, id) }).map(drop)
}

fn unshare(namespace: &str) -> io::Result<()> {
    let flag = match namespace {
        "mnt" => libc::CLONE_NEWNS,
        "pid" => libc::CLONE_NEWPID,
        "net" => libc::CLONE_NEWNET,
        other => panic!("no namespace {other}"),
    };
    // SAFETY: a number.
    check(unsafe { libc::unshare(flag) })?;
    if namespace == "mnt" {
        // Or what is mounted here would show elsewhere.
        mount("none", "/", libc::MS_REC | libc::MS_PRIVATE)?;
    }
    Ok(())
}

fn mount(from: &str, to: &str, flags: libc::c_ulong) -> io::Result<()> {
    let (from, to) = (c_string(from), c_string(to));
    // SAFETY: strings that live on; no type and no data are needed.
    check(unsafe { libc::mount(from.as_ptr(), to.as_ptr(), null(), flags, null()) }).map(drop)
}

fn tmpfs(dir: &str, size: &str) -> io::Result<()> {
    let (dir, kind, options) = (c_string(dir), c"tmpfs", c_string(format!("size={size}")));
    let flags = libc::MS_NOSUID | libc::MS_NODEV;
    // SAFETY: strings that live on.
    check(unsafe { libc::mount(kind.as_ptr(), dir.as_ptr(), kind.as_ptr(), flags, options.as_ptr().cast()) })
        .map(drop)
}

fn io_uring() -> io::Result<()> {
    // `struct io_uring_params`, all zero: defaults.
    let mut parameters = [0_u64; 15];
    // SAFETY: a writable structure of that size. The descriptor stays open.
    check(unsafe { libc::syscall(libc::SYS_io_uring_setup, 1, parameters.as_mut_ptr()) }).map(drop)
}

/// A program may enter the kernel by the 32-bit gate, with other numbers for the same calls.
#[cfg(target_arch = "x86_64")]
fn int80(dir: &str) -> io::Result<()> {
    const MKDIR: i32 = 39;
    let name = c_string(dir);
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_32BIT;
    // SAFETY: a new mapping, in the part of memory that 32 bits reach.
    let memory =
        unsafe { libc::mmap(std::ptr::null_mut(), 4096, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0) };
    check(memory as i64)?;
    let bytes = name.as_bytes_with_nul();
    // SAFETY: the mapping is a page, and the name shorter.
    unsafe { memory.cast::<u8>().copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
    // The gate may be closed: then the process gets a signal, so it is tried in a child.
    // SAFETY: as for `fork`.
    let child = check(unsafe { libc::fork() })? as pid_t;
    if child == 0 {
        let mut result = MKDIR;
        // SAFETY: a system call with valid arguments; rbx, which the compiler keeps for itself, is put back.
        unsafe {
            std::arch::asm!(
                "xchg rbx, {name}",
                "int 0x80",
                "xchg rbx, {name}",
                name = inout(reg) memory => _,
                inout("eax") result,
                in("ecx") 0o755,
                out("r8") _, out("r9") _, out("r10") _, out("r11") _,
            );
        }
        return exit(i32::from(result != 0));
    }
    let mut status = 0;
    // SAFETY: a writable number.
    check(unsafe { libc::waitpid(child, &raw mut status, 0) })?;
    say("compat", if libc::WIFSIGNALED(status) { "none".to_owned() } else { status.to_string() });
    Ok(())
}

#[cfg(not(target_arch = "x86_64"))]
fn int80(_: &str) -> io::Result<()> {
    say("compat", "none");
    Ok(())
}
