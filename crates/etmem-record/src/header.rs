//! What a record says of itself: JSON, on the first line of the file and in frames of its own.

use etmem_core::address::AddressRange;
use etmem_core::kernel::mapping::Mapping;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The version of the format that is written, and the highest that is read.
pub const VERSION: u32 = 1;

/// The first line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// The version of the format.
    pub etmem_record: u32,
    /// Of the program that wrote it.
    #[serde(default)]
    pub version: String,
    /// The name of the machine.
    #[serde(default)]
    pub machine: String,
    /// The release of its kernel.
    #[serde(default)]
    pub kernel: String,
    /// What was asked for, such as `process named mysqld`.
    #[serde(default)]
    pub target: String,
    /// How touches were seen.
    #[serde(default)]
    pub probe: String,
    /// Bytes of a page.
    pub page_bytes: u64,
    /// Time between two looks, in seconds; it may be longer where looking would take too much of a processor.
    pub interval_seconds: f64,
    /// When it began, in seconds since 1970.
    pub start: u64,
}

/// A process of a record. Frames name it by its number in the order in which they come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Its number in the system.
    pub pid: u32,
    /// When it started, in ticks since boot (`/proc/PID/stat`).
    pub start_time: u64,
    /// Its name (`/proc/PID/comm`).
    pub name: String,
    /// Since when its touches are seen, in milliseconds since the beginning of the record.
    pub since_ms: u64,
}

impl Process {
    /// Since when its touches are seen, from the beginning of the record.
    #[must_use]
    pub const fn since(&self) -> Duration {
        Duration::from_millis(self.since_ms)
    }
}

/// The mappings of a process, which are written again when they change.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mappings {
    /// The number of the process.
    pub process: usize,
    /// Ascending.
    pub mappings: Vec<NamedMapping>,
}

/// A mapping of a process: start, end, permissions and kind, inode, name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedMapping(pub u64, pub u64, pub String, pub u64, pub String);

impl NamedMapping {
    /// `mapping`, which is called `name`.
    #[must_use]
    pub fn new(mapping: &Mapping, name: &str) -> Self {
        let marks = [
            (mapping.writable, 'w'),
            (mapping.executable, 'x'),
            (mapping.shared, 's'),
            (mapping.special, 'k'),
            (mapping.huge_pool, 'h'),
            (mapping.guest, 'g'),
        ];
        let marks = marks.iter().filter(|(is, _)| *is).map(|(_, mark)| *mark).collect();
        Self(mapping.range.start, mapping.range.end, marks, mapping.inode, name.to_owned())
    }

    /// Where it lies.
    #[must_use]
    pub const fn range(&self) -> AddressRange {
        AddressRange::new(self.0, self.1)
    }

    /// Its file or, in brackets, what the kernel calls it; empty for memory without a name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.4
    }

    /// The mapping without its name.
    #[must_use]
    pub fn mapping(&self) -> Mapping {
        let has = |mark| self.2.contains(mark);
        Mapping {
            range: self.range(),
            writable: has('w'),
            executable: has('x'),
            shared: has('s'),
            inode: self.3,
            special: has('k'),
            huge_pool: has('h'),
            guest: has('g'),
        }
    }
}

/// Why looking at a process ended before the record did, or why the record did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// The number of the process; none: all of the record.
    pub process: Option<usize>,
    /// In words.
    pub why: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapping_is_as_it_was() {
        let plain = Mapping {
            range: AddressRange::new(0x1000, 0x3000),
            writable: true,
            executable: false,
            shared: true,
            inode: 7,
            special: false,
            huge_pool: true,
            guest: false,
        };
        let text = serde_json::to_string(&NamedMapping::new(&plain, "/a b")).unwrap();
        assert_eq!(text, r#"[4096,12288,"wsh",7,"/a b"]"#);
        let read: NamedMapping = serde_json::from_str(&text).unwrap();
        assert_eq!((read.mapping(), read.name()), (plain, "/a b"));
    }
}
