//! Names for tasks that have none.
//!
//! A task is called as what it works on: `mysqld`, `4711`. Where that begins with `-`, which no name may, `task`
//! goes before it. Where it is taken, a number goes behind it: `mysqld-2`. So the same file gives the same names
//! every time.

use crate::error::Rule;
use crate::values::name;
use etmem_core::kernel::process::Target;
use etmem_core::name::{NAME_MAX, Name};
use std::collections::HashMap;

/// Most characters that a number after a name takes.
const NUMBER_MAX: usize = 8;

/// The names given so far, each with the number that is tried next behind it.
#[derive(Debug, Default)]
pub(super) struct TaskNames(HashMap<String, usize>);

impl TaskNames {
    /// A name for a task that works on `target`.
    pub(super) fn name_for(&mut self, target: &Target) -> Result<Name, Rule> {
        let wanted = match target {
            Target::Comm(comm) if comm.starts_with('-') => format!("task{comm}"),
            Target::Machine => target.written().0.to_owned(),
            Target::Pid(_) | Target::Process(_) | Target::Comm(_) | Target::Exe(_) | Target::Groups(_) => {
                target.written().1
            }
        };
        // A process's name may hold what no name of a task may.
        let wanted: String = wanted
            .chars()
            .map(|c| if c.is_ascii_graphic() { c } else { '_' })
            .take(NAME_MAX - NUMBER_MAX)
            .collect();
        let mut given = wanted.clone();
        while self.0.contains_key(&given) {
            let next = self.0.entry(wanted.clone()).or_insert(2);
            given = format!("{wanted}-{next}");
            *next += 1;
        }
        self.0.insert(given.clone(), 2);
        name(&given)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use etmem_core::kernel::process::Pid;

    #[test]
    fn each_name_once() {
        let mut names = TaskNames::default();
        let comms = ["mysqld", "mysqld", "mysqld-2", "mysqld", "7", "-x", "a/b%c", "-x", "mysqld-2"];
        let given = comms.map(|comm| names.name_for(&Target::Comm(comm.into())).unwrap().to_string());
        let want = [
            "mysqld",
            "mysqld-2",
            "mysqld-2-2",
            "mysqld-3",
            "7",
            "task-x",
            "a/b%c",
            "task-x-2",
            "mysqld-2-3",
        ];
        assert_eq!(given, want);
        let pid = Target::Pid(Pid::new(7).unwrap());
        assert_eq!(names.name_for(&pid).unwrap().as_str(), "7-2");
    }

    #[test]
    fn as_many_of_one_as_a_file_can_hold() {
        let mut names = TaskNames::default();
        let target = Target::Comm("fifteen-letters".into());
        let last = (0..200_000).map(|_| names.name_for(&target).unwrap()).last().unwrap();
        assert_eq!(last.as_str(), "fifteen-letters-200000");
    }
}
