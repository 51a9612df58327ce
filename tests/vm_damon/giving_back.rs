//! Whose DAMON is, and that nothing of ours stays.

use std::fs;

use anyhow::{Context, Result, ensure};
use etmem_testkit::daemon::Daemon;
use etmem_testkit::workload::Workload;

use crate::inside::{Inside, KDAMONDS, LIMIT, SAMPLE, file, kdamonds, running};

const RECLAIM: &str = "/sys/module/damon_reclaim/parameters/enabled";

/// A daemon whose engine watches `program`.
fn watching(inside: &Inside, program: &Workload) -> Result<Daemon> {
    let daemon = inside.daemon()?;
    start(inside, &daemon, program)?;
    Ok(daemon)
}

fn start(inside: &Inside, daemon: &Daemon, program: &Workload) -> Result<()> {
    daemon.add(&file(&format!("{SAMPLE}action=stat"), &[program.pid()]))?;
    daemon.must(&["project", "start", "-n", "p"])?;
    let waited = inside.clock.wait_until(LIMIT, "the engine watches", || Ok(running()?.is_some()));
    waited.map(drop).with_context(|| format!("log:\n{}", daemon.log()))
}

pub(crate) fn every_end(inside: &Inside) -> Result<()> {
    let program = inside.program()?;
    let daemon = watching(inside, &program)?;
    daemon.must(&["project", "stop", "-n", "p"])?;
    inside.wait_for_nothing("after a stop")?;
    daemon.must(&["project", "start", "-n", "p"])?;
    inside.clock.wait_until(LIMIT, "the engine watches again", || Ok(running()?.is_some()))?;
    let path = daemon.write("all.yaml", &file(&format!("{SAMPLE}action=stat"), &[program.pid()]))?;
    daemon.must(&["obj", "del", "-f", path.to_str().context("a path")?])?;
    inside.wait_for_nothing("after obj del")?;
    inside.say("nothing stays after stop and del");
    start(inside, &daemon, &program)?;
    daemon.terminate()?;
    ensure!(kdamonds()? == "0", "{} kdamonds are left after SIGTERM", kdamonds()?);
    inside.say("nor after SIGTERM");
    let daemon = watching(inside, &program)?;
    daemon.kill()?;
    ensure!(running()?.is_some(), "DAMON ended with the daemon that was killed");
    let _next = inside.daemon()?;
    inside.wait_for_nothing("after kill -9 and the next start")?;
    inside.say("nor after kill -9 and the next start");
    Ok(())
}

/// Another program's settings stay as they are, and the refusal says whose they are.
pub(crate) fn others(inside: &Inside) -> Result<()> {
    let program = inside.program()?;
    let daemon = inside.daemon()?;
    let set = |count: &str| fs::write(format!("{KDAMONDS}/nr_kdamonds"), count);
    daemon.add(&file(&format!("{SAMPLE}action=pageout"), &[program.pid()]))?;
    set("1")?;
    let refused = daemon.etmem(&["project", "start", "-n", "p"])?;
    let said = format!("{}{}", refused.stdout, refused.stderr);
    ensure!(refused.status != 0 && kdamonds()? == "1", "{said}");
    ensure!(
        said.contains("DAMON is in use by another program") && said.contains("1 kdamonds are set up"),
        "{said}"
    );
    inside.say(said.trim());
    set("0")?;
    // Another etmemd.
    let other = watching(inside, &program)?;
    let refused = daemon.etmem(&["project", "start", "-n", "p"])?;
    let said = format!("{}{}", refused.stdout, refused.stderr);
    ensure!(refused.status != 0 && said.contains("another etmemd"), "{said}");
    ensure!(running()?.is_some(), "it was stopped");
    other.terminate()?;
    // The kernel's own user does not show in sysfs.
    fs::write(RECLAIM, "Y").context("cannot start DAMON_RECLAIM")?;
    daemon.must(&["project", "start", "-n", "p"])?;
    let says = |log: &str| log.contains("DAMON is in use by another program");
    daemon.wait_for_line(LIMIT, "it says that DAMON is in use", says)?;
    fs::write(RECLAIM, "N")?;
    let waited = inside.clock.wait_until(LIMIT, "it goes on", || Ok(running()?.is_some()));
    waited.with_context(|| daemon.log())?;
    inside.say("it waits for DAMON_RECLAIM, and goes on after that");
    daemon.terminate()?;
    inside.wait_for_nothing("after the end")
}
