//! What `etmem survey` says in ten minutes against what is so, and what the configuration that it prints does in the ten minutes after:
//! for a program whose truth is known, and for a redis-server of whose keys one in twenty is read.

use std::path::Path;
use std::process::{ExitCode, Stdio};
use std::sync::mpsc::{self, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use etmem_core::kernel::pacer::Pacer;
use etmem_testkit::clock::WallClock;
use etmem_testkit::machine::Need;
use etmem_testkit::pagemap::status_bytes;
use etmem_testkit::process::Running;
use etmem_testkit::redis::{Keys, Server};
use etmem_testkit::size::{MIB, show};
use etmem_testkit::stage::{LIMIT, Stage};
use etmem_testkit::swap::zram_used;
use etmem_testkit::trial::{for_soak, run_in_turn, trial_or_skip};
use etmem_testkit::workload::{Options, Workload};
use serde_json::Value;

const SWAP: usize = 1200 * MIB;
const MINUTE: Duration = Duration::from_secs(60);
/// How long each survey is, and how long its configuration runs.
const MINUTES: u32 = 10;
/// Share of a class, and of what is saved, that a survey may be off.
const CLASS: usize = 50;
const SAVED: f64 = 0.05;
/// By how many percent of the working set a minute the forecast of refaults may be off.
const REFAULTS: f64 = 0.05;
/// Most of a processor that it takes.
const PROCESSOR: f64 = 0.02;
/// As of the test `redis`.
const KEYS: Keys = Keys { count: 60_000, value_bytes: 10 * 1024 };
/// One key in this number is read: 5 %.
const READ_EVERY: usize = 20;

fn main() -> ExitCode {
    let needs = [Need::Root, Need::Bpf, Need::Swap(SWAP)];
    let redis = [Need::Root, Need::Bpf, Need::Swap(SWAP), Need::Program("redis-server")];
    let story = |story: fn(&Stage) -> Result<()>| move || story(&Stage::with_swap(SWAP)?);
    run_in_turn(vec![
        trial_or_skip(&for_soak("a_survey_is_right_and_keeps_its_word", 22), &needs, story(known))
            .with_ignored_flag(true),
        trial_or_skip(&for_soak("it_does_so_for_redis", 22), &redis, story(redis_server))
            .with_ignored_flag(true),
    ])
}

/// 128 MiB are hot, 128 MiB touched each two minutes, the rest never: two processes of one program.
fn known(stage: &Stage) -> Result<()> {
    let name = format!("survey{}", std::process::id());
    let program = stage.workload_named(&name)?;
    let hot = Workload::start(&program, &Options::gentle(128 * MIB, 128 * MIB))?;
    let warm = Workload::start(&program, &Options::gentle(896 * MIB, 128 * MIB))?;
    let pids = [hot.pid(), warm.pid()];
    let warm = Warm::start(warm)?;
    let survey = Survey::of(stage, &["-N", &name])?;
    for (age, want) in [(0, 896), (1, 896), (2, 896), (3, 768), (4, 768), (5, 768)] {
        let found = &survey.program["ages"][age];
        let idle = bytes(&found["idle_bytes"])?;
        println!("idle for {} s: {} of {want} MiB", found["age_seconds"], show(idle));
        ensure!(idle.abs_diff(want * MIB) <= 1024 * MIB / CLASS, "{:#}", survey.program);
    }
    let kept = survey.keeps_its_word(stage, &pids);
    warm.stop()?;
    kept
}

fn redis_server(stage: &Stage) -> Result<()> {
    let server = Server::start(stage.daemon.folder())?;
    let mut client = server.connect()?;
    KEYS.set(&mut client)?;
    // 3,000 keys, each once in six seconds or more.
    let reader = KEYS.read_over_and_over(server.connect()?, READ_EVERY, Duration::from_millis(2));
    let pid = server.pid();
    let survey = Survey::of(stage, &["-p", &pid.to_string()])?;
    // Each value lies in three pages, or four.
    let read = KEYS.count / READ_EVERY * 4 * 4096;
    let (resident, idle) = (status_bytes(pid, "VmRSS")?, bytes(&survey.best()["idle_bytes"])?);
    println!("{} of {} are read, {} idle", show(read), show(resident), show(idle));
    ensure!(idle <= resident && idle + read * 2 >= resident, "{:#}", survey.program);
    let kept = survey.keeps_its_word(stage, &[pid]);
    ensure!(reader.stop()? >= u64::from(MINUTES), "the keys were not read");
    kept?;
    KEYS.check(&mut client)
}

/// A program whose warm pages are touched each two minutes.
struct Warm {
    thread: JoinHandle<Result<()>>,
    stop: Sender<()>,
}

impl Warm {
    fn start(mut workload: Workload) -> Result<Self> {
        workload.idle()?;
        let (stop, told) = mpsc::channel();
        let thread = thread::spawn(move || {
            // At the end of the survey they have been idle for 85 s at least.
            let (mut wait, clock) = (MINUTE / 2, WallClock::new());
            while told.recv_timeout(wait).is_err() {
                workload.touch()?;
                let _ = clock.pause(Duration::from_secs(4));
                workload.idle()?;
                wait = MINUTE * 2 - Duration::from_secs(4);
            }
            Ok(())
        });
        Ok(Self { thread, stop })
    }

    fn stop(self) -> Result<()> {
        // It may have ended with an error, which joining returns.
        let _ = self.stop.send(());
        self.thread.join().map_err(|_| anyhow!("the thread panicked"))?
    }
}

/// What it said of a program.
struct Survey {
    program: Value,
}

impl Survey {
    /// Lasts ten minutes.
    fn of(stage: &Stage, target: &[&str]) -> Result<Self> {
        let mut command = stage.etmem(&["survey", "--json", "--for", &format!("{MINUTES}m")]);
        command.args(target);
        let (running, pipes) = Running::start(command.stdout(Stdio::piped()))?;
        let text = std::io::read_to_string(pipes.output.context("no output")?)?;
        running.wait(LIMIT)?;
        let said: Value = serde_json::from_str(&text).with_context(|| text.clone())?;
        let used = number(&said["seconds"])? / number(&said["watched_seconds"])?;
        println!("it took {:.2} % of a processor", used * 100.0);
        ensure!(used <= PROCESSOR, "{said:#}");
        let [program] = &said["programs"].as_array().context("no programs")?[..] else {
            anyhow::bail!("not one program: {said:#}");
        };
        Ok(Self { program: program.clone() })
    }

    fn best(&self) -> &Value {
        &self.program["best"]
    }

    /// Runs the configuration that it printed, and compares what that saves and brings back with what it forecast.
    fn keeps_its_word(&self, stage: &Stage, pids: &[u32]) -> Result<()> {
        let text = self.program["configuration"].as_str().with_context(|| format!("{:#}", self.program))?;
        let project = text.lines().find_map(|line| line.strip_prefix("name=")).context("no name")?;
        let zram = Path::new("/sys/block/zram0/mm_stat").exists();
        let used = || if zram { zram_used() } else { Ok(0) };
        let swapped = || -> Result<usize> { pids.iter().map(|pid| status_bytes(*pid, "VmSwap")).sum() };
        let (used_before, swapped_before) = (used()?, swapped()?);
        stage.daemon.add(text)?;
        stage.daemon.must(&["project", "start", "-n", project])?;
        for _ in 0..MINUTES {
            stage.pass(MINUTE)?;
            println!("{} out", show(swapped()?.saturating_sub(swapped_before)));
        }
        let out = swapped()?.saturating_sub(swapped_before);
        let saved = out as f64 - (used()? as f64 - used_before as f64);
        let shown: Value =
            serde_json::from_str(&stage.daemon.must(&["task", "show", "-n", project, "--json"])?)?;
        stage.daemon.must(&["project", "stop", "-n", project])?;
        let working_set = number(&self.program["working_set_bytes"])?;
        let back = number(&shown["total"]["came_back_bytes"])? * 100.0 / working_set / f64::from(MINUTES);
        let forecast = number(&self.best()["percent_per_minute"])?;
        let (want, told) =
            (number(&self.best()["saved_bytes"])?, number(&shown["last_cycle"]["saved_bytes"])?);
        println!(
            "saved {saved:.0}, by the task {told:.0}, forecast {want:.0}; refaulted {back:.3} % a minute, forecast {forecast:.3}"
        );
        ensure!((saved / want - 1.0).abs() <= SAVED, "{:#} {shown:#}", self.program);
        ensure!((back - forecast).abs() <= REFAULTS, "{:#} {shown:#}", self.program);
        Ok(())
    }
}

fn bytes(value: &Value) -> Result<usize> {
    let bytes = value.as_u64().with_context(|| value.to_string())?;
    Ok(usize::try_from(bytes)?)
}

fn number(value: &Value) -> Result<f64> {
    value.as_f64().with_context(|| value.to_string())
}
