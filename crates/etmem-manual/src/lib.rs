//! Manual pages, made of what the command lines are defined by: what `--help` says and what the page says are one.
//!
//! ```text
//!  clap::Command ---> NAME, SYNOPSIS, DESCRIPTION, COMMANDS, OPTIONS
//!    its after_help -> EXAMPLES, EXIT STATUS, NOTES              } a Page ---> roff, in a file
//!  Page's own ------> ENVIRONMENT, FILES, SEE ALSO
//! ```
//!
//! Each of the two programs writes its own pages, so that a page is always that of the program beside it.

mod after_help;
mod page;

pub use page::{Page, Section, write_pages};
