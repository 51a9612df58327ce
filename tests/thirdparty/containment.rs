//! Plugins that misbehave: the client gets a reason, and the daemon goes on.

use std::thread;
use std::time::Duration;

use anyhow::{Result, anyhow, ensure};

use crate::plugins::{LAYOUTS, REFUSED, Stage, command, project};

/// Less than clients of etmem 1.x wait.
const CLIENT_WAITS: Duration = Duration::from_secs(10);

fn started(engine: &str, task: &str) -> Result<Stage> {
    let stage = Stage::new(LAYOUTS[0])?;
    stage.daemon.add(&stage.small(engine, task))?;
    stage.start()?;
    stage.record();
    Ok(stage)
}

/// Everything goes on: commands, a stop, a start, and the end.
fn goes_on(stage: &Stage) -> Result<()> {
    ensure!(stage.daemon.must(&command("tell", Some("t")))? == "tell told of t\n");
    stage.stop()?;
    stage.start()?;
    let record = stage.record();
    ensure!(!record.iter().any(|line| line.contains("OVERLAP")), "{record:#?}");
    let ended = stage.daemon.terminate()?;
    ensure!(ended.status == 0, "{ended:?}\n{}", stage.daemon.log());
    Ok(())
}

pub(crate) fn forbidden_bytes() -> Result<()> {
    let stage = started("", "")?;
    let internal = "error: etmemd has internal error";
    stage.refused(&command("ff", None), &[internal, "engine x: eng_mgt_func wrote the byte 0xff (at 1)"])?;
    stage.refused(&command("fe", None), &[internal, "engine x: eng_mgt_func wrote the byte 0xfe (at 0)"])?;
    goes_on(&stage)
}

pub(crate) fn megabytes() -> Result<()> {
    let stage = started("", "")?;
    stage.refused(&command("much", Some("t")), &["engine x: eng_mgt_func wrote more than 1048576 bytes"])?;
    goes_on(&stage)
}

pub(crate) fn closed_descriptor() -> Result<()> {
    let stage = started("", "")?;
    for word in ["close", "other"] {
        let ran =
            stage.refused(&command(word, None), &["engine x: ", "eng_mgt_func closed the descriptor"])?;
        ensure!(ran.stdout.contains("it wrote: closed after this") == (word == "close"), "{ran:?}");
    }
    // One that keeps it open is answered all the same.
    ensure!(stage.daemon.must(&command("keep", None))? == "kept\n");
    goes_on(&stage)
}

pub(crate) fn a_command_that_never_returns() -> Result<()> {
    let stage = started("", "")?;
    thread::scope(|scope| {
        let daemon = &stage.daemon;
        let asking = scope.spawn(move || daemon.etmem(&command("wait", None)));
        stage.clock.wait_until(CLIENT_WAITS, "the plugin is called", || Ok(!stage.record().is_empty()))?;
        // No other client waits.
        let shown = stage.daemon.etmem(&["project", "show"])?;
        ensure!(!asking.is_finished() && shown.status == 0, "{shown:?}");
        let ran = asking.join().map_err(|_| anyhow!("the asking thread panicked"))??;
        ensure!(
            ran.status == REFUSED && ran.stdout.contains("has not returned from eng_mgt_func"),
            "{ran:?}"
        );
        Ok(())
    })?;
    // A client that comes after that has the reason at once, and does not delay the end.
    stage.refused(
        &command("tell", None),
        &["engine x: ", "has not returned from eng_mgt_func", "restart etmemd"],
    )?;
    stage.add_refused(&stage.task("x", "u", ""), &["has not returned from eng_mgt_func"])?;
    ensure!(stage.record().is_empty());
    stage.open_gate()?;
    stage.clock.wait_until(CLIENT_WAITS, "it returns", || {
        Ok(stage.daemon.etmem(&command("tell", None))?.status == 0)
    })?;
    goes_on(&stage)
}

