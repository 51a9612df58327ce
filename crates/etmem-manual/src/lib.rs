//! Manual pages, made from the definitions of the command lines: `--help` and the page say the same.
//!
//! ```text
//!  clap::Command ──▶ NAME, SYNOPSIS, DESCRIPTION, COMMANDS, OPTIONS ─┐
//!  Help ───────────▶ EXAMPLES, EXIT STATUS, NOTES                    ├──▶ Page ──▶ roff, in a file
//!  lists ──────────▶ ENVIRONMENT, FILES, SEE ALSO                   ─┘
//! ```
//!
//! [`command_page`] makes the page of a command. A page about something else, such as a file format, starts with
//! [`Page::new`]. Each program writes its own pages, so a page is always that of the program beside it.

mod command;
mod help;
mod page;

pub use command::{CommandPage, command_page};
pub use help::{ExitStatus, Help};
pub use page::{Page, Section, write_pages};
