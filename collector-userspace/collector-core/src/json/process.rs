//! The objects of processes, full and short.

use std::sync::Arc;

use serde::{Serialize, Serializer};

use super::members::{Each, Foreign, Members, nanos};
use super::short::ShortText;
use super::time::Rfc3339;
use crate::event::{Namespaces, ProcessEvent, ProcessEventKind, ProcessExit, ProcessRef};

/// A process with all that is known of it.
pub(super) struct Full<'a>(pub(super) &'a ProcessEvent);

impl Serialize for Full<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Destructured so that a new field forces a decision here.
        let ProcessEvent {
            pid,
            ppid,
            name,
            executable_path,
            command_line,
            start_time,
            cpu_usage,
            memory_usage,
            executable_hash,
            hash_algorithm,
            user_id,
            accessible,
            file_exists,
            timestamp: _,
            platform_metadata,
            kind,
            meta: _,
            tid,
            exec_id,
            parent_exec_id,
            argv_length,
            argv_truncated,
            cwd,
            uid,
            gid,
            euid,
            egid,
            login_uid,
            session_id,
            user,
            interpreter,
            script,
            exit,
            cgroup_id,
            container_id,
            namespaces,
            pid_in_namespace,
            capabilities,
            flags,
            ancestors,
        } = self.0;
        let texts = [executable_path, cwd, interpreter, script].into_iter().flatten().chain(command_line);
        let mut object = Members::with_texts(serializer, texts)?;
        object.put("pid", pid)?;
        object.some("tid", *tid)?;
        object.some("ppid", *ppid)?;
        object.some("exec_id", exec_id.map(ShortText::exec_id))?;
        object.some("parent_exec_id", parent_exec_id.map(ShortText::exec_id))?;
        object.name("name", name)?;
        object.some_text("executable", executable_path.as_ref())?;
        let starts = matches!(kind, ProcessEventKind::Exec | ProcessEventKind::Snapshot);
        if starts || !command_line.is_empty() {
            object.texts("command_line", command_line)?;
            object.some("argv_length", *argv_length)?;
            object.put("argv_truncated", argv_truncated)?;
        }
        object.some_text("cwd", cwd.as_ref())?;
        object.some("uid", *uid)?;
        object.some("gid", *gid)?;
        object.some("euid", *euid)?;
        object.some("egid", *egid)?;
        object.some("login_uid", *login_uid)?;
        object.some("session_id", *session_id)?;
        object.some("user", user.as_deref())?;
        object.some("user_id", user_id.as_deref().filter(|_| uid.is_none()))?;
        object.some_text("interpreter", interpreter.as_ref())?;
        object.some_text("script", script.as_ref())?;
        object.some("start_time", start_time.map(Rfc3339))?;
        object.some("exit", exit.map(Exit))?;
        object.some("cgroup_id", *cgroup_id)?;
        object.some("container_id", container_id.as_deref())?;
        object.some("namespaces", namespaces.map(NamespacesJson))?;
        object.some("pid_in_namespace", *pid_in_namespace)?;
        object.some("capabilities", capabilities.map(ShortText::capabilities))?;
        object.some("cpu_usage", cpu_usage.filter(|usage| usage.is_finite()))?;
        object.some("memory_usage", *memory_usage)?;
        object.some("executable_hash", executable_hash.as_deref())?;
        object.some("hash_algorithm", hash_algorithm.as_deref())?;
        object.some("accessible", (!accessible).then_some(false))?;
        object.some("file_exists", (!file_exists).then_some(false))?;
        object.words("flags", flags)?;
        // A fork and an exit point to them with `parent_exec_id`: repeated there they would be most of the line.
        if starts && !ancestors.is_empty() {
            object.put("ancestors", &Each(ancestors, Short::ancestor))?;
        }
        object.some("platform_metadata", platform_metadata.as_ref().map(Foreign))?;
        object.end()
    }
}

/// A process in a few words.
pub(super) enum Short<'a> {
    Known(&'a ProcessRef),
    PidOnly(u32),
}

impl<'a> Short<'a> {
    fn ancestor(process: &'a Arc<ProcessRef>) -> Self {
        Self::Known(process)
    }

    /// The process behind an event, as far as the event tells.
    pub(super) fn of(process: Option<&'a ProcessRef>, pid: Option<u32>) -> Option<Self> {
        process.map(Self::Known).or(pid.map(Self::PidOnly))
    }
}

impl Serialize for Short<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self::Known(process) = self else {
            let mut object = Members::begin(serializer)?;
            if let Self::PidOnly(pid) = self {
                object.put("pid", pid)?;
            }
            return object.end();
        };
        let ProcessRef { pid, exec_id, name, executable, uid, container_id } = process;
        let mut object = Members::with_texts(serializer, std::iter::once(name).chain(executable))?;
        object.put("pid", pid)?;
        object.some("exec_id", exec_id.map(ShortText::exec_id))?;
        object.some_text("name", Some(name).filter(|name| !name.is_empty()))?;
        object.some_text("executable", executable.as_ref())?;
        object.some("uid", *uid)?;
        object.some("container_id", container_id.as_deref())?;
        object.end()
    }
}

struct Exit(ProcessExit);

impl Serialize for Exit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let ProcessExit { code, signal, core_dumped, duration } = self.0;
        let mut object = Members::begin(serializer)?;
        object.some("code", code)?;
        object.some("signal", signal)?;
        object.put("core_dumped", &core_dumped)?;
        object.some("duration_ns", duration.map(nanos))?;
        object.end()
    }
}

struct NamespacesJson(Namespaces);

impl Serialize for NamespacesJson {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Namespaces { mnt, pid, net, user } = self.0;
        let mut object = Members::begin(serializer)?;
        for (key, inode) in [("mnt", mnt), ("pid", pid), ("net", net), ("user", user)] {
            object.some(key, (inode != 0).then_some(inode))?;
        }
        object.end()
    }
}