pub(crate) fn a_start_that_never_returns() -> Result<()> {
    let stage = Stage::new(LAYOUTS[0])?;
    stage.daemon.add(&stage.small("", "waits=start\n"))?;
    let start = ["project", "start", "-n", "p"];
    // This is the daemon's answer: a client that gave up waiting would say so instead.
    stage.refused(&start, &["error: etmemd has internal error", "has not returned from start_task"])?;
    ensure!(!stage.show()?.contains("true"));
    stage.refused(&start, &["has not returned from start_task"])?;
    stage.record();
    // What starts too late is stopped again.
    stage.open_gate()?;
    stage.wait_for_record(&["stop t of x (0)", "free A", "free B"])?;
    stage.clock.wait_until(CLIENT_WAITS, "it starts", || Ok(stage.daemon.etmem(&start)?.status == 0))?;
    goes_on(&stage)
}

pub(crate) fn an_addition_that_never_returns() -> Result<()> {
    let stage = Stage::new(LAYOUTS[0])?;
    let text = stage.small("waits=fill_eng\n", "");
    stage.add_refused(&text, &["engine x: ", "has not returned from fill_eng_params"])?;
    ensure!(stage.show()? == "no project exists\n\n");
    stage.record();
    stage.open_gate()?;
    stage.wait_for_record(&["clear_eng x"])?;
    stage.daemon.add(&text)?;
    stage.start()?;
    goes_on(&stage)
}

/// The request comes to its own end, seconds later, and then everything is ended in order.
pub(crate) fn the_end_of_the_daemon_meanwhile() -> Result<()> {
    for (engine, task, begin) in [("waits=fill_eng\n", "", "fill_eng"), ("", "waits=start\n", "start")] {
        let stage = Stage::new(LAYOUTS[0])?;
        let text = stage.small(engine, task);
        let is_add = task.is_empty();
        if !is_add {
            stage.daemon.add(&text)?;
            stage.record();
        }
        thread::scope(|scope| {
            let daemon = &stage.daemon;
            let asking = scope.spawn(move || match is_add {
                true => daemon.add(&text),
                false => daemon.must(&["project", "start", "-n", "p"]),
            });
            let mut record = Vec::new();
            stage.clock.wait_until(CLIENT_WAITS, "the plugin is called", || {
                record.extend(stage.record());
                Ok(record.iter().any(|line| line.starts_with(begin)))
            })?;
            let ended = stage.daemon.terminate()?;
            ensure!(ended.status == 0, "{ended:?}\n{}", stage.daemon.log());
            println!("a daemon whose plugin hangs in {begin} ended {:?} after SIGTERM", ended.took);
            let asked = asking.join().map_err(|_| anyhow!("the asking thread panicked"))?;
            ensure!(asked.is_err(), "{asked:?}");
            Ok(())
        })?;
    }
    Ok(())
}

pub(crate) fn a_stop_that_never_returns() -> Result<()> {
    let stage = started("", "waits=stop\n")?;
    let said = stage.stop()?;
    ensure!(said.contains("engine x: ") && said.contains("has not returned from stop_task"), "{said}");
    ensure!(
        said.contains("the request is carried out once it does") && !stage.show()?.contains("true"),
        "{said}"
    );
    stage.open_gate()?;
    stage.wait_for_record(&["stop t of x (1)", "free A", "free B"])?;
    stage.start()?;
    goes_on(&stage)?;

    // Deleted, it is gone for everybody, and cleared once it returns.
    let stage = started("", "waits=stop\n")?;
    let said = stage.del(&project())?;
    ensure!(said.contains("has not returned from stop_task"), "{said}");
    ensure!(stage.show()? == "no project exists\n\n");
    stage.record();
    stage.open_gate()?;
    stage.wait_for_record(&["free A", "free B", "clear_task t", "clear_eng x"])?;

    // Nor does it keep the daemon from ending.
    let stage = started("", "waits=stop\n")?;
    let ended = stage.daemon.terminate()?;
    ensure!(ended.status == 0, "{ended:?}\n{}", stage.daemon.log());
    Ok(())
}
