//! Where the kernel's file systems are mounted: the only place that builds paths below them.
//!
//! Injected, so that a container can bring the host's `/proc` and a test its own.

use etmem_core::kernel::process::Pid;
use std::path::{Path, PathBuf};

/// Where procfs is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcRoot(PathBuf);

impl ProcRoot {
    /// procfs mounted at `path`.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// The mount point.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// A file of the machine: `meminfo`, `iomem`, `sys/kernel/osrelease`.
    pub(crate) fn machine(&self, file: &str) -> PathBuf {
        self.0.join(file)
    }

    /// The mark of this boot, another one each time the machine starts (`Documentation/admin-guide/sysctl/kernel.rst`); empty if the
    /// kernel does not tell.
    #[must_use]
    pub fn boot_id(&self) -> String {
        let text = std::fs::read_to_string(self.machine("sys/kernel/random/boot_id")).unwrap_or_default();
        text.trim().replace(char::is_whitespace, "-")
    }

    /// The name of the machine and the release of its kernel, for a record of what was seen there; empty if the kernel does not tell.
    #[must_use]
    pub fn host_and_release(&self) -> [String; 2] {
        ["sys/kernel/hostname", "sys/kernel/osrelease"]
            .map(|name| std::fs::read_to_string(self.machine(name)).unwrap_or_default().trim().to_owned())
    }

    /// A file or folder of one process.
    pub(crate) fn process(&self, pid: Pid, file: &str) -> PathBuf {
        let mut path = self.0.join(pid.to_string());
        path.push(file);
        path
    }

    /// A file of the process that asks.
    pub(crate) fn own(&self, file: &str) -> PathBuf {
        self.0.join("self").join(file)
    }
}

impl Default for ProcRoot {
    fn default() -> Self {
        Self::new("/proc")
    }
}

/// The program that this process runs: the file that it was started from, even if another file has its name by now.
#[must_use]
pub fn own_program() -> PathBuf {
    ProcRoot::default().own("exe")
}

/// Where sysfs is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SysRoot(PathBuf);

impl SysRoot {
    /// sysfs mounted at `path`.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Any other file.
    pub(crate) fn file(&self, file: &str) -> PathBuf {
        self.0.join(file)
    }

    /// The running kernel's types (`CONFIG_DEBUG_INFO_BTF`).
    pub(crate) fn kernel_types(&self) -> PathBuf {
        self.0.join("kernel/btf/vmlinux")
    }

    /// Where sysfs is mounted.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The NUMA nodes (`CONFIG_NUMA`): a folder `nodeN` for each.
    pub(crate) fn nodes(&self) -> PathBuf {
        self.0.join("devices/system/node")
    }

    /// The memory tiers: a folder `memory_tierN` for each (Linux 6.1 and later).
    pub(crate) fn memory_tiers(&self) -> PathBuf {
        self.0.join("devices/virtual/memory_tiering")
    }

    /// What can be set of DAMON (`CONFIG_DAMON_SYSFS`).
    pub(crate) fn damon(&self) -> PathBuf {
        self.0.join("kernel/mm/damon/admin")
    }

    /// What can be set of merging equal pages (`CONFIG_KSM`).
    pub(crate) fn ksm(&self) -> PathBuf {
        self.0.join("kernel/mm/ksm")
    }

    /// A bit for each page of the machine: idle since it was set (`CONFIG_IDLE_PAGE_TRACKING`).
    pub(crate) fn idle_bitmap(&self) -> PathBuf {
        self.0.join("kernel/mm/page_idle/bitmap")
    }

    /// Where control groups are mounted, the second version alone, or both (systemd's hybrid layout).
    pub(crate) fn control_groups(&self) -> [PathBuf; 2] {
        [self.0.join("fs/cgroup"), self.0.join("fs/cgroup/unified")]
    }

    /// The one of these where control groups of the second version are mounted.
    pub(crate) fn second_version_groups(&self) -> Option<PathBuf> {
        self.control_groups().into_iter().find(|root| root.join("cgroup.controllers").exists())
    }

    /// Where control groups of the first version that count memory are mounted.
    pub(crate) fn first_memory_groups(&self) -> PathBuf {
        self.0.join("fs/cgroup/memory")
    }

    /// Where the first version is mounted: the hierarchy that counts memory, and the one in which openEuler's kernels say how
    /// long programs wait.
    pub(crate) fn control_groups_of_version_1(&self) -> [PathBuf; 2] {
        [self.first_memory_groups(), self.0.join("fs/cgroup/cpuacct")]
    }

    /// Whether pages go to zswap before they go to swap.
    pub(crate) fn zswap(&self) -> PathBuf {
        self.0.join("module/zswap/parameters/enabled")
    }

    /// The pages of each control group by generations (`CONFIG_LRU_GEN`), and whether the kernel keeps them so.
    pub(crate) fn generations(&self) -> [PathBuf; 2] {
        [self.0.join("kernel/debug/lru_gen"), self.0.join("kernel/mm/lru_gen/enabled")]
    }

    /// What the kernel keeps even from root (`CONFIG_SECURITY_LOCKDOWN_LSM`).
    pub(crate) fn lockdown(&self) -> PathBuf {
        self.0.join("kernel/security/lockdown")
    }
}

impl Default for SysRoot {
    fn default() -> Self {
        Self::new("/sys")
    }
}

/// Where both are mounted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Roots {
    /// procfs.
    pub proc: ProcRoot,
    /// sysfs.
    pub sys: SysRoot,
}
