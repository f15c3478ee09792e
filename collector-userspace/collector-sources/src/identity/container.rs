//! Container ids from control group paths, and a cache of them by control group id.
//!
//! A runtime names the control group of a container after it; the path is the only thing kernel and `/proc` both
//! tell about containers. The innermost name counts: containers run in containers.

use std::collections::VecDeque;
use std::sync::Arc;

use rustc_hash::FxHashMap;

/// Hexadecimal digits of a container id of Docker, containerd, CRI-O and Podman.
const ID_LEN: usize = 64;

/// The container a control group path (from the root downward) lies in.
#[must_use]
pub fn container_of_path(path: &[u8]) -> Option<Arc<str>> {
    innermost(path.rsplit(|&byte| byte == b'/'))
}

/// The container of a path as kernel records state it: names from the leaf upward, each followed by `/`.
#[must_use]
pub fn container_of_names(names: &[u8]) -> Option<Arc<str>> {
    innermost(names.split(|&byte| byte == b'/'))
}

/// The path to go by in the text of `/proc/PID/cgroup`, and whether it is one of the v1 memory hierarchy: where that
/// hierarchy exists, kernel records carry its ids.
#[must_use]
pub fn path_in_proc(text: &[u8]) -> Option<(&[u8], bool)> {
    let mut unified = None;
    for line in text.split(|&byte| byte == b'\n') {
        let mut parts = line.splitn(3, |&byte| byte == b':');
        let (Some(hierarchy), Some(controllers), Some(path)) = (parts.next(), parts.next(), parts.next())
        else {
            continue;
        };
        if controllers.split(|&byte| byte == b',').any(|controller| controller == b"memory") {
            return Some((path, true));
        }
        if hierarchy == b"0" {
            unified = Some((path, false));
        }
    }
    unified
}

fn innermost<'a>(leaf_first: impl Iterator<Item = &'a [u8]>) -> Option<Arc<str>> {
    let mut names = leaf_first.filter_map(|name| std::str::from_utf8(name).ok()).peekable();
    while let Some(name) = names.next() {
        if let Some(id) = container_in_name(name, names.peek().copied().unwrap_or_default()) {
            return Some(id);
        }
    }
    None
}

