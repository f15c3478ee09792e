//! Events for people: one line each, aligned, coloured on a terminal, safe to look at.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use collector_core::{
    AlertEvent, AlertSeverity, CollectionEvent, Direction, FilesystemEvent, FilesystemEventKind, LossEvent,
    NetworkEvent, NetworkEventKind, PerformanceEvent, ProcessEvent, ProcessEventKind, ProcessRef, Text,
    TriggerRequest,
};
use collector_store::quote;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::human;
use super::line::{Line, Style};

/// Where the columns end. Longer values push the rest of their line to the right.
const KIND_END: usize = 13 + 8;
const PID_END: usize = KIND_END + 1 + 7;
const USER_END: usize = PID_END + 1 + 8;
const CONTAINER_END: usize = USER_END + 1 + 12;
/// Most user names remembered from process events, to name users in the events of other kinds.
const USERS_MAX: usize = 4_096;
/// Flags of processes that people want to see at once.
const NOTABLE: &[&str] = &["memfd", "deleted", "setuid", "io_uring"];

/// Writes events as lines for people.
#[derive(Debug)]
pub(crate) struct Pretty {
    zone: TimeZone,
    color: bool,
    /// Columns of the terminal; lines of a file are never cut.
    pub(crate) width: Option<usize>,
    users: HashMap<u32, Arc<str>>,
    line: Line,
}

impl Pretty {
    pub(crate) fn new(zone: TimeZone, color: bool, width: Option<usize>) -> Self {
        // The one name that is the same everywhere.
        let users = HashMap::from([(0, Arc::from("root"))]);
        Self { zone, color, width, users, line: Line::default() }
    }

    /// Appends the event as one line.
    pub(crate) fn write(&mut self, out: &mut Vec<u8>, event: &CollectionEvent) {
        self.line.clear();
        match event {
            CollectionEvent::Process(process) => self.process(process),
            CollectionEvent::Network(network) => self.network(network),
            CollectionEvent::Filesystem(file) => self.file(file),
            CollectionEvent::Alert(alert) => self.alert(alert),
            CollectionEvent::TriggerRequest(request) => self.trigger(request),
            CollectionEvent::Performance(sample) => self.sample(sample),
            CollectionEvent::Loss(loss) => self.loss(loss),
            other => {
                self.head(other.timestamp(), Style::Dim, other.event_type(), other.pid(), None, None);
                self.line.push(other.kind());
            }
        }
        self.line.finish(out, self.width, self.color);
    }

    fn head(
        &mut self,
        time: SystemTime,
        style: Style,
        kind: &str,
        pid: Option<u32>,
        user: Option<User<'_>>,
        container: Option<&str>,
    ) {
        let time = self.clock(time);
        let line = &mut self.line;
        line.style(Style::Dim).push(&time).push(" ");
        line.style(style).push(kind).style(Style::Plain).pad_to(KIND_END);
        let pid = pid.map_or_else(|| "-".to_owned(), |pid| pid.to_string());
        line.pad_to(PID_END.saturating_sub(pid.len() + 1)).push(&pid).push(" ");
        match user {
            Some(User::Name(name)) => line.foreign(name),
            Some(User::Id(uid)) => line.push(&uid.to_string()),
            None => line.push("-"),
        };
        line.pad_to(USER_END);
        match container {
            Some(id) => line.foreign(id.get(..12).unwrap_or(id)),
            None => line.push("-"),
        };
        line.pad_to(CONTAINER_END);
    }

    /// Local time of day with milliseconds.
    fn clock(&self, time: SystemTime) -> String {
        match Timestamp::try_from(time) {
            Ok(time) => time.to_zoned(self.zone.clone()).strftime("%H:%M:%S%.3f").to_string(),
            Err(_) => "--:--:--.---".to_owned(),
        }
    }

    fn process(&mut self, event: &ProcessEvent) {
        let (style, kind) = match event.kind {
            ProcessEventKind::Exec => (Style::Green, "exec"),
            ProcessEventKind::Fork => (Style::Dim, "fork"),
            ProcessEventKind::Exit => (Style::Dim, "exit"),
            _ => (Style::Dim, "running"),
        };
        if let (Some(uid), Some(user)) = (event.uid, &event.user) {
            self.remember(uid, user);
        }
        let user = match (&event.user, event.uid) {
            (Some(name), _) => Some(User::Name(name)),
            (None, Some(uid)) => Some(User::Id(uid)),
            (None, None) => event.user_id.as_deref().map(User::Name),
        };
        self.head(event.timestamp, style, kind, Some(event.pid), user, event.container_id.as_deref());
        match event.kind {
            ProcessEventKind::Exit => self.end(event),
            ProcessEventKind::Fork => _ = self.line.foreign(&event.name),
            _ => self.command(event),
        }
        if event.kind != ProcessEventKind::Exit {
            self.parent(event);
        }
    }

