//! The picture of docs/doing-no-harm.md: how long memory of redis is idle under a load by Zipf's law, and what comes back.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use etmem_core::kernel::pacer::Pacer;
use etmem_testkit::clock::WallClock;
use etmem_testkit::daemon::Binaries;
use etmem_testkit::trial::asked_number;

use crate::loads::ALL;
use crate::run::{Asker, WARM_UP};
use crate::stores::Store;

const LOAD: &str = "redis, zipf 0.99";
const PICTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/redis-by-age.svg");

/// Records it for `MINUTES` (10), and draws it.
pub(crate) fn picture() -> Result<()> {
    let minutes: u32 = asked_number("MINUTES", 10)?;
    let load = ALL.iter().find(|load| load.name == LOAD).context("no such load")?;
    let folder = tempfile::tempdir()?;
    let store = Store::start(load.store, folder.path())?;
    store.connect()?.fill(load.keys)?;
    let asker = Asker::start(vec![store.connect()?], load);
    let _ = WallClock::new().pause(WARM_UP);
    let etmem = |arguments: &[&str]| -> Result<Vec<u8>> {
        let output = Command::new(&Binaries::beside()?.etmem).args(arguments).output()?;
        ensure!(output.status.success(), "{arguments:?}: {output:?}");
        Ok(output.stdout)
    };
    let file = folder.path().join("redis.rec");
    let file = file.to_str().context("a path that is not UTF-8")?;
    let (pid, length) = (store.pid().to_string(), format!("{minutes}m"));
    let _ = etmem(&["record", file, "-p", &pid, "--for", &length, "--every", "5s"])?;
    asker.stop()?;
    let drawn = etmem(&["report", "ages", "--from", file, "--format", "svg"])?;
    std::fs::write(PICTURE, drawn)?;
    println!("{}", String::from_utf8_lossy(&etmem(&["report", "ages", "--from", file])?));
    println!("{}", Path::new(PICTURE).display());
    Ok(())
}
