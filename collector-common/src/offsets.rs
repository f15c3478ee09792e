//! Where the running kernel keeps what the probes read. Resolved from its BTF by userspace before loading.

/// Value of an offset that this kernel does not have: the probe leaves that field out.
pub const MISSING: u32 = u32::MAX;

macro_rules! offsets {
    ($($(#[$doc:meta])* $field:ident: $path:literal,)*) => {
        /// Byte offsets of kernel struct members, and a few sizes and enum values.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[cfg_attr(feature = "user", derive(zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable, zerocopy::KnownLayout))]
        #[repr(C)]
        pub struct Offsets {
            $($(#[$doc])* pub $field: u32,)*
        }

        impl Offsets {
            /// Number of entries.
            pub const COUNT: usize = [$($path),*].len();
            /// What each entry stands for, in field order: `struct.member[.member…]`, `sizeof struct`,
            /// `enum enum_name.value`, `arg function.parameter` (its position), `args function` (how many it has).
            /// Alternatives for kernels that renamed it are separated by `|`.
            pub const PATHS: [&'static str; Self::COUNT] = [$($path),*];
            /// Nothing resolved.
            pub const EMPTY: Self = Self { $($field: MISSING,)* };
        }
    };
}

offsets! {
    /// `task_struct.flags`
    task_flags: "task_struct.flags",
    /// `task_struct.thread_info.status` (x86 compat bit)
    task_status: "task_struct.thread_info.status",
    /// Thread id.
    task_pid: "task_struct.pid",
    /// Thread-group id.
    task_tgid: "task_struct.tgid",
    /// Name.
    task_comm: "task_struct.comm",
    /// Real parent.
    task_real_parent: "task_struct.real_parent",
    /// Thread-group leader.
    task_group_leader: "task_struct.group_leader",
    /// Start time, boot clock.
    task_start: "task_struct.start_boottime|task_struct.real_start_time",
    /// Exec counter.
    task_self_exec_id: "task_struct.self_exec_id",
    /// Exit status of this thread.
    task_exit_code: "task_struct.exit_code",
    /// Shared signal state.
    task_signal: "task_struct.signal",
    /// Objective credentials.
    task_real_cred: "task_struct.real_cred",
    /// Audit login uid.
    task_loginuid: "task_struct.loginuid",
    /// Audit session.
    task_sessionid: "task_struct.sessionid",
    /// Namespaces.
    task_nsproxy: "task_struct.nsproxy",
    /// Address space.
    task_mm: "task_struct.mm",
    /// Open files.
    task_files: "task_struct.files",
    /// Root and current directory.
    task_fs: "task_struct.fs",
    /// Control group set.
    task_cgroups: "task_struct.cgroups",
    /// `struct pid` of the thread.
    task_thread_pid: "task_struct.thread_pid",
    /// io_uring context.
    task_io_uring: "task_struct.io_uring",
    /// Threads not yet gone.
    signal_live: "signal_struct.live",
    /// Threads.
    signal_threads: "signal_struct.nr_threads",
    /// Signal flags.
    signal_flags: "signal_struct.flags",
    /// Status of a group exit.
    signal_group_exit_code: "signal_struct.group_exit_code",
    /// Real user.
    cred_uid: "cred.uid",
    /// Real group.
    cred_gid: "cred.gid",
    /// Effective user.
    cred_euid: "cred.euid",
    /// Effective group.
    cred_egid: "cred.egid",
    /// Effective capabilities.
    cred_cap_effective: "cred.cap_effective",
    /// User namespace.
    cred_user_ns: "cred.user_ns",
    /// Mount namespace.
    nsproxy_mnt_ns: "nsproxy.mnt_ns",
    /// Network namespace.
    nsproxy_net_ns: "nsproxy.net_ns",
    /// Inode of a mount namespace.
    mnt_namespace_inum: "mnt_namespace.ns.inum",
    /// Inode of a network namespace.
    net_inum: "net.ns.inum",
    /// Inode of a pid namespace.
    pid_namespace_inum: "pid_namespace.ns.inum",
    /// Inode of a user namespace.
    user_namespace_inum: "user_namespace.ns.inum",
    /// Depth of a pid.
    pid_level: "pid.level",
    /// Numbers of a pid, one per depth.
    pid_numbers: "pid.numbers",
    /// Size of one such number.
    sizeof_upid: "sizeof upid",
    /// Number itself.
    upid_nr: "upid.nr",
    /// Its namespace.
    upid_ns: "upid.ns",
    /// Start of the arguments.
    mm_arg_start: "mm_struct.arg_start",
    /// End of the arguments.
    mm_arg_end: "mm_struct.arg_end",
    /// Start of the stack.
    mm_start_stack: "mm_struct.start_stack",
    /// What the program can address.
    mm_task_size: "mm_struct.task_size",
    /// Control group states by subsystem.
    css_set_subsys: "css_set.subsys",
    /// Control group of the v2 hierarchy.
    css_set_dfl_cgrp: "css_set.dfl_cgrp",
    /// Control group of a state.
    css_cgroup: "cgroup_subsys_state.cgroup",
    /// Node of a control group.
    cgroup_kn: "cgroup.kn",
    /// Id of a node (64 bits from 5.5 on).
    kn_id: "kernfs_node.id",
    /// Name of a node.
    kn_name: "kernfs_node.name",
    /// Parent of a node.
    kn_parent: "kernfs_node.__parent|kernfs_node.parent",
    /// Index of the memory controller.
    memory_cgrp_id: "enum cgroup_subsys_id.memory_cgrp_id",
    /// Executable being run.
    bprm_file: "linux_binprm.file",
    /// Path given.
    bprm_filename: "linux_binprm.filename",
    /// Interpreter chosen.
    bprm_interp: "linux_binprm.interp",
    /// Argument count.
    bprm_argc: "linux_binprm.argc",
    /// Storage unit of the bit field that holds `secureexec`.
    bprm_secureexec: "bits linux_binprm.secureexec",
    /// Bit number inside it.
    bprm_secureexec_bit: "bit linux_binprm.secureexec",
    /// Open mode.
    file_mode: "file.f_mode",
    /// Open flags.
    file_flags: "file.f_flags",
    /// Inode.
    file_inode: "file.f_inode",
    /// Private data (socket).
    file_private: "file.private_data",
    /// Mount of the path.
    file_mnt: "file.f_path.mnt",
    /// Dentry of the path.
    file_dentry: "file.f_path.dentry",
    /// Mode.
    inode_mode: "inode.i_mode",
    /// Owner.
    inode_uid: "inode.i_uid",
    /// Group.
    inode_gid: "inode.i_gid",
    /// Number.
    inode_ino: "inode.i_ino",
    /// Links.
    inode_nlink: "inode.i_nlink",
    /// Size.
    inode_size: "inode.i_size",
    /// Super block.
    inode_sb: "inode.i_sb",
    /// Device.
    sb_dev: "super_block.s_dev",
    /// Parent.
    dentry_parent: "dentry.d_parent",
    /// Length of the name.
    dentry_name_len: "dentry.d_name.len",
    /// Name.
    dentry_name: "dentry.d_name.name",
    /// Embedded mount of `struct mount`.
    mount_mnt: "mount.mnt",
    /// Mount it sits on.
    mount_parent: "mount.mnt_parent",
    /// Where it sits.
    mount_mountpoint: "mount.mnt_mountpoint",
    /// Root of a mount.
    vfsmount_root: "vfsmount.mnt_root",
    /// Flags of a mount.
    vfsmount_flags: "vfsmount.mnt_flags",
    /// Tasks that share the descriptor table.
    files_count: "files_struct.count",
    /// Descriptor table.
    files_fdt: "files_struct.fdt",
    /// Size of a descriptor table.
    fdt_max: "fdtable.max_fds",
    /// Its descriptions.
    fdt_fd: "fdtable.fd",
    /// Its bit map of open descriptors.
    fdt_open: "fdtable.open_fds",
    /// Its bit map of descriptors that an exec closes.
    fdt_close_on_exec: "fdtable.close_on_exec",
    /// Root directory, mount.
    fs_root_mnt: "fs_struct.root.mnt",
    /// Root directory, dentry.
    fs_root_dentry: "fs_struct.root.dentry",
    /// Current directory, mount.
    fs_pwd_mnt: "fs_struct.pwd.mnt",
    /// Current directory, dentry.
    fs_pwd_dentry: "fs_struct.pwd.dentry",
    /// Socket.
    socket_sk: "socket.sk",
    /// Family.
    sk_family: "sock.__sk_common.skc_family",
    /// State.
    sk_state: "sock.__sk_common.skc_state",
    /// Remote port, network order.
    sk_dport: "sock.__sk_common.skc_dport",
    /// Local port, host order.
    sk_num: "sock.__sk_common.skc_num",
    /// Remote IPv4 address.
    sk_daddr: "sock.__sk_common.skc_daddr",
    /// Local IPv4 address.
    sk_rcv_saddr: "sock.__sk_common.skc_rcv_saddr",
    /// Remote IPv6 address.
    sk_v6_daddr: "sock.__sk_common.skc_v6_daddr",
    /// Local IPv6 address.
    sk_v6_rcv_saddr: "sock.__sk_common.skc_v6_rcv_saddr",
    /// Network namespace of the socket.
    sk_net: "sock.__sk_common.skc_net",
    /// Flag bits.
    sk_flags: "sock.__sk_common.skc_flags",
    /// Bit number of the flag that the peer has sent its end (FIN).
    sock_done: "enum sock_flags.SOCK_DONE",
    /// IP protocol.
    sk_protocol: "sock.sk_protocol",
    /// Pending error.
    sk_err: "sock.sk_err",
    /// Backlog.
    sk_max_ack_backlog: "sock.sk_max_ack_backlog",
    /// Local port, network order, which outlives an unhash.
    inet_sport: "inet_sock.inet_sport",
    /// Bytes sent, retransmissions included.
    tcp_bytes_sent: "tcp_sock.bytes_sent",
    /// Bytes retransmitted.
    tcp_bytes_retrans: "tcp_sock.bytes_retrans",
    /// Bytes received.
    tcp_bytes_received: "tcp_sock.bytes_received",
    /// Socket of a packet.
    skb_sk: "sk_buff.sk",
    /// Buffer.
    skb_head: "sk_buff.head",
    /// Network header inside it.
    skb_network_header: "sk_buff.network_header",
    /// Transport header inside it.
    skb_transport_header: "sk_buff.transport_header",
    /// Ethernet protocol, network order.
    skb_protocol: "sk_buff.protocol",
    /// Dentry of a path.
    path_dentry: "path.dentry",
    /// Mount of a path.
    path_mnt: "path.mnt",
    /// Inode behind a name.
    dentry_inode: "dentry.d_inode",
    /// Flags of an open, `O_TRUNC` among them.
    open_flags: "open_flags.open_flag",
    /// What an attribute change is about.
    iattr_valid: "iattr.ia_valid",
    /// The description it goes through.
    iattr_file: "iattr.ia_file",
    /// Position of an argument, as in all that follow; `_result` is where the result comes after them.
    mkdir_dentry: "arg vfs_mkdir.dentry",
    /// See [`Offsets::mkdir_dentry`].
    mkdir_result: "args vfs_mkdir",
    /// See [`Offsets::mkdir_dentry`].
    mknod_dentry: "arg vfs_mknod.dentry",
    /// See [`Offsets::mkdir_dentry`].
    mknod_result: "args vfs_mknod",
    /// See [`Offsets::mkdir_dentry`].
    create_dentry: "arg vfs_create.dentry",
    /// See [`Offsets::mkdir_dentry`].
    create_result: "args vfs_create",
    /// See [`Offsets::mkdir_dentry`].
    unlink_dentry: "arg vfs_unlink.dentry",
    /// See [`Offsets::mkdir_dentry`].
    unlink_result: "args vfs_unlink",
    /// See [`Offsets::mkdir_dentry`].
    rmdir_dentry: "arg vfs_rmdir.dentry",
    /// See [`Offsets::mkdir_dentry`].
    rmdir_result: "args vfs_rmdir",
    /// Old name in the description of a rename, a byte offset.
    rename_old_dentry: "renamedata.old_dentry",
    /// See [`Offsets::mkdir_dentry`].
    rename_result: "args vfs_rename",
    /// See [`Offsets::mkdir_dentry`].
    link_new_dentry: "arg vfs_link.new_dentry",
    /// See [`Offsets::mkdir_dentry`].
    link_result: "args vfs_link",
    /// See [`Offsets::mkdir_dentry`].
    symlink_dentry: "arg vfs_symlink.dentry",
    /// See [`Offsets::mkdir_dentry`].
    symlink_result: "args vfs_symlink",
    /// See [`Offsets::mkdir_dentry`].
    change_dentry: "arg notify_change.dentry",
    /// See [`Offsets::mkdir_dentry`].
    change_attr: "arg notify_change.attr",
    /// See [`Offsets::mkdir_dentry`].
    change_result: "args notify_change",
}
