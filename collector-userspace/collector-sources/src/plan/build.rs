//! From chosen hooks to programs, table entries and attachments.

use collector_common::name;

use super::{Attach, Hook, Place, Plan, Program, TableEntry};
use crate::features::Features;

/// The dispatchers: attached when a system call is watched on their side, and only then, because they cost
/// every call of the machine some 20 to 100 ns.
const DISPATCHERS: [(&str, &str, &str); 2] =
    [(name::ENTER_CALLS, "sys_enter", "sys_enter"), (name::EXIT_CALLS, "sys_exit", "sys_exit")];

impl Plan {
    /// Adds a hook, unless it is there already. Calls this architecture does not have are left out, and a
    /// program for such calls only is not even loaded.
    pub(super) fn add(&mut self, hook: &Hook, features: &Features) {
        let Some(program) = hook.program(features) else { return };
        match hook.attach {
            Attach::Directly | Attach::IfThere => {
                self.load(program);
                if !self.attach.contains(&program) {
                    self.attach.push(program);
                }
            }
            Attach::Stage { map, slot } => self.enter(map, slot, program),
            Attach::EnterCall(calls) => self.add_calls(name::ENTER_CALLS, calls, program, features),
            Attach::ExitCall(calls) => self.add_calls(name::EXIT_CALLS, calls, program, features),
        }
    }

    /// Adds the dispatchers whose tables are not empty, behind everything else: a process event of a call
    /// should not come after its file events.
    pub(super) fn add_dispatchers(&mut self) {
        for (map, name, tracepoint) in DISPATCHERS {
            if self.table.iter().any(|entry| entry.map == map) {
                let program = Program { name, place: Place::Tracepoint, at: tracepoint };
                self.load(program);
                self.attach.push(program);
            }
        }
    }

    fn add_calls(&mut self, map: &'static str, calls: &[&str], program: Program, features: &Features) {
        let numbers = calls.iter().filter_map(|call| features.arch.value?.number(call));
        for number in numbers {
            self.enter(map, number, program);
        }
    }

    fn enter(&mut self, map: &'static str, index: u32, program: Program) {
        self.load(program);
        let entry = TableEntry { map, index, program: program.name };
        if !self.table.contains(&entry) {
            self.table.push(entry);
        }
    }

    fn load(&mut self, program: Program) {
        if !self.programs.contains(&program) {
            self.programs.push(program);
        }
    }
}
