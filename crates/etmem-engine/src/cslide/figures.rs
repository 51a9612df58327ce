//! What lies where, as `engine showtaskpages` and `engine showhostpages` show it.
//!
//! ```text
//! [Thu Nov 20 23:17:00 2026] task 4711 pages info (KB):
//!  node       used        hot       cold
//!     0       4096       4096          0
//! ```

use etmem_core::kernel::nodes::NodeId;
use std::fmt::{Display, Write};

/// The figures of the last scan, and what has moved since.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Figures {
    /// When the scan was complete.
    pub(super) time: Option<String>,
    /// The nodes of the machine, each with the bytes of its pool of huge pages.
    pub(super) nodes: Vec<(NodeId, u64)>,
    /// Each task that was scanned.
    pub(super) tasks: Vec<TaskFigures>,
}

/// The figures of a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TaskFigures {
    /// Its number in the shared cycle.
    pub(super) member: u64,
    /// Its name.
    pub(super) name: String,
    /// What names its processes: the `value` of the task.
    pub(super) value: String,
    /// Its bytes on each node of the machine.
    pub(super) nodes: Vec<Heat>,
}

/// Bytes on a node.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Heat {
    pub(super) hot: u64,
    pub(super) cold: u64,
}

impl Figures {
    /// The answer to `showtaskpages` about the task called `name`; `None` if it was not scanned yet.
    pub(super) fn of_task(&self, name: &str) -> Option<String> {
        // Of two, the newer: the other is about to leave.
        let task = self.tasks.iter().rev().find(|task| task.name == name)?;
        let mut text = self.head(&format!("task {}", task.value));
        row(&mut text, "node", &["used", "hot", "cold"]);
        for ((node, _), heat) in self.nodes.iter().zip(&task.nodes) {
            row(&mut text, node, &[heat.hot + heat.cold, heat.hot, heat.cold].map(kibibytes));
        }
        Some(text)
    }

    /// The answer to `showhostpages`; `None` if nothing was scanned yet.
    pub(super) fn of_host(&self) -> Option<String> {
        if self.tasks.is_empty() {
            return None;
        }
        let mut text = self.head("host");
        row(&mut text, "node", &["total", "used", "hot", "cold"]);
        for (place, (node, total)) in self.nodes.iter().enumerate() {
            let heats = self.tasks.iter().filter_map(|task| task.nodes.get(place));
            let sum = heats.fold(Heat::default(), |sum, heat| Heat {
                hot: sum.hot + heat.hot,
                cold: sum.cold + heat.cold,
            });
            row(&mut text, node, &[*total, sum.hot + sum.cold, sum.hot, sum.cold].map(kibibytes));
        }
        Some(text)
    }

    fn head(&self, of: &str) -> String {
        let time = self.time.as_deref().unwrap_or("time not known");
        format!("[{time}] {of} pages info (KB):\n")
    }
}

fn kibibytes(bytes: u64) -> String {
    (bytes >> 10).to_string()
}

fn row<F: Display, C: AsRef<str>>(text: &mut String, first: F, cells: &[C]) {
    // Writing to a string does not fail.
    let _ = write!(text, "{:>5}", first.to_string());
    for cell in cells {
        let _ = write!(text, " {:>10}", cell.as_ref());
    }
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn figures() -> Figures {
        let heat = |hot, cold| Heat { hot: hot * MIB, cold: cold * MIB };
        let task = |member, name: &str, value: &str, nodes| TaskFigures {
            member,
            name: name.to_owned(),
            value: value.to_owned(),
            nodes,
        };
        Figures {
            time: Some("Thu Nov 20 23:17:00 2026".to_owned()),
            nodes: vec![(NodeId(0), 1024 * MIB), (NodeId(1), 0)],
            tasks: vec![
                task(3, "vm", "4711", vec![heat(4, 0), heat(0, 0)]),
                task(4, "other", "qemu-kvm", vec![heat(0, 4), heat(0, 0)]),
            ],
        }
    }

    #[test]
    fn tables_are_those_of_the_original_to_the_byte() {
        assert_eq!(
            figures().of_task("vm").unwrap(),
            "[Thu Nov 20 23:17:00 2026] task 4711 pages info (KB):\n\
             \x20node       used        hot       cold\n\
             \x20   0       4096       4096          0\n\
             \x20   1          0          0          0\n"
        );
        assert_eq!(
            figures().of_host().unwrap(),
            "[Thu Nov 20 23:17:00 2026] host pages info (KB):\n\
             \x20node      total       used        hot       cold\n\
             \x20   0    1048576       8192       4096       4096\n\
             \x20   1          0          0          0          0\n"
        );
    }

    #[test]
    fn before_a_scan_there_is_nothing_to_show() {
        assert_eq!((Figures::default().of_host(), figures().of_task("nobody")), (None, None));
    }

    #[test]
    fn long_figures_are_never_cut() {
        let mut figures = figures();
        figures.nodes = vec![(NodeId(65535), u64::MAX)];
        let text = figures.of_host().unwrap();
        assert_eq!(text.lines().nth(2), Some("65535 18014398509481983       8192       4096       4096"));
    }
}
