//! Reading memory of other processes, as a debugger does. A page that is in swap is brought back by that.

use super::mover::Residence;
use super::process::{ProcessError, ProcessId};
use crate::address::AddressRange;
use std::fmt;

/// Reads memory of one process.
pub trait MemoryReader: fmt::Debug + Send {
    /// Touches each page of `ranges`, so that those in swap come back. Pages that are not mapped are passed over.
    ///
    /// # Errors
    /// When the process is gone, or the kernel refuses.
    fn touch(&mut self, ranges: &[AddressRange]) -> Result<(), ProcessError>;

    /// Reads the page at `address` into `page`. Returns whether it is there.
    ///
    /// # Errors
    /// When the process is gone, or the kernel refuses.
    fn read(&mut self, address: u64, page: &mut [u8]) -> Result<bool, ProcessError>;

    /// Where each page of `ranges` is, which ascend and do not overlap, into `out` (cleared first).
    ///
    /// # Errors
    /// As `touch`.
    fn residence(&mut self, ranges: &[AddressRange], out: &mut Vec<Residence>) -> Result<(), ProcessError>;
}

/// Makes readers.
pub trait MemoryReaders: fmt::Debug + Send + Sync {
    /// A reader of `process`, bound to the program that it runs now.
    ///
    /// # Errors
    /// When the process is gone or the kernel refuses.
    fn attach(&self, process: ProcessId) -> Result<Box<dyn MemoryReader>, ProcessError>;
}
