//! Control groups (cgroup v2) of a machine that is the test's own.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::laboratory::quoted;

const ROOT: &str = "/sys/fs/cgroup";

/// A control group below the root. It stays when this is dropped.
#[derive(Debug)]
pub struct ControlGroup(PathBuf);

impl ControlGroup {
    /// Makes one, with the memory and io controllers as far as the kernel has them.
    ///
    /// # Errors
    /// The machine has no memory controller, or the group is there already.
    pub fn new(path: &str) -> Result<Self> {
        let group = Path::new(ROOT).join(path);
        let above = group.parent().context("the root is there already")?;
        fs::create_dir_all(above)?;
        for folder in
            above.ancestors().take_while(|folder| folder.starts_with(ROOT)).collect::<Vec<_>>().iter().rev()
        {
            fs::write(folder.join("cgroup.subtree_control"), "+memory").context("no memory controller")?;
        }
        fs::create_dir(&group)?;
        Ok(Self(group))
    }

    /// Writes to a file of it.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn set(&self, file: &str, value: impl ToString) -> Result<()> {
        fs::write(self.0.join(file), value.to_string()).with_context(|| file.to_owned())
    }

    /// A file of it.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn text(&self, file: &str) -> Result<String> {
        fs::read_to_string(self.0.join(file)).with_context(|| file.to_owned())
    }

    /// The number in a file of it.
    ///
    /// # Errors
    /// It cannot be read, or is no number.
    pub fn number(&self, file: &str) -> Result<usize> {
        Ok(self.text(file)?.trim().parse()?)
    }

    /// The number of the line `name` of its `memory.stat`; 0 where there is none.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn stat(&self, name: &str) -> Result<usize> {
        let text = self.text("memory.stat")?;
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        Ok(line.map_or(Ok(0), str::parse)?)
    }

    /// A program that starts `program` in the group, so that its memory is charged there from the first page on.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn starting(&self, program: &Path, folder: &Path) -> Result<PathBuf> {
        let name = program.file_name().context("a program has a name")?;
        let script =
            folder.join(format!("in-{}-{}", self.0.display().to_string().replace('/', "-"), name.display()));
        let procs = self.0.join("cgroup.procs");
        let text = format!("#!/bin/sh\necho $$ >{}\nexec {} \"$@\"\n", quoted(&procs)?, quoted(program)?);
        fs::write(&script, text)?;
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;
        Ok(script)
    }

    /// Removes it; its programs have ended.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn remove(&self) -> Result<()> {
        fs::remove_dir(&self.0).with_context(|| self.0.display().to_string())
    }
}
