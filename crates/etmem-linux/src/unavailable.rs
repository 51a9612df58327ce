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
    /// The kernel does not know the module.
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
    /// The root of the processes.
    #[error("{0}: not a procfs; its processes are not of this kernel, which only files there can tell of")]
    NotProcfs(PathBuf),
    /// Pages of a size that no processor known here has.
    /// The size.
    #[error("the kernel's base pages have {0} bytes; known are 4096, 16384 and 65536")]
    PageSize(u64),
    /// Only the module's scan can do what was wished.
    #[error("{wish}: only the probe etmem can do that; {way_out}")]
    OnlyEtmem {
        /// The key as written.
        wish: &'static str,
        /// What to do where there is no such probe.
        way_out: &'static str,
    },
    /// The probe does not see the memory that the task is about.
    #[error("{probe} does not see {what}: {because}; take {instead}")]
    Blind {
        /// The probe.
        probe: &'static str,
        /// The memory.
        what: &'static str,
        /// Why.
        because: &'static str,
        /// What sees it.
        instead: &'static str,
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
    /// Another program has it.
    #[error("{what} is in use by another program: {by}")]
    Taken {
        /// What has one owner at a time.
        what: &'static str,
        /// Who has it, as far as that is known, and what to do.
        by: String,
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
    /// How many were tried.
    #[error(
        "the kernel's direct map was not found: none of {0} bases gave the page numbers of /proc/self/pagemap \
         (encrypted memory?)"
    )]
    NoDirectMap(usize),
}

impl Unavailable {
    /// What would help, alone: the texts say it as well, after the reason.
    #[must_use]
    pub fn remedy(&self) -> String {
        match self {
            Self::Architecture => "a machine with x86-64 processors".to_owned(),
            Self::KernelTooOld { needed, .. } | Self::NoSystemCall { needed, .. } => {
                format!("Linux {needed} or later")
            }
            Self::Lockdown => "boot with lockdown=integrity or none".to_owned(),
            Self::Permission { capabilities, .. } => format!("run as root, or with {capabilities}"),
            Self::NotBuilt { option, .. } => format!("a kernel built with {option}=y"),
            Self::ModuleNotLoaded { module, .. } => format!("modprobe {module}"),
            Self::NoModule { module, option, .. } => {
                format!("an openEuler kernel built with {option}, and its module {module}")
            }
            Self::NotProcfs(_) => "a procfs of the running kernel at --proc-root".to_owned(),
            Self::PageSize(_) => "a kernel with base pages of a known size".to_owned(),
            Self::OnlyEtmem { way_out, .. } => (*way_out).to_owned(),
            Self::Blind { instead, .. } => (*instead).to_owned(),
            Self::None(ways) => {
                let each = ways.iter().map(|(name, why_not)| format!("for {name}: {}", why_not.remedy()));
                each.collect::<Vec<_>>().join("; ")
            }
            Self::Taken { .. } => "end that program, or take another probe".to_owned(),
            Self::Refused { .. } => {
                "see what the kernel answered; its own log (dmesg) may say more".to_owned()
            }
            Self::NoDirectMap(_) => "a machine without encrypted memory, or another probe".to_owned(),
        }
    }

    /// The kernel refused `call`, a path or a system call.
    pub(crate) fn refused(call: impl ToString, reason: impl ToString) -> Self {
        Self::Refused { call: call.to_string(), reason: reason.to_string() }
    }

    /// What `error` from `call` means: a lack of rights, or another refusal.
    pub(crate) fn from_io(call: impl Into<String>, error: &io::Error, capabilities: &'static str) -> Self {
        let call = call.into();
        match error.raw_os_error() {
            Some(libc::EPERM | libc::EACCES) => Self::Permission { call, capabilities },
            _ => Self::refused(call, error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// The variants by number: a new one gets one, a sample below, and a row in the guide.
    const fn number(of: &Unavailable) -> usize {
        match of {
            Unavailable::Architecture => 0,
            Unavailable::KernelTooOld { .. } => 1,
            Unavailable::NoDirectMap(_) => 2,
            Unavailable::Lockdown => 3,
            Unavailable::Permission { .. } => 4,
            Unavailable::NotBuilt { .. } => 5,
            Unavailable::ModuleNotLoaded { .. } => 6,
            Unavailable::NoModule { .. } => 7,
            Unavailable::NotProcfs(_) => 8,
            Unavailable::PageSize(_) => 9,
            Unavailable::OnlyEtmem { .. } => 10,
            Unavailable::Blind { .. } => 11,
            Unavailable::NoSystemCall { .. } => 12,
            Unavailable::Taken { .. } => 13,
            Unavailable::Refused { .. } => 14,
            // No reason of its own: those of several.
            Unavailable::None(_) => 15,
        }
    }

    #[test]
    fn the_guide_has_a_row_for_each() {
        let (any, path, text) = ("...", PathBuf::from("..."), || "...".to_owned());
        let samples = [
            Unavailable::Architecture,
            Unavailable::KernelTooOld { needed: any, running: text() },
            Unavailable::NotBuilt { path: path.clone(), option: "CONFIG_DEBUG_INFO_BTF" },
            Unavailable::Lockdown,
            Unavailable::Permission { call: text(), capabilities: any },
            Unavailable::NotBuilt { path: path.clone(), option: any },
            Unavailable::ModuleNotLoaded { path: path.clone(), module: any },
            Unavailable::NoModule { path: path.clone(), module: any, option: any },
            Unavailable::NotProcfs(path),
            Unavailable::PageSize(1),
            Unavailable::OnlyEtmem { wish: any, way_out: any },
            Unavailable::Blind { probe: any, what: any, because: any, instead: any },
            Unavailable::NoSystemCall { call: any, needed: any },
            Unavailable::Taken { what: any, by: text() },
            Unavailable::Refused { call: text(), reason: text() },
            Unavailable::NoDirectMap(1),
        ];
        let numbers: BTreeSet<usize> = samples.iter().map(number).collect();
        assert!(numbers.into_iter().eq(0..number(&Unavailable::None(Vec::new()))), "a sample of each");
        let guide = include_str!("../../../docs/why-nothing-happens.md");
        for sample in samples {
            let row = sample.to_string().replace(std::env::consts::ARCH, any).replace(" 1 b", " ... b");
            assert!(guide.contains(&format!("| `{row}` |")), "the guide has no row for: {row}");
            assert!(!sample.remedy().is_empty() && !row.contains('\n'), "{row}");
        }
    }
}
