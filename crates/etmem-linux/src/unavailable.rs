//! Why a kernel interface cannot be used on this machine, and what would help.

use std::io;
use std::path::PathBuf;

/// Why a probe or a mover cannot work here. The texts are one line each.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unavailable {
    /// Page tables of other processors are not known.
    #[error("reads x86-64 page tables only; this machine is {}", std::env::consts::ARCH)]
    Architecture,
    /// The kernel is older than the interface.
    #[error("needs Linux {needed} or later; this is {running}")]
    KernelTooOld {
        /// The first version that has it.
        needed: &'static str,
        /// The running kernel's release.
        running: String,
    },
    /// The kernel has no description of its own types.
    #[error("{path}: missing; needs a kernel built with CONFIG_DEBUG_INFO_BTF=y")]
    NoKernelTypes {
        /// Where it would be.
        path: PathBuf,
    },
    /// The kernel keeps its memory even from root.
    #[error("the kernel is locked down (confidentiality); boot with lockdown=integrity or none")]
    Lockdown,
    /// The caller may not.
    #[error("{call}: not permitted; run as root, or with {capabilities}")]
    Permission {
        /// What was tried.
        call: String,
        /// What would be enough.
        capabilities: &'static str,
    },
    /// A file that the kernel offers only where it was built so.
    #[error("{path}: missing; needs a kernel built with {option}=y")]
    NotBuilt {
        /// The file.
        path: PathBuf,
        /// The kernel's option.
        option: &'static str,
    },
    /// The kernel has a file of a module's, but not the module.
    #[error("{path}: the module behind it is not loaded; run: modprobe {module}")]
    ModuleNotLoaded {
        /// The file.
        path: PathBuf,
        /// The module.
        module: &'static str,
    },
    /// The kernel has never heard of the module.
    #[error("{path}: missing; needs an openEuler kernel built with {option} and its module {module}")]
    NoModule {
        /// The file.
        path: PathBuf,
        /// The module.
        module: &'static str,
        /// The kernel's option.
        option: &'static str,
    },
    /// The processes are not those of the running kernel.
    #[error("{path}: not a procfs; its processes are not of this kernel, which only files there can tell of")]
    NotProcfs {
        /// The root of the processes.
        path: PathBuf,
    },
    /// Pages of a size that no processor known here has.
    #[error("the kernel's base pages have {bytes} bytes; known are 4096, 16384 and 65536")]
    PageSize {
        /// The size.
        bytes: u64,
    },
    /// Only the module's scan can do what was wished.
    #[error("{wish}: only the probe etmem can do that; {way_out}")]
    OnlyEtmem {
        /// The key as written.
        wish: &'static str,
        /// What to do where there is no such probe.
        way_out: &'static str,
    },
    /// The probe does not see the memory that the task is about.
    #[error("{probe} does not see the huge page pool (vm_flags=ht): {because}; take tracker=damon")]
    NotOfHugePool {
        /// The probe.
        probe: &'static str,
        /// Why.
        because: &'static str,
    },
    /// None of several ways works: their names, and why not.
    #[error("{}", .0.iter().map(|(name, why_not)| format!("{name}: {why_not}")).collect::<Vec<_>>().join("; "))]
    None(Vec<(&'static str, Unavailable)>),
    /// The kernel has no such system call.
    #[error("{call}: not in this kernel; needs Linux {needed} or later")]
    NoSystemCall {
        /// The call.
        call: &'static str,
        /// The first version that has it.
        needed: &'static str,
    },
    /// The kernel refused for another reason.
    #[error("{call}: {reason}")]
    Refused {
        /// What was tried.
        call: String,
        /// What the kernel answered.
        reason: String,
    },
    /// No base of the direct map gave the page numbers that the kernel gives.
    #[error(
        "the kernel's direct map was not found: none of {tried} bases gave the page numbers of /proc/self/pagemap \
         (encrypted memory?)"
    )]
    NoDirectMap {
        /// How many were tried.
        tried: usize,
    },
}

impl Unavailable {
    /// What `error` from `call` means: a lack of rights, or another refusal.
    pub(crate) fn from_io(call: impl Into<String>, error: &io::Error, capabilities: &'static str) -> Self {
        let call = call.into();
        match error.raw_os_error() {
            Some(libc::EPERM | libc::EACCES) => Self::Permission { call, capabilities },
            _ => Self::Refused { call, reason: error.to_string() },
        }
    }
}