/// The container that a single name means; `parent` is the name of the control group above.
fn container_in_name(name: &str, parent: &str) -> Option<Arc<str>> {
    let unit = name.strip_suffix(".scope").unwrap_or(name);
    // containerd without systemd's help: `kubepods-pod1.slice:cri-containerd:<id>`.
    let unit = unit.rsplit(':').next().unwrap_or(unit);
    if let Some((prefix, id)) = split_hexadecimal(unit) {
        // conmon watches a container from outside.
        return (!prefix.ends_with("conmon-")).then(|| Arc::from(id));
    }
    if let Some(name) = name.strip_prefix("lxc.payload.") {
        return plain(name);
    }
    if matches!(parent, "lxc" | "lxc.payload") {
        return plain(name);
    }
    if let Some(machine) = name.strip_prefix("systemd-nspawn@").and_then(|name| name.strip_suffix(".service"))
    {
        return plain(&unescape_unit(machine));
    }
    if parent == "machine.slice"
        && let Some(machine) = unit.strip_prefix("machine-")
        && name.len() != unit.len()
    {
        let machine = unescape_unit(machine);
        // libvirt puts virtual machines there, too.
        return if machine.starts_with("qemu-") { None } else { plain(&machine) };
    }
    // Fargate: the task's id and a number, without any id of a runtime.
    let (task, number) = name.split_once('-')?;
    let is_task = task.len() == 32 && is_hexadecimal(task) && task == parent;
    (is_task && !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
        .then(|| Arc::from(name))
}

/// Splits `docker-<64 digits>` or the bare digits.
fn split_hexadecimal(name: &str) -> Option<(&str, &str)> {
    let (prefix, id) = name.split_at_checked(name.len().checked_sub(ID_LEN)?)?;
    (is_hexadecimal(id) && (prefix.is_empty() || prefix.ends_with('-'))).then_some((prefix, id))
}

fn is_hexadecimal(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn plain(name: &str) -> Option<Arc<str>> {
    (!name.is_empty() && name.chars().all(|ch| !ch.is_control())).then(|| Arc::from(name))
}

/// Undoes systemd's escaping of unit names: `\x2d` is `-`.
fn unescape_unit(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut rest = name;
    while let Some(at) = rest.find("\\x") {
        let (before, escape) = rest.split_at(at);
        out.push_str(before);
        let digits = escape.get(2..4).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match digits.filter(u8::is_ascii) {
            Some(byte) => {
                out.push(char::from(byte));
                rest = escape.get(4..).unwrap_or_default();
            }
            None => {
                out.push_str("\\x");
                rest = escape.get(2..).unwrap_or_default();
            }
        }
    }
    out.push_str(rest);
    out
}

/// Which container a control group id means, for records that carry the id alone. Bounded; the first to have come
/// goes first.
#[derive(Debug)]
pub struct Cgroups {
    limit: usize,
    containers: FxHashMap<u64, Option<Arc<str>>>,
    order: VecDeque<u64>,
}

impl Cgroups {
    /// A cache of at most `limit` control groups.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { limit: limit.max(1), containers: FxHashMap::default(), order: VecDeque::new() }
    }

    /// The container of a control group: `None` if the group is not known, `Some(None)` if it is in no container.
    #[must_use]
    pub fn container(&self, cgroup_id: u64) -> Option<Option<Arc<str>>> {
        self.containers.get(&cgroup_id).cloned()
    }

    /// The container of a control group whose names a kernel record states.
    pub fn learn_from_kernel(&mut self, cgroup_id: u64, names: Option<&[u8]>) -> Option<Arc<str>> {
        if let Some(known) = self.container(cgroup_id) {
            return known;
        }
        let container = container_of_names(names?);
        self.remember(cgroup_id, container.clone());
        container
    }

    /// The container of a control group whose path is known.
    pub fn learn_path(&mut self, cgroup_id: u64, path: &[u8]) -> Option<Arc<str>> {
        if let Some(known) = self.container(cgroup_id) {
            return known;
        }
        let container = container_of_path(path);
        self.remember(cgroup_id, container.clone());
        container
    }

    fn remember(&mut self, cgroup_id: u64, container: Option<Arc<str>>) {
        if cgroup_id == 0 {
            return;
        }
        if self.containers.len() >= self.limit
            && let Some(oldest) = self.order.pop_front()
        {
            self.containers.remove(&oldest);
        }
        if self.containers.insert(cgroup_id, container).is_none() {
            self.order.push_back(cgroup_id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "3bd7a2f4c1e0596887a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f607";
    const B: &str = "ffffa2f4c1e0596887a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5ffff";

    #[track_caller]
    fn check(path: &str, expected: Option<&str>) {
        let path = path.replace("AAA", A).replace("BBB", B);
        let expected = expected.map(|id| id.replace("AAA", A).replace("BBB", B));
        assert_eq!(container_of_path(path.as_bytes()).as_deref(), expected.as_deref(), "{path}");
        let mut names: Vec<&str> = path.split('/').filter(|name| !name.is_empty()).collect();
        names.reverse();
        let names: String = names.iter().flat_map(|name| [name, "/"]).collect();
        assert_eq!(container_of_names(names.as_bytes()).as_deref(), expected.as_deref(), "{names}");
    }

    #[test]
    fn docker() {
        check("/docker/AAA", Some("AAA"));
        check("/system.slice/docker-AAA.scope", Some("AAA"));
        check("/system.slice/docker-AAA.scope/init.scope", Some("AAA"));
        check("/docker/AAA/docker/BBB", Some("BBB"));
        check("/system.slice/docker.service", None);
        check("/../../docker/AAA", Some("AAA"));
    }

    #[test]
    fn kubernetes() {
        check(
            "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1c1a6d1a_8b3c_4e8e_9d5a_0a1b2c3d4e5f.slice/cri-containerd-AAA.scope",
            Some("AAA"),
        );
        check("/kubepods/besteffort/pod1c1a6d1a-8b3c-4e8e-9d5a-0a1b2c3d4e5f/AAA", Some("AAA"));
        check(
            "/system.slice/containerd.service/kubepods-besteffort-pod1c1a.slice:cri-containerd:AAA",
            Some("AAA"),
        );
        check("/kubepods.slice/kubepods-pod1.slice/crio-AAA.scope", Some("AAA"));
        check("/kubepods.slice/kubepods-pod1.slice/crio-AAA.scope/container", Some("AAA"));
        check("/kubepods.slice/kubepods-pod1.slice/crio-conmon-AAA.scope", None);
        check("/kubepods.slice/kubepods-burstable.slice", None);
    }

    #[test]
    fn podman() {
        check("/machine.slice/libpod-AAA.scope", Some("AAA"));
        check("/machine.slice/libpod-AAA.scope/container", Some("AAA"));
        check(
            "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-AAA.scope/container",
            Some("AAA"),
        );
        check("/machine.slice/libpod-conmon-AAA.scope", None);
        check("/libpod_parent/libpod-AAA", Some("AAA"));
    }

    #[test]
    fn containerd_and_amazon() {
        check("/default/AAA", Some("AAA"));
        check("/system.slice/nerdctl-AAA.scope", Some("AAA"));
        check("/ecs/0123456789abcdef0123456789abcdef/AAA", Some("AAA"));
        check(
            "/ecs/0123456789abcdef0123456789abcdef/0123456789abcdef0123456789abcdef-2531612879",
            Some("0123456789abcdef0123456789abcdef-2531612879"),
        );
    }

    #[test]
    fn system_containers_by_name() {
        check("/lxc/web1", Some("web1"));
        check("/lxc.payload.web1/system.slice/ssh.service", Some("web1"));
        check("/lxc.payload/web1/init.scope", Some("web1"));
        check("/lxc.monitor.web1", None);
        check("/machine.slice/systemd-nspawn@debian\\x2dtest.service/payload", Some("debian-test"));
        check("/machine.slice/machine-debian\\x2dtest.scope/payload", Some("debian-test"));
        check("/machine.slice/machine-qemu\\x2d1\\x2dvm.scope", None);
    }

    #[test]
    fn what_is_no_container() {
        check("/", None);
        check("", None);
        check("/user.slice/user-1000.slice/session-2.scope", None);
        check("/system.slice/system-getty.slice/getty@tty1.service", None);
        check(&format!("/x/{}", &A[1..]), None);
        check(&format!("/x/{A}0"), None);
        check(&format!("/x/y{A}"), None);
        check("/x/\\x", None);
        assert_eq!(container_of_path(b"/\xff\xfe/\xff"), None);
    }

    #[test]
    fn proc_shows_the_memory_hierarchy_or_else_the_unified_one() {
        let v1 = b"12:cpuset:/c\n5:cpu,cpuacct:/x\n4:memory:/docker/AAA\n0::/u\n";
        assert_eq!(path_in_proc(v1), Some((&b"/docker/AAA"[..], true)));
        assert_eq!(path_in_proc(b"0::/user.slice/a:b.scope\n"), Some((&b"/user.slice/a:b.scope"[..], false)));
        assert_eq!(path_in_proc(b"nonsense\n\n::"), None);
    }

    #[test]
    fn the_cache_answers_by_id_and_stays_bounded() {
        let mut cgroups = Cgroups::new(2);
        let names = format!("docker-{A}.scope/system.slice/");
        assert_eq!(cgroups.learn_from_kernel(7, Some(names.as_bytes())).as_deref(), Some(A));
        assert_eq!(cgroups.learn_from_kernel(7, None).as_deref(), Some(A));
        assert_eq!(cgroups.learn_path(8, b"/user.slice"), None);
        assert_eq!(cgroups.container(8), Some(None));
        assert_eq!(cgroups.learn_from_kernel(9, None), None);
        assert_eq!(cgroups.container(9), None, "an id without a path is not known");
        assert_eq!(cgroups.learn_path(0, format!("/docker/{B}").as_bytes()).as_deref(), Some(B));
        assert_eq!(cgroups.container(0), None, "0 is no id");
        cgroups.learn_path(10, b"/");
        assert_eq!((cgroups.container(7), cgroups.container(10)), (None, Some(None)));
    }
}
