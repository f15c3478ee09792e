//! Joining and cleaning paths.

use collector_core::Text;

/// The path that `name` means from `base`, see [`FileWire`](collector_common::FileWire); `None` if neither is there.
///
/// An absolute name counts from the process's root directory, which is then the base. With `clean`, `//`, `.` and
/// `..` are resolved in the text alone: `..` behind a symbolic link may mean another directory to the kernel, one of
/// the reasons why such an event says that it comes from a system call's arguments.
pub(super) fn join(base: Option<&[u8]>, name: Option<&[u8]>, clean: bool) -> Option<Text> {
    let (base, name) = match (base, name.filter(|name| !name.is_empty())) {
        (None, None) => return None,
        (Some(base), None) => return Some(Text::from(base)),
        (base, Some(name)) => (base.unwrap_or_default(), name),
    };
    let mut path = Vec::with_capacity(base.len() + 1 + name.len());
    path.extend_from_slice(base);
    if !clean || is_clean(name) {
        if !base.is_empty() && !base.ends_with(b"/") && !name.starts_with(b"/") {
            path.push(b'/');
        }
        path.extend_from_slice(if base.ends_with(b"/") {
            name.strip_prefix(b"/").unwrap_or(name)
        } else {
            name
        });
        return Some(Text::from(path));
    }
    while path.ends_with(b"/") {
        path.pop();
    }
    // `..` cannot leave the root directory, be it the process's own.
    let floor = if name.starts_with(b"/") { path.len() } else { 0 };
    let is_relative = base.is_empty() && !name.starts_with(b"/");
    for part in name.split(|&byte| byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." if !is_relative => {
                let parent = path.iter().rposition(|&byte| byte == b'/').unwrap_or(0);
                path.truncate(parent.max(floor));
            }
            part => {
                if !(is_relative && path.is_empty()) {
                    path.push(b'/');
                }
                path.extend_from_slice(part);
            }
        }
    }
    if path.is_empty() {
        path.push(if is_relative { b'.' } else { b'/' });
    }
    Some(Text::from(path))
}

/// Whether cleaning would change nothing; true of most names, and cheaper than cleaning. A name that begins a part
/// with a dot may be clean and is not taken for it.
fn is_clean(name: &[u8]) -> bool {
    let mut before = b'/';
    let suspect = name.iter().any(|&byte| {
        let starts_part = std::mem::replace(&mut before, byte) == b'/';
        starts_part && matches!(byte, b'.' | b'/')
    });
    // A leading slash is taken for a double one: what begins with it counts from the root and may be cleaned.
    !suspect && before != b'/'
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn some(text: &str) -> Option<&[u8]> {
        Some(text.as_bytes()).filter(|text| !text.is_empty())
    }

    #[track_caller]
    fn check(base: &str, name: &str, expected: &str) {
        let joined = join(some(base), some(name), true).unwrap();
        assert_eq!(joined, expected, "{base} + {name}");
    }

    #[test]
    fn relative_names_count_from_the_directory() {
        check("/home/u", "x", "/home/u/x");
        check("/", "x", "/x");
        check("/home/u", "a//b/./c/", "/home/u/a/b/c");
        check("/home/u", "../v/x", "/home/v/x");
        check("/home/u", "../../../../x", "/x");
        check("/home/u", "..", "/home");
        check("/home", "..", "/");
        check("/home/u", ".", "/home/u");
    }

    #[test]
    fn absolute_names_count_from_the_process_root_and_do_not_leave_it() {
        check("/", "/etc/passwd", "/etc/passwd");
        check("/srv/jail", "/etc/passwd", "/srv/jail/etc/passwd");
        check("/srv/jail", "/../../etc/passwd", "/srv/jail/etc/passwd");
        check("/", "/..", "/");
        check("/", "//", "/");
    }

    #[test]
    fn one_half_is_enough() {
        check("/tmp/x", "", "/tmp/x");
        check("", "x/./y", "x/y");
        check("", "../x", "../x");
        check("", "./", ".");
        check("", "/etc//x", "/etc/x");
        assert_eq!(join(None, None, true), None);
        assert_eq!(join(Some(b"/a"), Some(b""), true), Some(Text::from("/a")));
    }

    #[test]
    fn what_the_kernel_resolved_is_joined_untouched() {
        let joined = |base, name| join(some(base), some(name), false).unwrap();
        assert_eq!(joined("/a/..b", "./c"), "/a/..b/./c");
        assert_eq!(joined("/", "x"), "/x");
        assert_eq!(joined("/", "/x"), "/x");
    }

    proptest! {
        #[test]
        fn cleaned_paths_hold_no_dots_and_no_double_slashes(
            base in "(/[a-c.]{1,2}){0,3}", name in "[a/.]{1,12}"
        ) {
            let base = format!("/base{}", base.replace('.', "d"));
            let joined = join(Some(base.as_bytes()), Some(name.as_bytes()), true).unwrap();
            let text = joined.as_str().unwrap();
            prop_assert!(text.starts_with('/'));
            prop_assert!(!text.contains("//"));
            prop_assert!(text.split('/').all(|part| part != "." && part != ".."), "{}", text);
        }
    }
}
