//! Whether the kernel reports how long programs wait for memory.

use super::finding::{Finding, Severity};
use super::text::line_of;
use crate::root::ProcRoot;

/// Percent of the last ten seconds in which some program waited, from which on the doctor mentions it.
const MUCH: f64 = 10.0;

/// `/proc/pressure/memory`, which the guards of tasks and the engine psi use.
pub(super) fn pressure(proc: &ProcRoot) -> Finding {
    const NAME: &str = "pressure";
    let file = proc.machine("pressure/memory");
    if file.exists() && line_of(&file).is_none() {
        return Finding::ok(NAME, "switched off")
            .but(
                Severity::Note,
                format!("{}: cannot be read; the kernel was booted with psi=0", file.display()),
            )
            .helped_by("boot with psi=1");
    }
    let Some(line) = line_of(&file) else {
        return Finding::ok(NAME, "not reported")
            .but(
                Severity::Note,
                format!("{}: missing; how long programs wait for memory is not known", file.display()),
            )
            .helped_by("a kernel built with CONFIG_PSI=y, booted with psi=1");
    };
    // some avg10=0.00 avg60=0.11 avg300=0.09 total=18129435
    let average =
        |name: &str| line.split_whitespace().find_map(|word| word.strip_prefix(name)?.parse::<f64>().ok());
    match (average("avg10="), average("avg60=")) {
        (Some(ten), Some(sixty)) => {
            let finding = Finding::ok(
                NAME,
                format!("reported; some program waited {ten} % of 10 s, {sixty} % of 60 s"),
            );
            if ten < MUCH {
                return finding;
            }
            finding
                .but(Severity::Note, "programs wait for memory now: what is moved out now may be needed soon")
        }
        _ => Finding::ok(NAME, "unknown")
            .but(Severity::Note, format!("{} is not as the kernel describes it: {line}", file.display())),
    }
}
