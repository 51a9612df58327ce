//! Which daemons run: two of them clear each other's accessed bits.

use super::finding::{Finding, Severity};
use super::text::{line_of, numbered, printable};
use crate::root::ProcRoot;
use std::fs;

/// The option of a doctor, which distinguishes it from a daemon.
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
                "each clears accessed bits that the others need: if two look at the same process, its hot pages seem cold",
            )
            .helped_by("stop all but one, or give each of them other processes"),
    }
}
