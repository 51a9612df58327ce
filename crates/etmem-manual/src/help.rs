//! What a command's help says after its options.

use std::fmt::Write;

/// What `--help` says after the options, and the manual page in sections of its own.
#[derive(Debug, Clone, Copy)]
pub struct Help {
    /// Command lines to type, each on one line; a comment of the shell may say what it does.
    pub examples: &'static [&'static str],
    /// What the command ends with.
    pub exit_statuses: &'static [ExitStatus],
    /// What else to know, in lines of at most 100 characters.
    pub notes: &'static str,
}

/// A number that a command ends with, and what it means.
#[derive(Debug, Clone, Copy)]
pub struct ExitStatus(pub u8, pub &'static str);

impl Help {
    /// Help that has examples only.
    #[must_use]
    pub const fn examples(examples: &'static [&'static str]) -> Self {
        Self { examples, exit_statuses: &[], notes: "" }
    }

    /// The text for [`clap::Command::after_help`].
    #[must_use]
    pub fn text(&self) -> String {
        let mut blocks = Vec::new();
        if !self.examples.is_empty() {
            let title = if self.examples.len() == 1 { "Example" } else { "Examples" };
            blocks.push(format!("{title}:\n  {}", self.examples.join("\n  ")));
        }
        if !self.notes.is_empty() {
            blocks.push(self.notes.to_owned());
        }
        if !self.exit_statuses.is_empty() {
            let mut block = String::from("Exit status:");
            for ExitStatus(number, meaning) in self.exit_statuses {
                // A string takes all that is written to it.
                let _ = write!(block, "\n  {number:>3} {meaning}");
            }
            blocks.push(block);
        }
        blocks.join("\n\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_help_has_examples_notes_and_statuses() {
        let statuses = &[ExitStatus(0, "done"), ExitStatus(111, "no etmemd listens")];
        let help = Help { examples: &["a", "b"], exit_statuses: statuses, notes: "Mind\nthe gap." };
        let want =
            "Examples:\n  a\n  b\n\nMind\nthe gap.\n\nExit status:\n    0 done\n  111 no etmemd listens";
        assert_eq!(help.text(), want);
        assert_eq!(Help::examples(&["a"]).text(), "Example:\n  a");
        assert_eq!(Help::examples(&[]).text(), "");
    }
}
