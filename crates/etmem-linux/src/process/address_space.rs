//! Whether a process still has the memory it had: it loses it when it exits and when it replaces its program (exec).
//!
//! An open `/proc/PID/maps` belongs to the address space and reads as empty once no process uses that any more
//! (`fs/proc/task_mmu.c`, `m_start`).

use super::memory_files::memory_file;
use super::stat::{after_loss, check_alive, means_gone, process_error};
use crate::root::ProcRoot;
use etmem_core::kernel::process::{ProcessError, ProcessId};
use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::FileExt;

/// The memory of one program run by one process.
#[derive(Debug)]
pub(crate) struct AddressSpace {
    maps: File,
    proc: ProcRoot,
    process: ProcessId,
}

impl AddressSpace {
    /// The memory that `process` has now. Whatever was opened by its number before belongs to the same process: it is
    /// checked here that it still lives under that number.
    ///
    /// # Errors
    /// When it is gone or the kernel refuses.
    pub(crate) fn open(proc: &ProcRoot, process: ProcessId) -> Result<Self, ProcessError> {
        let path = memory_file(proc, process.pid, "maps");
        let maps = File::open(&path).map_err(|error| process_error(path.display().to_string(), &error))?;
        check_alive(proc, process)?;
        Ok(Self { maps, proc: proc.clone(), process })
    }

    /// Checks that it is still in use.
    ///
    /// # Errors
    /// [`ProcessError::Exited`] or [`ProcessError::Replaced`], or what the kernel refuses.
    pub(crate) fn check(&self) -> Result<(), ProcessError> {
        let mut byte = [0];
        loop {
            return match self.maps.read_at(&mut byte, 0) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if !means_gone(&error) => {
                    let path = memory_file(&self.proc, self.process.pid, "maps");
                    Err(process_error(path.display().to_string(), &error))
                }
                Ok(1..) => Ok(()),
                Ok(0) | Err(_) => Err(after_loss(&self.proc, self.process)),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::stat::Stat;
    use etmem_core::kernel::process::Pid;
    use std::io::Write;
    use std::process::{Command, Stdio};

    fn identity(proc: &ProcRoot, pid: u32) -> ProcessId {
        let text = std::fs::read(proc.process(Pid::new(pid).unwrap(), "stat")).unwrap();
        Stat::parse(&text).unwrap().id()
    }

    #[test]
    fn a_program_that_is_replaced_and_ends() {
        let proc = ProcRoot::default();
        let mut shell = Command::new("sh");
        shell.args(["-c", "read line; exec cat"]).stdin(Stdio::piped()).stdout(Stdio::null());
        let mut child = shell.spawn().unwrap();
        let comm = proc.process(Pid::new(child.id()).unwrap(), "comm");
        let process = identity(&proc, child.id());
        // Between fork and exec it is still this program.
        while std::fs::read_to_string(&comm).unwrap() != "sh\n" {}
        let space = AddressSpace::open(&proc, process).unwrap();
        assert_eq!(space.check(), Ok(()));
        child.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
        while std::fs::read_to_string(&comm).unwrap() != "cat\n" {}
        assert_eq!(space.check(), Err(ProcessError::Replaced));
        let space = AddressSpace::open(&proc, process).unwrap();
        assert_eq!(space.check(), Ok(()));
        drop(child.stdin.take());
        child.wait().unwrap();
        assert_eq!(space.check(), Err(ProcessError::Exited));
        assert_eq!(AddressSpace::open(&proc, process).map(drop), Err(ProcessError::Exited));
    }

    #[test]
    fn another_process_of_the_same_number() {
        let proc = ProcRoot::default();
        let own = identity(&proc, std::process::id());
        let earlier = ProcessId { start_time: own.start_time - 1, ..own };
        assert_eq!(AddressSpace::open(&proc, earlier).map(drop), Err(ProcessError::Exited));
    }
}
