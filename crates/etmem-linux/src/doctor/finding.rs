//! A finding, how bad it is, and all of them together.

use serde::Serialize;
use std::fmt;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// As it should be.
    Ok,
    /// Worth knowing; nothing has to be done.
    Note,
    /// Something works worse than it could.
    Warning,
    /// Something cannot work.
    Error,
}

impl Severity {
    /// All of them, from good to bad.
    pub const ALL: [Self; 4] = [Self::Ok, Self::Note, Self::Warning, Self::Error];

    /// The word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What was found about one subject.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The subject: words joined by `_`.
    pub name: String,
    /// How it stands, in a few words.
    pub state: String,
    /// How bad that is.
    pub severity: Severity,
    /// Why it is so, or why that matters.
    pub reason: Option<String>,
    /// What would help.
    pub remedy: Option<String>,
    /// More of it, a line each: every device, node or process.
    pub details: Vec<String>,
}

impl Finding {
    /// All is well with `name`, which stands so.
    pub(super) fn ok(name: impl Into<String>, state: impl Into<String>) -> Self {
        let (name, state) = (name.into(), state.into());
        Self { name, state, severity: Severity::Ok, reason: None, remedy: None, details: Vec::new() }
    }

    /// The same, for this reason not well.
    pub(super) fn but(self, severity: Severity, reason: impl Into<String>) -> Self {
        Self { severity, reason: Some(reason.into()), ..self }
    }

    /// The same, and what would help.
    pub(super) fn helped_by(self, remedy: impl Into<String>) -> Self {
        Self { remedy: Some(remedy.into()), ..self }
    }

    /// The same, with these lines.
    pub(super) fn with(self, details: Vec<String>) -> Self {
        Self { details, ..self }
    }
}

/// Columns before a finding's state.
const INDENT: usize = 30;

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<8} {:<20} {}", self.severity, self.name, self.state)?;
        for detail in &self.details {
            write!(f, "\n{:INDENT$}- {detail}", "")?;
        }
        for (word, line) in [("why", &self.reason), ("help", &self.remedy)] {
            if let Some(line) = line {
                write!(f, "\n{:INDENT$}{word}: {line}", "")?;
            }
        }
        Ok(())
    }
}

/// All that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DoctorReport {
    /// In the order to show them.
    pub findings: Vec<Finding>,
}

impl DoctorReport {
    /// The worst severity of all.
    #[must_use]
    pub fn severity(&self) -> Severity {
        self.findings.iter().map(|finding| finding.severity).max().unwrap_or(Severity::Ok)
    }

    /// How many findings there are of each severity.
    #[must_use]
    pub fn counts(&self) -> [(Severity, usize); Severity::ALL.len()] {
        let of = |severity| self.findings.iter().filter(|finding| finding.severity == severity).count();
        Severity::ALL.map(|severity| (severity, of(severity)))
    }
}

impl fmt::Display for DoctorReport {
    /// A block of lines for each finding, and a last line that sums them up.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.findings.iter().try_for_each(|finding| writeln!(f, "{finding}"))?;
        let counts = self.counts().map(|(severity, number)| format!("{severity} {number}"));
        writeln!(f, "{} findings: {}", self.findings.len(), counts.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_the_sum() {
        let note = Finding::ok("swap", "none").but(Severity::Warning, "nothing goes").helped_by("swapon");
        let nodes = Finding::ok("nodes", "2").with(vec!["node 0".into(), "node 1".into()]);
        let report = DoctorReport { findings: vec![nodes, note] };
        let blank = " ".repeat(30);
        assert_eq!(
            report.to_string(),
            format!(
                "ok       nodes                2\n{blank}- node 0\n{blank}- node 1\n\
                 warning  swap                 none\n{blank}why: nothing goes\n{blank}help: swapon\n\
                 2 findings: ok 1, note 0, warning 1, error 0\n"
            )
        );
        assert_eq!(report.severity(), Severity::Warning);
        assert_eq!(DoctorReport { findings: Vec::new() }.severity(), Severity::Ok);
    }
}
