//! Collection: what is known of the subject, in one shape whatever the subject is.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::analysis::hash::HashError;
use crate::analysis::subject::{AnalysisSubject, AnalysisTarget};
use crate::analysis::{AnalysisError, AnalysisInput, AnalysisOutput, AnalysisStage, Analyzer};
use crate::event::{
    AlertEvent, CollectionEvent, ExecId, FilesystemEvent, ProcessEvent, ProcessRef, Text, TriggerRequest,
};

/// What a subject is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SubjectKind {
    /// Nothing.
    #[default]
    Nothing,
    /// An event; `process.exec` and so on, as in JSON.
    Event(&'static str),
    /// A trigger.
    Trigger,
    /// A file.
    Path,
}

/// What is known of a subject. What is unknown is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CollectedSubject {
    /// What the subject is.
    pub kind: SubjectKind,
    /// The file it is about: the executable of a process or connection, the file of a file event, the target of a
    /// trigger.
    pub path: Option<PathBuf>,
    /// The process it is about.
    pub pid: Option<u32>,
    /// Identity of that process's image.
    pub exec_id: Option<ExecId>,
    /// Name of that process.
    pub process_name: Option<String>,
    /// That process in short, if the subject says more of it than its pid.
    pub process: Option<Arc<ProcessRef>>,
    /// Container of that process.
    pub container_id: Option<String>,
    /// Mount namespace in which the path leads to the file: an inode number.
    pub mount_ns: Option<u32>,
    /// Size of the file in bytes, as the event says, or else as it is now.
    pub size: Option<u64>,
    /// When the file was last modified, as it is now.
    pub modified: Option<SystemTime>,
    /// When the event happened or the trigger was made.
    pub observed: Option<SystemTime>,
    /// When the process started.
    pub process_started: Option<SystemTime>,
    /// Digest that the event brought, hexadecimal. Told, not computed here.
    pub reported_hash: Option<String>,
    /// Further facts from the subject.
    pub metadata: BTreeMap<String, String>,
}

impl CollectedSubject {
    /// What the subject itself says, without looking at anything else.
    #[must_use]
    pub fn of(subject: &AnalysisSubject) -> Self {
        let known = match subject.target() {
            AnalysisTarget::Nothing => Self::default(),
            AnalysisTarget::Path(path) => {
                Self { kind: SubjectKind::Path, path: Some(path.clone()), ..Self::default() }
            }
            AnalysisTarget::Trigger(request) => of_trigger(request),
            AnalysisTarget::Event(event) => of_event(event),
        };
        Self { metadata: subject.metadata().clone(), ..known }
    }

    /// The trigger condition that began it, if one did.
    #[must_use]
    pub fn condition(&self) -> Option<&str> {
        let of_trigger = self.kind == SubjectKind::Trigger;
        self.metadata.get("condition").filter(|_| of_trigger).map(String::as_str)
    }

    /// The path, if it leads from here to the file it was seen for: the same path in another mount namespace is another
    /// file, and the digest of another file is worse than none. `here` is the mount namespace of this process. Where one of
    /// the two is not known, being in a container says as much; otherwise that says nothing, for it is concluded from a name
    /// that others may choose.
    pub(crate) fn path_from_here(&self, here: Option<u32>) -> Result<Option<PathBuf>, HashError> {
        let Some(path) = self.path.clone() else { return Ok(None) };
        match (self.mount_ns, here) {
            (Some(there), Some(here)) if there != here => {
                return Err(HashError::Elsewhere { path, place: "in another mount namespace" });
            }
            (Some(_), Some(_)) => {}
            _ if self.container_id.is_some() => {
                return Err(HashError::Elsewhere { path, place: "in a container" });
            }
            _ => {}
        }
        if !path.is_absolute() {
            return Err(HashError::Elsewhere { path, place: "relative to an unknown directory" });
        }
        Ok(Some(path))
    }
}

fn of_event(event: &CollectionEvent) -> CollectedSubject {
    let known = match event {
        CollectionEvent::Process(event) => of_process(event),
        CollectionEvent::Filesystem(event) => of_file(event),
        CollectionEvent::Network(event) => of_actor(event.process.as_ref()),
        CollectionEvent::TriggerRequest(request) => return of_trigger(request),
        CollectionEvent::Alert(alert) => of_alert(alert),
        CollectionEvent::Performance(event) => of_actor(event.process.as_ref()),
        CollectionEvent::Loss(_) => CollectedSubject::default(),
    };
    CollectedSubject {
        kind: SubjectKind::Event(event.kind()),
        pid: event.pid(),
        exec_id: event.exec_id(),
        observed: Some(event.timestamp()),
        mount_ns: event.mount_ns(),
        ..known
    }
}

