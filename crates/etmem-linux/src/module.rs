//! The files that openEuler's kernel modules serve for each process, and what their errors mean.

use crate::process::stat::check_alive;
use crate::root::ProcRoot;
use crate::unavailable::Unavailable;
use etmem_core::kernel::process::{ProcessError, ProcessId};
use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

/// What a program must have to use the files.
const CAPABILITIES: &str = "CAP_SYS_ADMIN";

/// A file of a module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ModuleFile {
    /// Its name in a process's folder.
    pub(crate) name: &'static str,
    /// The module that serves it.
    pub(crate) module: &'static str,
    /// What a kernel that has it is built with.
    option: &'static str,
    write: bool,
}

/// Which pages were touched.
pub(crate) const IDLE_PAGES: ModuleFile =
    ModuleFile { name: "idle_pages", module: "etmem_scan", option: "CONFIG_ETMEM_SCAN", write: false };

/// Takes pages to swap.
pub(crate) const SWAP_PAGES: ModuleFile =
    ModuleFile { name: "swap_pages", module: "etmem_swap", option: "CONFIG_ETMEM_SWAP", write: true };

impl ModuleFile {
    fn try_open(self, path: &Path) -> io::Result<File> {
        OpenOptions::new().read(!self.write).write(self.write).open(path)
    }

    /// Whether the module is there: opens the file of a process, by preference our own, and closes it.
    ///
    /// # Errors
    /// Says why not.
    pub(crate) fn detect(self, proc: &ProcRoot) -> Result<(), Unavailable> {
        let path = self.any(proc);
        match self.try_open(&path) {
            Ok(_) => Ok(()),
            Err(error) => match error.raw_os_error() {
                // Another program scans it: so it can be scanned.
                Some(libc::EBUSY) => Ok(()),
                Some(libc::ENODEV) => Err(Unavailable::ModuleNotLoaded { path, module: self.module }),
                Some(libc::ENOENT) => {
                    Err(Unavailable::NoModule { path, module: self.module, option: self.option })
                }
                _ => Err(Unavailable::from_io(path.display().to_string(), &error, CAPABILITIES)),
            },
        }
    }

    /// Whether the module serves the file now. A procfs that shows us is not searched for another process.
    pub(crate) fn is_served(self, proc: &ProcRoot) -> bool {
        let own = proc.own(self.name);
        let path = if proc.own("stat").exists() { own } else { self.any(proc) };
        self.try_open(&path).map_or_else(|error| error.raw_os_error() == Some(libc::EBUSY), |_| true)
    }

