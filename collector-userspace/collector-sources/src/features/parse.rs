//! What the kernel writes about itself, from text to values.

use serde::Serialize;

/// Version of a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct KernelVersion {
    /// First number.
    pub major: u32,
    /// Second number.
    pub minor: u32,
}

impl KernelVersion {
    /// A version.
    #[must_use]
    pub const fn new(major: u32, minor: u32) -> Self {
        Self { major, minor }
    }

    /// Reads a release as `uname -r` prints it: `6.18.44-fc`, `5.10.0-28-amd64`, `7.3-rc1`.
    #[must_use]
    pub fn parse(release: &str) -> Option<Self> {
        let (major, rest) = release.split_once('.')?;
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        Some(Self { major: major.parse().ok()?, minor: rest.get(..digits)?.parse().ok()? })
    }
}

impl std::fmt::Display for KernelVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// Kernel lockdown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Lockdown {
    /// Off.
    None,
    /// Userspace may not change the kernel. Reading kernel memory from programs stays allowed.
    Integrity,
    /// Nor read its memory: programs that do are refused.
    Confidentiality,
}

impl Lockdown {
    /// Reads `/sys/kernel/security/lockdown`, where the mode in force stands in brackets.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (_, rest) = text.split_once('[')?;
        match rest.split_once(']')?.0 {
            "none" => Some(Self::None),
            "integrity" => Some(Self::Integrity),
            "confidentiality" => Some(Self::Confidentiality),
            _ => None,
        }
    }
}

/// Name of a security module by its number in `linux/lsm.h`.
#[must_use]
pub(super) fn security_module(id: u64) -> String {
    const NAMES: [&str; 14] = [
        "capability",
        "selinux",
        "smack",
        "tomoyo",
        "apparmor",
        "yama",
        "loadpin",
        "safesetid",
        "lockdown",
        "bpf",
        "landlock",
        "ima",
        "evm",
        "ipe",
    ];
    let name = id.checked_sub(100).and_then(|index| NAMES.get(usize::try_from(index).ok()?));
    name.map_or_else(|| format!("lsm-{id}"), |name| (*name).to_owned())
}

/// How control groups are mounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CgroupMode {
    /// Not at all.
    None,
    /// Separate hierarchies only.
    V1,
    /// Separate hierarchies with controllers, and the unified one beside them.
    Hybrid,
    /// The unified hierarchy only.
    V2,
}

/// Control group hierarchies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Cgroups {
    /// Which hierarchies there are.
    pub mode: CgroupMode,
    /// Where the unified hierarchy is mounted.
    pub unified: Option<String>,
    /// Where the separate memory hierarchy is mounted: containers live there in v1 and hybrid mode.
    pub memory: Option<String>,
}

impl Cgroups {
    /// Reads `/proc/self/mountinfo`.
    #[must_use]
    pub fn parse(mountinfo: &str) -> Self {
        let (mut unified, mut memory, mut separate) = (None, None, false);
        for line in mountinfo.lines() {
            // 36 35 98:0 /root /mount/point options [tags…] - type source super-options
            let Some((mount, file_system)) = line.split_once(" - ") else { continue };
            let Some(point) = mount.split(' ').nth(4) else { continue };
            let mut words = file_system.split(' ');
            match words.next() {
                Some("cgroup2") => unified = unified.or_else(|| Some(unescape(point))),
                Some("cgroup") => {
                    separate = true;
                    if words.nth(1).is_some_and(|options| options.split(',').any(|option| option == "memory"))
                    {
                        memory = memory.or_else(|| Some(unescape(point)));
                    }
                }
                _ => {}
            }
        }
        let mode = match (separate, unified.is_some()) {
            (false, false) => CgroupMode::None,
            (true, false) => CgroupMode::V1,
            (true, true) => CgroupMode::Hybrid,
            (false, true) => CgroupMode::V2,
        };
        Self { mode, unified, memory }
    }

    /// Whether programs must take a task's group from the separate memory hierarchy, because everybody is in
    /// the root of the unified one.
    #[must_use]
    pub fn in_memory_hierarchy(&self) -> bool {
        self.memory.is_some()
    }
}

/// Undoes the octal escapes of blanks and backslashes.
fn unescape(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        let code = tail.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
        if byte == b'\\'
            && let Some(code) = code.and_then(|digits| u8::from_str_radix(digits, 8).ok())
        {
            out.push(code);
            rest = tail.get(3..).unwrap_or_default();
        } else {
            out.push(byte);
            rest = tail;
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_of_all_sorts_have_two_numbers() {
        let version = |text| KernelVersion::parse(text).map(|version| (version.major, version.minor));
        assert_eq!(version("6.18.44-fc-v657"), Some((6, 18)));
        assert_eq!(version("5.10.0-28-amd64"), Some((5, 10)));
        assert_eq!(version("7.3-rc1"), Some((7, 3)));
        assert_eq!(version("6.1"), Some((6, 1)));
        assert_eq!(version("six"), None);
        assert_eq!(version("6.x"), None);
        assert!(KernelVersion::new(5, 10) < KernelVersion::new(5, 11));
        assert!(KernelVersion::new(5, 19) < KernelVersion::new(6, 1));
    }

    #[test]
    fn lockdown_is_the_mode_in_brackets() {
        assert_eq!(Lockdown::parse("none [integrity] confidentiality\n"), Some(Lockdown::Integrity));
        assert_eq!(Lockdown::parse("[none] integrity confidentiality"), Some(Lockdown::None));
        assert_eq!(Lockdown::parse("none integrity"), None);
    }

    #[test]
    fn security_modules_have_names() {
        assert_eq!(security_module(100), "capability");
        assert_eq!(security_module(109), "bpf");
        assert_eq!(security_module(1), "lsm-1");
        assert_eq!(security_module(u64::MAX), format!("lsm-{}", u64::MAX));
    }

    #[test]
    fn control_groups_of_every_mode() {
        let v2 = "25 1 0:22 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw\n";
        let parsed = Cgroups::parse(v2);
        assert_eq!((parsed.mode, parsed.unified.as_deref()), (CgroupMode::V2, Some("/sys/fs/cgroup")));
        assert!(!parsed.in_memory_hierarchy());

        let v1 = "30 25 0:25 / /sys/fs/cgroup/my\\040memory rw - cgroup cgroup rw,memory\n";
        let parsed = Cgroups::parse(v1);
        assert_eq!(parsed.mode, CgroupMode::V1);
        assert_eq!(parsed.memory.as_deref(), Some("/sys/fs/cgroup/my memory"));

        let parsed = Cgroups::parse(&format!("{v1}{v2}"));
        assert_eq!(parsed.mode, CgroupMode::Hybrid);
        assert!(parsed.in_memory_hierarchy());

        assert_eq!(Cgroups::parse("garbage\n - \n").mode, CgroupMode::None);
    }
}
