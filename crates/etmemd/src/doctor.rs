//! `etmemd --doctor`: what this machine can do, printed; the command line's `etmem doctor` becomes this.
//!
//! `docs/json.md` describes the fields of the JSON.

use etmem_linux::doctor::{DoctorReport, Finding, Severity, examine};
use etmem_linux::root::Roots;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{self, Write, stdout};
use std::process::ExitCode;

/// Examines the machine at `roots` and prints what it finds; the status to exit with.
pub(crate) fn print(roots: &Roots, as_json: bool) -> ExitCode {
    let report = examine(roots);
    let text = if as_json { format!("{:#}\n", json(&report)) } else { report.to_string() };
    let mut out = stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        // A reader that closes its end, such as head(1), has read enough.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            eprintln!("etmemd: cannot print what was found: {error}");
            ExitCode::from(3)
        }
        Ok(()) | Err(_) => status(report.severity()),
    }
}

/// What to exit with.
fn status(worst: Severity) -> ExitCode {
    match worst {
        Severity::Ok | Severity::Note => ExitCode::SUCCESS,
        Severity::Warning => ExitCode::from(1),
        Severity::Error => ExitCode::from(2),
    }
}

#[derive(Serialize)]
struct Shown<'a> {
    version: &'static str,
    severity: Severity,
    counts: BTreeMap<&'static str, usize>,
    findings: &'a [Finding],
}

fn json(report: &DoctorReport) -> Value {
    let shown = Shown {
        version: env!("CARGO_PKG_VERSION"),
        severity: report.severity(),
        counts: report.counts().map(|(severity, number)| (severity.name(), number)).into(),
        findings: &report.findings,
    };
    // Texts and numbers, so it is always JSON. A value has its fields in alphabetical order.
    serde_json::to_value(&shown).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use etmem_linux::root::{ProcRoot, SysRoot};

    #[test]
    fn every_finding_has_every_field() {
        let tree = tempfile::tempdir().unwrap();
        let roots = Roots { proc: ProcRoot::new(tree.path()), sys: SysRoot::new(tree.path()) };
        let report = examine(&roots);
        let object = json(&report);
        assert_eq!(object["severity"], "error", "there is no swap");
        let findings = object["findings"].as_array().unwrap();
        assert_eq!(findings.len(), report.findings.len());
        for finding in findings {
            for field in ["name", "state", "severity"] {
                assert!(finding[field].is_string(), "{finding}");
            }
            for field in ["reason", "remedy"] {
                assert!(finding[field].is_string() || finding[field].is_null(), "{finding}");
            }
            assert!(finding["details"].is_array(), "{finding}");
        }
        let counted: u64 =
            Severity::ALL.iter().map(|severity| object["counts"][severity.name()].as_u64().unwrap()).sum();
        assert_eq!(counted, u64::try_from(findings.len()).unwrap());
    }

    #[test]
    fn statuses() {
        let statuses = Severity::ALL.map(status);
        assert_eq!(statuses, [ExitCode::SUCCESS, ExitCode::SUCCESS, ExitCode::from(1), ExitCode::from(2)]);
    }
}
