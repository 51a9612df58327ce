//! Which etmemd run: two of them would spoil each other's view.

use super::finding::{Finding, Severity};
use super::text::{line_of, numbered, printable};
use crate::root::ProcRoot;
use std::fs;

/// What a process that examines was started with, and no daemon is.
pub(super) const DOCTOR: &[u8] = b"--doctor";

/// Most characters of a command line that are shown.
const SHOWN: usize = 100;

/// The daemons of this machine, of whatever version.
pub(super) fn daemons(proc: &ProcRoot) -> Finding {
    const NAME: &str = "daemons";
    let daemons: Vec<String> = numbered(proc.path(), "")
        .into_iter()
        .filter(|(_, folder)| line_of(&folder.join("comm")).as_deref() == Some("etmemd"))
        .filter_map(|(pid, folder)| {
            let command = fs::read(folder.join("cmdline")).unwrap_or_default();
            let words = || command.split(|byte| *byte == 0).filter(|word| !word.is_empty());
            if words().any(|word| word == DOCTOR) {
                return None;
            }
            let shown = words().map(printable).collect::<Vec<_>>().join(" ");
            Some(format!("pid {pid}: {}", shown.chars().take(SHOWN).collect::<String>()))
        })
        .collect();
    match daemons.len() {
        0 => Finding::ok(NAME, "none runs"),
        1 => Finding::ok(NAME, "one runs").with(daemons),
        many => Finding::ok(NAME, format!("{many} run"))
            .with(daemons)
            .but(
                Severity::Warning,
                "each clears the accessed bits that the others go by: where they look at the same process, hot pages \
                 seem cold",
            )
            .helped_by("stop all but one, or give them processes of their own"),
    }
}
