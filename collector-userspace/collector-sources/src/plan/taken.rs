//! What the programs take for granted about the functions and tracepoints they sit at, checked before they are loaded.
//!
//! The verifier knows the types of arguments and lets no program read outside of one, but it does not know which one a
//! program was written for: an argument more, and programs would read sense into other structs.

use super::table::Names;
use crate::btf::Prototype;

/// Something that a program relies on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// The argument at this position, from 0.
    At(usize, Type),
    /// The argument of this name, wherever it is.
    Named(&'static str, Type),
    /// As many arguments, because the program finds the result behind them.
    Count(usize),
    /// What is returned.
    Result(Type),
}

/// A type, as far as programs care.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// A pointer to something of this name, struct or not.
    To(&'static str),
    /// A pointer.
    Pointer,
    /// Something that fits a register and is no pointer.
    Number,
}

use Taken::{At, Count, Named, Result};
use Type::{Number, Pointer, To};

const PATH_AND_DENTRY: &[Taken] = &[At(0, To("path")), At(1, To("dentry"))];
const DENTRY: &[Taken] = &[Named("dentry", To("dentry")), Result(Number)];
/// System calls have one argument, in which theirs are.
const CALL: &[Taken] = &[At(0, To("pt_regs")), Count(1), Result(Number)];
const CALLS: [&str; 2] = ["__x64_sys_", "__arm64_sys_"];

const FUNCTIONS: &[(Names, &[Taken])] = &[
    (&["do_filp_open", "do_file_open"], &[At(2, To("open_flags")), Count(3), Result(To("file"))]),
    (&["filp_close"], &[At(0, To("file"))]),
    (&["inet_accept"], &[At(1, To("socket"))]),
    (&["inet_listen"], &[At(0, To("socket")), Count(2), Result(Number)]),
    (&["inet_stream_connect"], &[At(0, To("socket")), At(1, Pointer), Count(4), Result(Number)]),
    (&["notify_change"], &[Named("dentry", To("dentry")), Named("attr", To("iattr")), Result(Number)]),
    (&["security_bprm_creds_from_file"], &[]),
    (&["security_file_permission"], &[At(0, To("file")), At(1, Number)]),
    (&["security_mmap_file"], &[At(0, To("file")), At(1, Number), At(2, Number)]),
    (&["security_path_chmod", "security_path_chown", "security_path_truncate"], &[At(0, To("path"))]),
    (&["security_path_link"], &[At(0, To("dentry")), At(1, To("path")), At(2, To("dentry"))]),
    (
        &["security_path_mkdir", "security_path_mknod", "security_path_unlink", "security_path_rmdir"],
        PATH_AND_DENTRY,
    ),
    (&["security_path_rename"], &[At(0, To("path")), At(1, To("dentry")), At(2, To("path")), At(4, Number)]),
    (&["security_path_symlink"], &[At(0, To("path")), At(1, To("dentry")), At(2, To("char"))]),
    (&["security_socket_connect"], &[At(0, To("socket")), At(1, Pointer), Count(3), Result(Number)]),
    (&["vfs_fallocate"], &[At(0, To("file")), Count(4), Result(Number)]),
    (&["vfs_link"], &[Named("new_dentry", To("dentry")), Result(Number)]),
    // An int before 6.15, a dentry since: the program takes both.
    (&["vfs_mkdir"], &[Named("dentry", To("dentry"))]),
    (&["vfs_create", "vfs_mknod", "vfs_rmdir", "vfs_symlink", "vfs_unlink"], DENTRY),
    (&["vfs_rename"], &[At(0, To("renamedata")), Result(Number)]),
    (&["vfs_write"], &[At(0, To("file")), Count(4), Result(Number)]),
];

const TRACEPOINTS: &[(Names, &[Taken])] = &[
    (&["inet_sock_set_state"], &[At(0, To("sock")), At(1, Number), At(2, Number)]),
    (&["net_dev_queue"], &[At(0, To("sk_buff"))]),
    (&["sched_prepare_exec", "sched_process_exit"], &[At(0, To("task_struct"))]),
    (&["sched_process_exec"], &[At(0, To("task_struct")), At(1, Number), At(2, To("linux_binprm"))]),
    (&["sched_process_fork"], &[At(0, To("task_struct")), At(1, To("task_struct"))]),
    (&["sys_enter", "sys_exit"], &[At(0, To("pt_regs")), At(1, Number)]),
];

/// What programs rely on at this tracepoint or function; `None` where nobody has written it down.
#[must_use]
pub fn taken(name: &str) -> Option<&'static [Taken]> {
    if CALLS.iter().any(|prefix| name.starts_with(prefix)) {
        return Some(CALL);
    }
    let known = FUNCTIONS.iter().chain(TRACEPOINTS);
    known.clone().find(|(names, _)| names.contains(&name)).map(|&(_, taken)| taken)
}

/// Every tracepoint the table uses, for whoever looks them up.
pub fn tracepoints() -> impl Iterator<Item = &'static str> {
    TRACEPOINTS.iter().flat_map(|&(names, _)| names).copied()
}

