//! What all reports have: what they are about, and how they are written.

/// How a report is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For a terminal of this many columns, with colours or without.
    Text {
        /// Columns.
        columns: usize,
        /// Whether colours are used.
        colours: bool,
    },
    /// A picture.
    Svg,
    /// A page with the picture, for browsers.
    Html,
    /// A table.
    Csv,
}

/// What a report is about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct About {
    /// The program and its process, such as `mysqld (4711)`.
    pub program: String,
    /// The machine and its kernel; empty if it is not known.
    pub machine: String,
    /// When the record began, in seconds since 1970; 0 if it is not known.
    pub start: u64,
    /// What is to be known about the record: that it was cut off, how long its looks were apart.
    pub notes: Vec<String>,
}
