//! One short file per hook.

mod exec_files;
mod exit_files;
mod file_attr;
mod file_close;
mod file_close_range;
mod file_create;
mod file_delete;
mod file_finish;
mod file_link;
mod file_open;
mod file_rename;
mod file_write;
mod net_accept;
pub mod net_connect;
mod net_listen;
mod net_send;
pub mod net_state;
mod proc_exec;
mod proc_exit;
mod proc_fork;
mod syscalls;