/// What this prototype lacks of what programs rely on, in words.
#[must_use]
pub fn mismatch(prototype: &Prototype) -> Option<String> {
    let lacking = taken(&prototype.name)?.iter().find(|taken| !taken.holds(prototype))?;
    if prototype.result.is_empty() {
        return Some(format!("this kernel's BTF does not say how {} is called", prototype.name));
    }
    Some(format!("not as expected on this kernel: {prototype}; needed: {}", lacking.in_words()))
}

impl Taken {
    fn holds(self, of: &Prototype) -> bool {
        match self {
            At(position, wanted) => of.parameters.get(position).is_some_and(|it| wanted.is(&it.of_type)),
            Named(name, wanted) => {
                of.parameters.iter().find(|it| it.name == name).is_some_and(|it| wanted.is(&it.of_type))
            }
            Count(count) => of.parameters.len() == count,
            Result(wanted) => wanted.is(&of.result),
        }
    }

    fn in_words(self) -> String {
        match self {
            At(position, wanted) => format!("{} as argument {}", wanted.in_words(), position + 1),
            Named(name, wanted) => format!("{} called {name}", wanted.in_words()),
            Count(1) => "one argument".to_owned(),
            Count(count) => format!("{count} arguments"),
            Result(wanted) => format!("{} as the result", wanted.in_words()),
        }
    }
}

impl Type {
    /// Whether a type in C is one of these.
    fn is(self, of_type: &str) -> bool {
        let bare = of_type.strip_prefix("const ").unwrap_or(of_type);
        let pointee = bare.strip_suffix(" *");
        match self {
            To(name) => pointee.is_some_and(|it| it.strip_prefix("struct ").unwrap_or(it) == name),
            Pointer => bare.ends_with('*'),
            Number => {
                let by_value = ["struct ", "union ", "void"].iter().any(|it| bare.starts_with(it));
                !bare.is_empty() && !by_value && !bare.contains(['*', '[', '('])
            }
        }
    }

    fn in_words(self) -> String {
        match self {
            To("char") => "char *".to_owned(),
            To(name) => format!("struct {name} *"),
            Pointer => "a pointer".to_owned(),
            Number => "a number".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is missing of a function that C declares like this.
    fn check(declaration: &str) -> Option<String> {
        mismatch(&declaration.parse().unwrap())
    }

    #[test]
    fn functions_as_they_are_hold() {
        for declaration in [
            "ssize_t vfs_write(struct file *file, const char *buf, size_t count, loff_t *pos)",
            "struct file *do_file_open(int dfd, struct filename *pathname, const struct open_flags *op)",
            "struct dentry *vfs_mkdir(struct mnt_idmap *idmap, struct inode *dir, struct dentry *dentry, umode_t mode)",
            "int vfs_mkdir(struct inode *dir, struct dentry *dentry, umode_t mode)",
            "long __arm64_sys_close(const struct pt_regs *regs)",
            "void inet_sock_set_state(const struct sock *sk, const int oldstate, const int newstate)",
            "int a_function_that_nobody_uses(void)",
        ] {
            assert_eq!(check(declaration), None);
        }
    }

    #[test]
    fn what_has_changed_is_told() {
        let lacks = |declaration: &str| {
            let reason = check(declaration).unwrap();
            let start = format!("not as expected on this kernel: {declaration}; ");
            reason.strip_prefix(&start).unwrap_or_else(|| panic!("{reason}")).to_owned()
        };
        assert_eq!(
            lacks(
                "ssize_t vfs_write(struct file *file, const char *buf, size_t count, loff_t *pos, int flags)"
            ),
            "needed: 4 arguments"
        );
        assert_eq!(
            lacks("ssize_t vfs_write(struct kiocb *it, const char *buf, size_t count, loff_t *pos)"),
            "needed: struct file * as argument 1"
        );
        assert_eq!(
            lacks("void vfs_unlink(struct inode *dir, struct dentry *dentry)"),
            "needed: a number as the result"
        );
        assert_eq!(
            lacks("int vfs_unlink(struct inode *dir, struct inode *dentry)"),
            "needed: struct dentry * called dentry"
        );
        assert_eq!(lacks("long __x64_sys_close(unsigned int fd)"), "needed: struct pt_regs * as argument 1");
        assert_eq!(
            lacks("void inet_sock_set_state(const struct sock *sk, const int oldstate)"),
            "needed: a number as argument 3"
        );
    }

    #[test]
    fn a_function_without_a_prototype_is_not_used() {
        let prototype = Prototype { name: "vfs_write".to_owned(), ..Prototype::default() };
        assert_eq!(mismatch(&prototype).unwrap(), "this kernel's BTF does not say how vfs_write is called");
    }

    #[test]
    fn numbers_are_told_from_what_does_not_fit_a_register() {
        for (of_type, number) in [
            ("umode_t", true),
            ("const int", true),
            ("unsigned long", true),
            ("char *", false),
            ("struct timespec64", false),
            ("const struct path *", false),
            ("void", false),
            ("", false),
            ("int (*)(void)", false),
        ] {
            assert_eq!(Number.is(of_type), number, "{of_type}");
        }
        assert!(Pointer.is("struct sockaddr_unsized *") && !Pointer.is("int"));
        assert!(To("path").is("const struct path *") && !To("path").is("struct path **"));
    }
}