    /// Opens it for our own process, or for any that has it: for requests that are about the machine.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub(crate) fn open_any(self, proc: &ProcRoot) -> Result<(File, String), ProcessError> {
        let path = self.any(proc);
        let call = path.display().to_string();
        let file = self.try_open(&path).map_err(|error| self.error(call.clone(), &error))?;
        Ok((file, call))
    }

    /// The file of our own process, or of any that has it where this procfs does not show us.
    fn any(self, proc: &ProcRoot) -> PathBuf {
        let own = proc.own(self.name);
        if own.exists() {
            return own;
        }
        let folders = std::fs::read_dir(proc.path()).into_iter().flatten().flatten();
        let processes =
            folders.filter(|entry| entry.file_name().as_encoded_bytes().iter().all(u8::is_ascii_digit));
        processes.map(|entry| entry.path().join(self.name)).find(|path| path.exists()).unwrap_or(own)
    }

    /// Opens it for `process`, which must be checked to live under its number afterwards.
    ///
    /// # Errors
    /// When the process is gone or the kernel refuses.
    pub(crate) fn open(self, proc: &ProcRoot, process: ProcessId) -> Result<File, ProcessError> {
        let path = proc.process(process.pid, self.name);
        self.try_open(&path).map_err(|error| {
            if error.raw_os_error() == Some(libc::ENOENT)
                && let Err(gone) = check_alive(proc, process)
            {
                return gone;
            }
            self.error(path.display().to_string(), &error)
        })
    }

    /// What `error` of `call` is to the caller.
    pub(crate) fn error(self, call: String, error: &io::Error) -> ProcessError {
        let Self { module, option, .. } = self;
        let help = match error.raw_os_error() {
            Some(libc::ESRCH) => return ProcessError::Exited,
            Some(libc::ENODEV) => format!("the module is not loaded; run: modprobe {module}"),
            Some(libc::ENOENT) => format!("needs an openEuler kernel built with {option}"),
            Some(libc::EBUSY) => {
                "another program works on this process; stop it: the kernel knows one scan at a time"
                    .to_owned()
            }
            Some(libc::EFAULT) => "the kernel could not copy what it found".to_owned(),
            Some(libc::EINVAL) => format!("{module} takes no such request; is it of this kernel's version?"),
            Some(libc::ENOTTY) => format!("this {module} has no such request"),
            Some(libc::EPERM | libc::EACCES) => format!("run as root, or with {CAPABILITIES}"),
            _ => return ProcessError::refused(call, error),
        };
        ProcessError::refused(call, format!("{error}: {help}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use etmem_core::kernel::process::Pid;

    const STAT: &str = "7 (x) S 1 1 1 0 -1 0 1 2 3 4 5 6 7 8 20 0 1 0 5 1 2\n";

    #[test]
    fn present_or_why_not() {
        let tree = tempfile::tempdir().unwrap();
        let proc = ProcRoot::new(tree.path());
        for file in [IDLE_PAGES, SWAP_PAGES] {
            let reason = file.detect(&proc).unwrap_err();
            assert!(matches!(reason, Unavailable::NoModule { .. }));
            let text = reason.to_string();
            assert!(text.contains(file.name) && text.contains(file.module) && !text.contains('\n'), "{text}");
        }
        // No folder of our own, but one of another process.
        std::fs::create_dir(tree.path().join("7")).unwrap();
        std::fs::write(tree.path().join("7/idle_pages"), "").unwrap();
        assert_eq!(IDLE_PAGES.detect(&proc), Ok(()));
        assert!(SWAP_PAGES.detect(&proc).is_err());
    }

    #[test]
    fn opened_for_a_process() {
        let tree = tempfile::tempdir().unwrap();
        let proc = ProcRoot::new(tree.path());
        let process = ProcessId { pid: Pid::new(7).unwrap(), start_time: 5 };
        let open = || IDLE_PAGES.open(&proc, process).map(drop);
        assert_eq!(open(), Err(ProcessError::Exited));
        std::fs::create_dir(tree.path().join("7")).unwrap();
        std::fs::write(tree.path().join("7/stat"), STAT).unwrap();
        let text = open().unwrap_err().to_string();
        assert!(text.contains("7/idle_pages") && text.contains("CONFIG_ETMEM_SCAN"), "{text}");
        std::fs::write(tree.path().join("7/idle_pages"), "").unwrap();
        assert_eq!(open(), Ok(()));
    }

    #[test]
    fn errors_say_what_would_help() {
        for (number, help) in [
            (libc::ENODEV, "modprobe etmem_swap"),
            (libc::ENOENT, "CONFIG_ETMEM_SWAP"),
            (libc::EBUSY, "another program"),
            (libc::EFAULT, "copy"),
            (libc::EINVAL, "version"),
            (libc::ENOTTY, "no such request"),
            (libc::EACCES, "root"),
            (libc::EIO, "Input/output error"),
        ] {
            let text = SWAP_PAGES.error("x".into(), &io::Error::from_raw_os_error(number)).to_string();
            assert!(text.starts_with("x: ") && text.contains(help) && !text.contains('\n'), "{text}");
        }
        let gone = SWAP_PAGES.error("x".into(), &io::Error::from_raw_os_error(libc::ESRCH));
        assert_eq!(gone, ProcessError::Exited);
    }
}
