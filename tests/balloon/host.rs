//! A host whose free memory is what a file says: its `/proc` is this machine's, but for `meminfo`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use etmem_testkit::undo::Undo;
use nix::mount::{MntFlags, MsFlags, mount, umount2};

const TOTAL_KIB: u64 = 64 << 20;

/// The host. Its mounts go when this is dropped.
#[derive(Debug)]
pub(crate) struct Host {
    folder: tempfile::TempDir,
    _unmounted: Undo,
}

impl Host {
    /// One that has enough.
    pub(crate) fn new() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let (proc, meminfo) = (folder.path().join("proc"), folder.path().join("meminfo"));
        fs::create_dir(&proc)?;
        fs::write(&meminfo, text(50))?;
        let bind =
            |from: &Path, to: &Path| mount(Some(from), to, None::<&str>, MsFlags::MS_BIND, None::<&str>);
        bind("/proc".as_ref(), &proc).context("mount /proc once more")?;
        let gone = proc.clone();
        let unmounted = Undo::with(move || {
            // Nothing uses them any more.
            let _ = umount2(&gone.join("meminfo"), MntFlags::MNT_DETACH);
            let _ = umount2(&gone, MntFlags::MNT_DETACH);
        });
        // What is mounted there is for there only.
        mount(None::<&str>, &proc, None::<&str>, MsFlags::MS_PRIVATE, None::<&str>)?;
        bind(&meminfo, &proc.join("meminfo")).context("mount a file over meminfo")?;
        Ok(Self { folder, _unmounted: unmounted })
    }

    /// Where its `/proc` is.
    pub(crate) fn proc(&self) -> PathBuf {
        self.folder.path().join("proc")
    }

    /// A folder that goes with it.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// From now on so much of its memory is available, in percent.
    pub(crate) fn set(&self, percent: u64) -> Result<()> {
        // In place: what is mounted is this file, not its name.
        Ok(fs::write(self.folder.path().join("meminfo"), text(percent))?)
    }
}

fn text(percent: u64) -> String {
    let available = TOTAL_KIB / 100 * percent;
    format!(
        "MemTotal: {TOTAL_KIB} kB\nMemFree: {available} kB\nMemAvailable: {available} kB\nSwapTotal: 0 kB\nSwapFree: 0 kB\n"
    )
}
