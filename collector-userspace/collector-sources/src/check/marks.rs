//! Lets a canary sing, and asks which programs heard it.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;

use aya::Ebpf;
use aya::maps::{Array, Map, MapData};
use collector_common::{Canary, NO_PROCESS, name, program_number};
use rustix::io::Errno;

use super::child::{Life, live};
use super::expected::{EXEC, EXIT, Expected, FORK};
use super::songs::{self, Props, Song};
use crate::loader::{LoadError, in_map, take};

/// [`Canary`] as the library writes it.
type Words = [u32; size_of::<Canary>() / size_of::<u32>()];

/// The maps through which programs are told of the canary, and answer.
pub(crate) struct Marks {
    canary: Array<MapData, Words>,
    /// The same map.
    canary_fd: OwnedFd,
    heard: Array<MapData, u32>,
    /// What was written last.
    state: Canary,
}

/// How much a canary does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// What takes next to no time: system calls.
    Quick,
    /// Also what takes a child and a directory.
    Everything,
}

/// What became of a program that was to hear a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It did.
    Heard,
    /// It did not.
    Silent,
    /// The call failed before the program could be reached.
    Untried(Errno),
}

/// Answers of a round.
#[derive(Debug, Default)]
pub(super) struct Answers {
    /// By what was expected.
    pub(super) outcomes: BTreeMap<Expected, Outcome>,
    /// Processor time that the round took, a child's included, in nanoseconds.
    pub(super) cpu_ns: u64,
}

impl Answers {
    /// Whether anybody was to hear this call.
    pub(super) fn asked(&self, call: &str) -> bool {
        self.outcomes.keys().any(|expected| expected.call == call)
    }
}

impl Marks {
    /// Takes the maps.
    pub(crate) fn take(ebpf: &mut Ebpf) -> Result<Self, LoadError> {
        let canary = take(ebpf, name::CANARY)?;
        let Map::Array(data) = &canary else { return Err(LoadError::MapMissing(name::CANARY)) };
        let canary_fd = data.fd().as_fd().try_clone_to_owned();
        let canary_fd = canary_fd.map_err(|error| in_map(name::CANARY)(error.into()))?;
        let heard = take(ebpf, name::HEARD)?;
        let mut marks = Self {
            canary: Array::try_from(canary).map_err(in_map(name::CANARY))?,
            canary_fd,
            heard: Array::try_from(heard).map_err(in_map(name::HEARD))?,
            state: Canary::NONE,
        };
        // Until now it was all zero, and process 0 is an idle processor.
        marks.write()?;
        Ok(marks)
    }

    /// Lets the running thread sing what `expected` asks for.
    ///
    /// # Errors
    /// When a map cannot be read or written.
    pub(super) fn sing(
        &mut self,
        expected: &BTreeSet<Expected>,
        scope: Scope,
        directory: Option<&Path>,
    ) -> Result<Answers, LoadError> {
        let begin_ns = thread_cpu_ns();
        self.state.thread = rustix::thread::gettid().as_raw_nonzero().get().unsigned_abs();
        self.state.process = NO_PROCESS;
        self.write()?;
        let mut answers = Answers::default();
        let result = self.sing_all(expected, scope, directory, &mut answers);
        self.state.thread = 0;
        self.state.process = NO_PROCESS;
        self.state.port = 0;
        self.write()?;
        answers.cpu_ns += thread_cpu_ns().saturating_sub(begin_ns);
        result.map(|()| answers)
    }

    fn sing_all(
        &mut self,
        expected: &BTreeSet<Expected>,
        scope: Scope,
        directory: Option<&Path>,
        answers: &mut Answers,
    ) -> Result<(), LoadError> {
        let wants = |call: &str| expected.iter().any(|it| it.call == call);
        // Dropped while the canary still sings: closing is its doing as well.
        let props = Props::new(directory.filter(|_| scope == Scope::Everything));
        self.state.port = u32::from(props.port);
        let wanted: Vec<&Song> = songs::quick().filter(|song| wants(song.call)).collect();
        for song in wanted {
            self.perform(&[song.call], expected, answers, |_| vec![song.sing(&props)])?;
        }
        if scope == Scope::Quick {
            return Ok(());
        }
        // One follows from the other: all of them, or none.
        if songs::in_directory().any(|song| wants(song.call)) {
            for song in songs::in_directory() {
                self.perform(&[song.call], expected, answers, |_| vec![song.sing(&props)])?;
            }
        }
        if [FORK, EXEC, EXIT].into_iter().any(wants) {
            let mut child_ns = 0;
            self.perform(&[FORK, EXEC, EXIT], expected, answers, |marks| {
                let Life { lived, changed, cpu_ns } = live(marks.canary_fd.as_fd(), marks.state);
                child_ns = cpu_ns;
                vec![lived, changed, lived]
            })?;
            answers.cpu_ns += child_ns;
        }
        Ok(())
    }

    /// Does something, and asks who heard it. `act` returns how each of `calls` went.
    fn perform(
        &mut self,
        calls: &[&str],
        expected: &BTreeSet<Expected>,
        answers: &mut Answers,
        act: impl FnOnce(&Self) -> Vec<Result<(), Errno>>,
    ) -> Result<(), LoadError> {
        self.state.round = self.state.round.wrapping_add(1).max(1);
        self.write()?;
        let results = act(self);
        for (call, result) in calls.iter().zip(results) {
            for it in expected.iter().filter(|it| it.call == *call) {
                if let Some(first) = it.after
                    && !self.has_heard(first)?
                {
                    continue;
                }
                let outcome = match result {
                    _ if self.has_heard(it.program)? => Outcome::Heard,
                    Err(errno) if it.if_it_succeeds => Outcome::Untried(errno),
                    _ => Outcome::Silent,
                };
                answers.outcomes.insert(*it, outcome);
            }
        }
        Ok(())
    }

    fn has_heard(&self, program: &str) -> Result<bool, LoadError> {
        let Some(number) = program_number(program) else { return Ok(false) };
        let mark = self.heard.get(&number, 0).map_err(in_map(name::HEARD))?;
        Ok(mark == self.state.round)
    }

    /// Lets these programs report nothing, and all others report.
    ///
    /// # Errors
    /// When the map cannot be written.
    pub(super) fn mute(&mut self, programs: &[&str]) -> Result<(), LoadError> {
        self.state.muted.fill(0);
        for number in programs.iter().filter_map(|program| program_number(program)) {
            if let Some(word) = self.state.muted.get_mut(number as usize / 32) {
                *word |= 1 << (number % 32);
            }
        }
        self.write()
    }

    /// Whether the map still says what was written last. Otherwise it is written again.
    ///
    /// # Errors
    /// When the map cannot be read or written.
    pub(super) fn is_untouched(&mut self) -> Result<bool, LoadError> {
        let words: Words = zerocopy::transmute!(self.state);
        if self.canary.get(&0, 0).map_err(in_map(name::CANARY))? == words {
            return Ok(true);
        }
        self.write()?;
        Ok(false)
    }

    fn write(&mut self) -> Result<(), LoadError> {
        let words: Words = zerocopy::transmute!(self.state);
        self.canary.set(0, words, 0).map_err(in_map(name::CANARY))
    }
}

fn thread_cpu_ns() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    u64::try_from(time.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap_or(0)
}
