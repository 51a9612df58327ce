//! What a check found.

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// All is well; says what was looked at.
    Passed(String),
    /// It could not be looked at here; says why.
    Skipped(String),
    /// Something is wrong.
    Failed {
        /// What is wrong, a line or a program's whole output each.
        problems: Vec<String>,
        /// What to do about it.
        remedy: String,
    },
}

impl Verdict {
    /// Passed, saying `looked_at`, where there are no `problems`; failed otherwise.
    pub(crate) fn of(problems: Vec<String>, looked_at: String, remedy: &str) -> Self {
        if problems.is_empty() {
            Self::Passed(looked_at)
        } else {
            Self::Failed { problems, remedy: remedy.to_owned() }
        }
    }
}
