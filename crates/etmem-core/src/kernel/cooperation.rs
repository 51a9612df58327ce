//! Programs that give memory back when they are asked for it, before it is taken from them.

use super::process::ProcessId;
use std::fmt;

/// The programs of a task that listen for such requests.
pub trait Cooperation: fmt::Debug + Send + Sync {
    /// Asks all that listen for memory: of each process, the bytes that are wanted. Returns how many programs have the request, or one
    /// that they have not read yet. Never waits for a program.
    fn ask(&self, wanted: &[(ProcessId, u64)]) -> usize;

    /// Lets no more programs listen, as the task ends.
    fn close(&self);
}