fn of_process(event: &ProcessEvent) -> CollectedSubject {
    CollectedSubject {
        path: event.executable_path.as_ref().and_then(to_path),
        process_name: Some(event.name.clone()).filter(|name| !name.is_empty()),
        process: Some(Arc::new(ProcessRef::from(event))),
        container_id: event.container_id.as_deref().map(str::to_owned),
        process_started: event.start_time,
        reported_hash: event.executable_hash.clone(),
        ..CollectedSubject::default()
    }
}

fn of_file(event: &FilesystemEvent) -> CollectedSubject {
    CollectedSubject {
        path: to_path(&event.path),
        size: event.size,
        reported_hash: event.file_hash.clone(),
        ..by_process(event.process.as_ref())
    }
}

/// The process behind a connection or a measurement.
fn of_actor(process: Option<&Arc<ProcessRef>>) -> CollectedSubject {
    CollectedSubject {
        path: process.and_then(|process| process.executable.as_ref()).and_then(to_path),
        ..by_process(process)
    }
}

fn of_alert(alert: &AlertEvent) -> CollectedSubject {
    CollectedSubject {
        path: alert.path.as_ref().and_then(to_path),
        size: alert.size,
        ..by_process(alert.process.as_ref())
    }
}

fn of_trigger(request: &TriggerRequest) -> CollectedSubject {
    let lossy = || request.target_path.as_deref().filter(|path| !path.is_empty()).map(PathBuf::from);
    CollectedSubject {
        kind: SubjectKind::Trigger,
        path: request.target_bytes.as_ref().and_then(to_path).or_else(lossy),
        pid: request.target_pid,
        exec_id: request.process.as_ref().and_then(|process| process.exec_id),
        observed: Some(request.timestamp),
        mount_ns: request.target_mount_ns,
        ..by_process(request.process.as_ref())
    }
}

/// What a process in short says.
fn by_process(process: Option<&Arc<ProcessRef>>) -> CollectedSubject {
    let name = process.map(|process| process.name.to_string_lossy().into_owned());
    CollectedSubject {
        process: process.cloned(),
        process_name: name.filter(|name| !name.is_empty()),
        container_id: process.and_then(|process| process.container_id.as_deref()).map(str::to_owned),
        ..CollectedSubject::default()
    }
}

#[cfg(unix)]
fn to_path(text: &Text) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStrExt as _;

    (!text.is_empty()).then(|| std::ffi::OsStr::from_bytes(text.as_bytes()).into())
}

#[cfg(not(unix))]
fn to_path(text: &Text) -> Option<PathBuf> {
    text.as_str().filter(|text| !text.is_empty()).map(PathBuf::from)
}

/// Runs [`AnalysisStage::Collection`]: gives a [`CollectedSubject`]. Never fails, since to know little is a result.
#[derive(Clone, Debug)]
pub struct CollectionAnalyzer {
    looks: Arc<Semaphore>,
}

/// Looks at file systems at one time, and how long one may take. A dead file system holds the thread that looks at it;
/// then sizes and times are missing, and threads are not.
const MAX_LOOKS: usize = 4;
const LOOK: Duration = Duration::from_secs(1);

impl Default for CollectionAnalyzer {
    fn default() -> Self {
        Self { looks: Arc::new(Semaphore::new(MAX_LOOKS)) }
    }
}

impl CollectionAnalyzer {
    async fn look(&self, path: PathBuf) -> Option<Metadata> {
        let turn = Arc::clone(&self.looks).acquire_owned().await.ok()?;
        let look = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            std::fs::symlink_metadata(path)
        });
        look.await.ok()?.ok().filter(Metadata::is_file)
    }
}

#[async_trait]
impl Analyzer for CollectionAnalyzer {
    #[expect(
        clippy::unnecessary_literal_bound,
        reason = "the trait lets analyzers have names made at run time"
    )]
    fn name(&self) -> &str {
        "collection"
    }

    fn stages(&self) -> Vec<AnalysisStage> {
        vec![AnalysisStage::Collection]
    }

    async fn analyze(
        &self,
        input: AnalysisInput,
        _: CancellationToken,
    ) -> Result<AnalysisOutput, AnalysisError> {
        let mut known = CollectedSubject::of(&input.subject);
        if let Ok(Some(path)) = known.path_from_here(input.mount_namespace)
            && let Ok(Some(metadata)) = tokio::time::timeout(LOOK, self.look(path)).await
        {
            known.size = known.size.or(Some(metadata.len()));
            known.modified = metadata.modified().ok();
        }
        Ok(AnalysisOutput::Collected(Box::new(known)))
    }
}
