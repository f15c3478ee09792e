//! One image of a process: what an exec made, or a fork copied.

use std::sync::Arc;

use collector_common::TaskWire;
use collector_core::{ExecId, ProcessRef, Text};

use super::{Cgroups, image_digest};

/// An image and what is known of it.
#[derive(Clone, Debug)]
pub(super) struct Image {
    /// The kernel's counter; unknown for an image only `/proc` has shown so far.
    pub(super) counter: Option<u64>,
    /// Since when the process runs it, kernel time.
    pub(super) from_ns: u64,
    pub(super) comm: [u8; 16],
    pub(super) uid: u32,
    /// 0: unknown.
    pub(super) cgroup_id: u64,
    /// Ready to be shared by events.
    pub(super) process: Arc<ProcessRef>,
    /// The last shape in which a record showed it that differs from `process`: other threads have other names, and
    /// users and control groups change without an exec.
    variant: Option<Box<Variant>>,
}

#[derive(Clone, Debug)]
struct Variant {
    comm: [u8; 16],
    uid: u32,
    cgroup_id: u64,
    process: Arc<ProcessRef>,
}

impl Image {
    pub(super) fn new(task: &TaskWire, from_ns: u64, process: Arc<ProcessRef>) -> Self {
        Self {
            counter: Some(task.image),
            from_ns,
            comm: task.comm,
            uid: task.uid,
            cgroup_id: task.cgroup_id,
            process,
            variant: None,
        }
    }

    pub(super) fn from_procfs(comm: [u8; 16], cgroup_id: u64, process: Arc<ProcessRef>) -> Self {
        let uid = process.uid.unwrap_or_default();
        Self { counter: None, from_ns: 0, comm, uid, cgroup_id, process, variant: None }
    }

    /// `/proc` knows the executable of an image that a record alone has described.
    pub(super) fn complete(&mut self, from_procfs: &Arc<ProcessRef>) {
        if self.process.executable.is_none() {
            self.process = Arc::clone(from_procfs);
            self.variant = None;
        }
    }

    pub(super) fn exec_id(&self) -> Option<ExecId> {
        self.process.exec_id
    }

    /// 0: unknown.
    pub(super) fn digest(&self) -> u32 {
        self.process.exec_id.map_or(0, |id| id.image)
    }

    /// The image as `task` shows it: name, user and control group of the record win.
    pub(super) fn seen_by(&mut self, task: &TaskWire, cgroups: &Cgroups) -> Arc<ProcessRef> {
        let same_cgroup = |known: u64| known == task.cgroup_id || known == 0 || task.cgroup_id == 0;
        if self.comm == task.comm && self.uid == task.uid && same_cgroup(self.cgroup_id) {
            return Arc::clone(&self.process);
        }
        if let Some(variant) = &self.variant
            && variant.comm == task.comm
            && variant.uid == task.uid
            && variant.cgroup_id == task.cgroup_id
        {
            return Arc::clone(&variant.process);
        }
        let container_id = if same_cgroup(self.cgroup_id) {
            self.process.container_id.clone()
        } else {
            // Control groups made inside a container and not seen yet belong to that container.
            cgroups.container(task.cgroup_id).unwrap_or_else(|| self.process.container_id.clone())
        };
        let process = Arc::new(ProcessRef {
            name: comm_text(&task.comm),
            uid: Some(task.uid),
            container_id,
            ..(*self.process).clone()
        });
        self.variant = Some(Box::new(Variant {
            comm: task.comm,
            uid: task.uid,
            cgroup_id: task.cgroup_id,
            process: Arc::clone(&process),
        }));
        process
    }
}

/// Which of a process's images (oldest first) `task` ran at `ktime_ns`.
pub(super) fn find(images: &[Image], counter: u64, start_stack: u64, ktime_ns: u64) -> Option<usize> {
    let digest = image_digest(start_stack);
    if counter == 0 {
        // A kernel thread, or a kernel whose counter cannot be read.
        return if digest == 0 {
            images.iter().rposition(|image| image.from_ns <= ktime_ns)
        } else {
            images.iter().rposition(|image| image.digest() == digest || image.digest() == 0)
        };
    }
    if let Some(found) = images.iter().rposition(|image| image.counter == Some(counter)) {
        return Some(found);
    }
    let unnumbered = images.iter().rposition(|image| image.counter.is_none())?;
    let known = images.get(unnumbered)?.digest();
    let is_it = if digest != 0 && known != 0 {
        digest == known
    } else {
        // Nothing compares them; but what `/proc` showed cannot be newer than an image with a smaller number.
        !images.iter().any(|image| image.counter.is_some_and(|other| other < counter))
    };
    is_it.then_some(unnumbered)
}

/// A thread name without its padding.
pub(super) fn comm_bytes(comm: &[u8; 16]) -> &[u8] {
    comm.split(|&byte| byte == 0).next().unwrap_or_default()
}

pub(super) fn comm_text(comm: &[u8; 16]) -> Text {
    Text::from(comm_bytes(comm))
}