    fn command(&mut self, event: &ProcessEvent) {
        let line = &mut self.line;
        let executable = event.executable_path.as_ref();
        match event.command_line.first() {
            Some(first) => {
                quote::join_into(line.text_mut(), &event.command_line);
                if event.argv_truncated {
                    line.style(Style::Dim).push(" …");
                    if let Some(length) = event.argv_length {
                        line.push(&format!(" ({})", human::bytes(length)));
                    }
                }
                // What runs is not what it calls itself.
                if let Some(executable) = executable.filter(|path| base_name(path) != base_name(first)) {
                    line.style(Style::Dim).push(" = ").foreign(executable.as_bytes());
                }
            }
            None => match executable {
                Some(executable) => _ = line.foreign(executable.as_bytes()),
                None => _ = line.foreign(&event.name),
            },
        }
        for flag in event.flags.iter().filter(|flag| NOTABLE.contains(flag)) {
            line.style(Style::Plain).push(" ").style(Style::Red).push("!").push(flag);
        }
    }

    fn parent(&mut self, event: &ProcessEvent) {
        let line = &mut self.line;
        let name = event.ancestors.first().map(|parent| &parent.name).filter(|name| !name.is_empty());
        match (name, event.ppid) {
            (Some(name), _) => _ = line.style(Style::Dim).push(" ← ").foreign(name.as_bytes()),
            (None, Some(ppid)) if ppid != 0 => _ = line.style(Style::Dim).push(&format!(" ← {ppid}")),
            _ => {}
        }
    }

    fn end(&mut self, event: &ProcessEvent) {
        let line = &mut self.line;
        line.foreign(&event.name);
        let Some(exit) = &event.exit else { return };
        match (exit.code, exit.signal) {
            (_, Some(signal)) => {
                line.push(" ").style(Style::Red).push(&human::signal(signal));
                line.push(if exit.core_dumped { ", core dumped" } else { "" });
            }
            (Some(0) | None, None) => _ = line.push(" ok"),
            (Some(code), None) => _ = line.push(" ").style(Style::Yellow).push(&format!("code {code}")),
        }
        if let Some(duration) = exit.duration {
            line.style(Style::Dim).push(&format!(" after {}", human::duration(duration)));
        }
    }

    fn network(&mut self, event: &NetworkEvent) {
        let kind = match event.kind {
            NetworkEventKind::Connect => "connect",
            NetworkEventKind::Accept => "accept",
            NetworkEventKind::Listen => "listen",
            NetworkEventKind::Close => "close",
            NetworkEventKind::Send => "send",
            _ => "network",
        };
        let style = if event.kind == NetworkEventKind::Close { Style::Dim } else { Style::Cyan };
        self.actor(event.timestamp, style, kind, event.pid, event.process.as_deref());
        let line = &mut self.line;
        line.foreign(&event.protocol);
        if let Some(local) = event.local {
            line.push(" ").push(&local.to_string());
        }
        if let Some(remote) = event.remote {
            let arrow = if event.direction == Some(Direction::Inbound) { " ← " } else { " → " };
            line.push(arrow).push(&remote.to_string());
        }
        match event.result {
            None => {}
            Some(0) => _ = line.style(Style::Dim).push(" ok"),
            Some(errno) => _ = line.push(" ").style(Style::Yellow).push(&human::errno(errno)),
        }
        line.style(Style::Dim);
        if event.kind == NetworkEventKind::Close {
            line.push(&format!(
                " sent {}, received {}",
                human::bytes(event.bytes_sent),
                human::bytes(event.bytes_received)
            ));
        }
        if let Some(duration) = event.duration {
            line.push(&format!(" after {}", human::duration(duration)));
        }
    }

    fn file(&mut self, event: &FilesystemEvent) {
        let kind = match event.kind {
            FilesystemEventKind::Create => "create",
            FilesystemEventKind::Open => "open",
            FilesystemEventKind::Modify => "modify",
            FilesystemEventKind::Delete => "delete",
            FilesystemEventKind::Rename => "rename",
            FilesystemEventKind::Link => "link",
            FilesystemEventKind::Attributes => "change",
            _ => "file",
        };
        self.actor(event.timestamp, Style::Yellow, kind, event.pid, event.process.as_deref());
        let line = &mut self.line;
        if let Some(old) = &event.old_path {
            line.foreign(old.as_bytes()).style(Style::Dim).push(" → ").style(Style::Plain);
        }
        line.foreign(event.path.as_bytes());
        if let Some(target) = &event.target {
            line.style(Style::Dim).push(" → ").style(Style::Plain).foreign(target.as_bytes());
        }
        if let Some(written) = event.written {
            line.style(Style::Dim).push(&format!(" {} written", human::bytes(written)));
        }
        if !event.flags.is_empty() {
            line.style(Style::Dim).push(" [").push(&event.flags.join(" ")).push("]");
        }
        if let Some(errno) = event.result.filter(|errno| *errno != 0) {
            line.style(Style::Plain).push(" ").style(Style::Yellow).push(&human::errno(errno));
        }
    }

