//! What a task knows, written down for the next daemon, and read by it: how pages stand, what is owed, what was seen to return.
//!
//! Read again, a page that is out counts as a refault once it is back, as if the daemon had never ended. After a long time without a
//! daemon that is no longer fair: what came back meanwhile is not held against the hours that follow.

use super::history::{Account, ProcessHistory, TaskHistory};
use etmem_core::kernel::Kernel;
use etmem_core::kernel::process::ProcessId;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// After this time without a daemon, what is back does not count as refaulted.
const FAIR: Duration = Duration::from_secs(600);

/// What is written down of a process.
#[derive(Debug, Serialize, Deserialize)]
struct Process {
    id: ProcessId,
    /// The program that it ran: another one has other pages at the same addresses.
    program: u64,
    history: ProcessHistory,
}

/// What is written down of a task.
#[derive(Debug, Serialize, Deserialize)]
struct Task {
    account: Account,
    processes: Vec<Process>,
}

/// Writes down what `history` knows.
pub(super) fn write(history: &TaskHistory, kernel: &Kernel) -> Option<Vec<u8>> {
    let processes = history
        .all()
        .into_iter()
        .filter_map(|(id, history)| Some(Process { id, program: kernel.processes.program(id)?, history }));
    let task = Task { account: history.what_is_owed(), processes: processes.collect() };
    postcard::to_stdvec(&task).ok()
}

/// Goes on with what was written down `gap` ago, in `history`, which knows nothing yet. Processes that are gone, or run another program
/// by now, are left out; what is owed for them is, too, if no other is left.
///
/// # Errors
/// Why it is of no use.
pub(super) fn read(
    history: &mut TaskHistory,
    bytes: &[u8],
    gap: Duration,
    kernel: &Kernel,
) -> Result<(), String> {
    let task: Task = postcard::from_bytes(bytes).map_err(|error| error.to_string())?;
    let goes_on = |process: &Process| kernel.processes.program(process.id) == Some(process.program);
    let still_there: Vec<Process> = task.processes.into_iter().filter(goes_on).collect();
    if still_there.is_empty() {
        return Err(String::from("the processes that it knew are gone, or run other programs"));
    }
    history.go_on(task.account, gap > FAIR)?;
    for Process { id, history: process, .. } in still_there {
        history.put_back(id, process);
    }
    Ok(())
}
