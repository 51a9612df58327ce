//! Where groups are whose memory can be reclaimed.

use super::folder::{Folder, RECLAIM};
use crate::root::SysRoot;
use etmem_core::kernel::groups::{Group, GroupError, GroupPattern};
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::DirEntryExt;
use std::path::{Path, PathBuf};

/// The hierarchy that counts memory, and the one that says how long programs wait: of the second version both are one.
#[derive(Debug)]
pub(super) struct Hierarchy {
    memory: PathBuf,
    pressure: PathBuf,
    first_version: bool,
}

impl Hierarchy {
    /// That of the machine.
    ///
    /// # Errors
    /// What is missing, and what would help.
    pub(super) fn of(sys: &SysRoot) -> Result<Self, GroupError> {
        let mut missing = Vec::new();
        for root in sys.control_groups() {
            let Ok(controllers) = fs::read_to_string(root.join("cgroup.controllers")) else { continue };
            if !controllers.split_whitespace().any(|name| name == "memory") {
                missing.push(format!("{}: cgroup v2 without the memory controller", root.display()));
            } else if !root.join(RECLAIM).exists() {
                missing
                    .push(format!("{}: has no {RECLAIM}, which Linux 5.19 and later have", root.display()));
            } else {
                return Ok(Self { memory: root.clone(), pressure: root, first_version: false });
            }
        }
        let [memory, pressure] = sys.control_groups_of_version_1();
        if memory.join(RECLAIM).exists() {
            return Ok(Self { memory, pressure, first_version: true });
        }
        if memory.join("memory.usage_in_bytes").exists() {
            let why =
                "cgroup v1, whose memory controller has no memory.reclaim except on openEuler's kernels";
            missing.push(format!("{}: {why}", memory.display()));
        }
        let reason = if missing.is_empty() {
            "no control groups with memory are mounted there".to_owned()
        } else {
            missing.join("; ")
        };
        let help =
            "boot with systemd.unified_cgroup_hierarchy=1, or cgroup_no_v1=memory, Linux 5.19 or later";
        Err(GroupError::refused(sys.file("fs/cgroup").display(), format!("{reason}; {help}")))
    }

    pub(super) const fn is_first_version(&self) -> bool {
        self.first_version
    }

    pub(super) fn memory_root(&self) -> &Path {
        &self.memory
    }

    /// What memory is reclaimed by, for people.
    pub(super) fn reclaimed_by(&self) -> String {
        let version = if self.first_version { "v1" } else { "v2" };
        format!("{RECLAIM} of control groups, cgroup {version} at {}", self.memory.display())
    }

    /// The groups that `pattern` names now.
    pub(super) fn find(&self, pattern: &GroupPattern) -> Result<Vec<Group>, GroupError> {
        let mut found = Vec::new();
        let root =
            fs::metadata(&self.memory).map_err(|error| GroupError::refused(self.memory.display(), error))?;
        let root = Group { path: "".into(), id: std::os::unix::fs::MetadataExt::ino(&root) };
        if pattern.matches("") {
            return Ok(vec![root]);
        }
        let mut open = vec![root];
        while let Some(group) = open.pop() {
            for child in self.children(&group)? {
                if pattern.matches(&child.path) {
                    found.push(child);
                } else if pattern.may_match_below(&child.path) {
                    open.push(child);
                }
            }
        }
        found.sort_unstable();
        Ok(found)
    }

    /// `group` and all groups below it whose memory is counted apart.
    pub(super) fn with_those_below(&self, group: &Group) -> Result<Vec<Group>, GroupError> {
        let mut found = Vec::new();
        match self.open(group) {
            Ok(_) => {}
            Err(GroupError::Removed) => return Ok(found),
            Err(error) => return Err(error),
        }
        let counted = if self.first_version { "memory.usage_in_bytes" } else { "memory.current" };
        let mut open = vec![group.clone()];
        while let Some(group) = open.pop() {
            open.extend(self.children(&group)?);
            // The root has no such file, and memory of its own.
            if group.is_root() || self.memory.join(&*group.path).join(counted).exists() {
                found.push(group);
            }
        }
        found.sort_unstable();
        Ok(found)
    }

    /// The groups below `group`; none if it was removed meanwhile.
    fn children(&self, group: &Group) -> Result<Vec<Group>, GroupError> {
        let folder = self.memory.join(&*group.path);
        let refused = |error| GroupError::refused(folder.display(), error);
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound && !group.is_root() => return Ok(Vec::new()),
            Err(error) => return Err(refused(error)),
        };
        let mut children = Vec::new();
        for entry in entries {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) if error.raw_os_error() == Some(libc::ENODEV) => break,
                Err(error) => return Err(refused(error)),
            };
            // A name that is no text can be named by no pattern.
            if let (Ok(kind), Some(name)) = (entry.file_type(), entry.file_name().to_str())
                && kind.is_dir()
            {
                let path = if group.is_root() { name.to_owned() } else { format!("{}/{name}", group.path) };
                children.push(Group { path: path.into(), id: entry.ino() });
            }
        }
        Ok(children)
    }

    /// The folder of `group`, with its memory.
    pub(super) fn open(&self, group: &Group) -> Result<Folder, GroupError> {
        Folder::open(self.memory.join(&*group.path), Some(group.id))
    }

    /// The folder with its pressure.
    pub(super) fn open_for_pressure(&self, group: &Group) -> Result<Folder, GroupError> {
        let id = (!self.first_version).then_some(group.id);
        Folder::open(self.pressure.join(&*group.path), id)
    }
}
