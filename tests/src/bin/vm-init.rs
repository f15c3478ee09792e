//! The first process of a virtual machine that `cargo xtask vm-test` boots: makes a small system of the bare kernel, has
//! the agent say what it can do here and the kernel tests run, and ends the machine.
//!
//! What it says on the second serial line is for xtask: lines that begin with `@` part the outputs of the programs.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "if the first process gives up, the kernel ends the machine and shows why"
)]

use std::fs::{self, OpenOptions};
use std::net::UdpSocket;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use rustix::mount::{MountFlags, mount};
use rustix::process::{WaitOptions, wait};
use rustix::stdio::{dup2_stderr, dup2_stdout};
use rustix::system::{RebootCommand, reboot};

/// Where what we say goes; the first line is the kernel's.
const REPORT: &str = if cfg!(target_arch = "aarch64") { "/dev/ttyAMA1" } else { "/dev/ttyS1" };

const AGENT: &str = "/bin/collector";

/// File systems: kind, where, and whether tests can do without.
const MOUNTS: [(&str, &str, bool); 8] = [
    ("devtmpfs", "/dev", true),
    ("proc", "/proc", true),
    ("sysfs", "/sys", true),
    ("tmpfs", "/tmp", true),
    ("tmpfs", "/run", true),
    ("cgroup2", "/sys/fs/cgroup", true),
    ("bpf", "/sys/fs/bpf", true),
    ("securityfs", "/sys/kernel/security", false),
];

fn main() {
    for (kind, path, needed) in MOUNTS {
        fs::create_dir_all(path).expect("the root is writable");
        let mounted = mount(kind, path, kind, MountFlags::empty(), None);
        assert!(mounted.is_ok() || !needed, "cannot mount {kind} on {path}: {mounted:?}");
    }
    fs::set_permissions("/tmp", fs::Permissions::from_mode(0o1777)).expect("the file system is ours");
    let report = OpenOptions::new().write(true).open(REPORT).expect("the machine has a second serial line");
    dup2_stdout(&report).expect("a descriptor can be duplicated");
    dup2_stderr(&report).expect("a descriptor can be duplicated");
    bring_up_loopback();
    println!("@kernel {}", fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim());

    let mut arguments = std::env::args().skip(1);
    match arguments.next().as_deref() {
        Some("exec") => {
            println!("@exec");
            run(Command::new(arguments.next().expect("a program is named")).args(arguments));
        }
        Some("test") => {
            println!("@doctor");
            run(Command::new(AGENT).args(["doctor", "--format", "json"]));
            println!("@tests");
            let mut tests = Command::new("/tests/kernel");
            let arguments: Vec<String> = arguments.collect();
            // Tests that change what concerns the whole machine, if nothing else was asked for.
            if arguments == ["machine"] {
                tests.env("COLLECTOR_TESTS_MACHINE", "1");
            }
            run(tests.args(arguments).env("COLLECTOR_TESTS_AGENT", AGENT));
        }
        other => println!("@end unknown task {other:?}"),
    }
    // xtask has QEMU end where a machine would restart.
    let _ = reboot(RebootCommand::Restart);
}

/// Runs a program to its end, and takes in orphans meanwhile, which are ours.
fn run(command: &mut Command) {
    command.stdin(Stdio::null()).env("PATH", "/usr/bin:/bin").env("HOME", "/");
    let child = match command.spawn() {
        Ok(child) => child.id(),
        Err(error) => return println!("@end cannot start: {error}"),
    };
    while let Ok(Some((pid, status))) = wait(WaitOptions::empty()) {
        if pid.as_raw_nonzero().get().cast_unsigned() == child {
            match status.exit_status() {
                Some(code) => println!("@end exit {code}"),
                None => println!("@end signal {}", status.terminating_signal().unwrap_or_default()),
            }
            return;
        }
    }
}

/// As `ip link set lo up` does; its addresses come by themselves.
fn bring_up_loopback() {
    let socket = UdpSocket::bind("0.0.0.0:0").expect("the kernel has IPv4");
    // SAFETY: a structure of integers and a union of such, for which zeroes are values.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(b"lo") {
        *to = libc::c_char::from_ne_bytes([*from]);
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: this request reads a structure of this type, which lives on.
    let done = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw mut request) };
    assert!(done == 0, "cannot bring up the loopback interface: {}", std::io::Error::last_os_error());
}