    fn sample(&mut self, event: &PerformanceEvent) {
        self.actor(event.timestamp, Style::Dim, "sample", event.pid, event.process.as_deref());
        let PerformanceEvent { metric_name, value, unit, component, interval, .. } = event;
        let line = &mut self.line;
        line.foreign(metric_name).push(" ").foreign(human::measured(*value, unit));
        line.style(Style::Dim).push(" ").foreign(component);
        if let Some(interval) = interval {
            line.push(&format!(" over {}", human::duration(*interval)));
        }
    }

    /// The columns of a network or file event, and the name of who acted.
    fn actor(
        &mut self,
        time: SystemTime,
        style: Style,
        kind: &str,
        pid: Option<u32>,
        process: Option<&ProcessRef>,
    ) {
        let uid = process.and_then(|process| process.uid);
        let name = uid.and_then(|uid| self.users.get(&uid).cloned());
        let user = name.as_deref().map(User::Name).or(uid.map(User::Id));
        let container = process.and_then(|process| process.container_id.as_deref());
        self.head(time, style, kind, pid, user, container);
        if let Some(process) = process {
            self.line.style(Style::Bold).foreign(process.name.as_bytes()).style(Style::Plain).push(" ");
        }
    }

    fn alert(&mut self, event: &AlertEvent) {
        let style = match event.severity {
            AlertSeverity::High | AlertSeverity::Critical => Style::Alarm,
            _ => Style::Red,
        };
        self.actor(event.timestamp, style, "ALERT", event.pid, event.process.as_deref());
        let line = &mut self.line;
        line.style(style).push(event.severity.name()).style(Style::Plain).push(" ");
        if let Some(path) = &event.path {
            line.foreign(path.as_bytes());
        }
        for (at, reason) in event.rules.iter().enumerate() {
            line.push(if at == 0 { ": " } else { ", " }).foreign(&reason.rule);
        }
        if let Some(condition) = &event.condition {
            line.style(Style::Dim).push(" (").foreign(condition).push(")");
        }
        if let Some(sha256) = &event.sha256 {
            line.style(Style::Dim).push(" sha256 ").foreign(sha256);
        }
        for (at, rule) in event.unasked.iter().enumerate() {
            line.style(Style::Dim).push(if at == 0 { " not asked: " } else { ", " }).foreign(rule);
        }
    }

    fn trigger(&mut self, event: &TriggerRequest) {
        let (pid, process) = (event.target_pid, event.process.as_deref());
        self.actor(event.timestamp, Style::Dim, "trigger", pid, process);
        let line = &mut self.line;
        let condition = event.metadata.get("condition").unwrap_or(&event.trigger_id);
        line.foreign(condition)
            .style(Style::Dim)
            .push(" → ")
            .style(Style::Plain)
            .foreign(&event.target_collector);
        if let Some(bytes) = &event.target_bytes {
            line.push(" ").foreign(bytes.as_bytes());
        } else if let Some(path) = &event.target_path {
            line.push(" ").foreign(path);
        }
    }

    fn loss(&mut self, event: &LossEvent) {
        let LossEvent { timestamp, domain, kind, reason, count, cpu, first_seq, last_seq, .. } = event;
        let time = self.clock(*timestamp);
        let line = &mut self.line;
        line.style(Style::Dim).push(&time).push(" ").style(Style::Alarm);
        let what = kind.unwrap_or(domain);
        let events = if *count == 1 { "event" } else { "events" };
        line.push(&format!("LOST {} {what} {events}: {reason}", human::count(*count)));
        line.style(Style::Plain);
        if kind.is_some() {
            line.push(&format!(" in {domain}"));
        }
        if let Some(cpu) = cpu {
            line.push(&format!(" on cpu {cpu}"));
        }
        if let (Some(first), Some(last)) = (first_seq, last_seq) {
            line.push(&format!(" (numbers {first} to {last})"));
        }
    }

    fn remember(&mut self, uid: u32, user: &Arc<str>) {
        if self.users.len() >= USERS_MAX {
            self.users.clear();
        }
        self.users.entry(uid).or_insert_with(|| Arc::clone(user));
    }
}

/// Who, by name or number.
#[derive(Clone, Copy)]
enum User<'a> {
    Name(&'a str),
    Id(u32),
}

fn base_name(path: &Text) -> &[u8] {
    path.as_bytes().rsplit(|byte| *byte == b'/').next().unwrap_or_default()
}

#[cfg(test)]
mod tests;
