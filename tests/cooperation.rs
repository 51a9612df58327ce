//! Programs that are asked before memory is taken from them, on real memory: `examples/trimming_cache.c` gives back what it is asked for
//! and loses nothing; one that ignores requests loses its cold pages after `ask_wait`; socket and FIFO go with the task.

use std::fs;
use std::io::{BufRead, BufReader, Lines};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use etmem_testkit::daemon::{Daemon, ProjectFile, TaskKind};
use etmem_testkit::machine::Need;
use etmem_testkit::process::{Pipes, Running, run};
use etmem_testkit::size::MIB;
use etmem_testkit::stage::{LIMIT, Stage};
use etmem_testkit::trial::{run_in_turn, trial_or_skip};
use serde_json::Value;

const SWAP: usize = 320 * MIB;
const CACHE: usize = 200 * MIB;
/// What a small program has beside its cache, and the kernel counts late.
const OTHER: usize = 2 * MIB;
/// The test looks before this has passed, and needs a moment for it.
const ASK_WAIT: u64 = 5;
/// Between two cycles: the cache is filled after the first of them, and before the second.
const FILLED: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    let needs = [Need::Root, Need::Bpf, Need::Program("cc"), Need::Swap(SWAP)];
    let story = |story: fn(&Stage) -> Result<()>| move || story(&Stage::with_swap(SWAP)?);
    run_in_turn(vec![
        trial_or_skip("a_cache_that_knows_the_protocol_loses_nothing", &needs, story(gives_back)),
        trial_or_skip("one_that_ignores_it_loses_its_cold_pages_after_ask_wait", &needs, story(ignores)),
        trial_or_skip("socket_and_fifo_go_with_the_task", &[Need::Root, Need::Bpf], files_go),
    ])
}

/// The example, as its head says, under a name that no other process has.
fn built(stage: &Stage) -> Result<PathBuf> {
    let source = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/trimming_cache.c"));
    let program = stage.daemon.folder().join(format!("trim-{}", std::process::id()));
    let mut compiler = Command::new("cc");
    compiler.args(["-Wall", "-Wextra", "-Werror", "-O2", "-o"]).arg(&program).arg(source);
    let ran = run(&mut compiler, LIMIT)?;
    ensure!(ran.status == 0, "{}", ran.stderr);
    Ok(program)
}

/// A running cache.
struct Cache {
    running: Running,
    /// It ends with this.
    _input: std::process::ChildStdin,
    lines: Lines<BufReader<std::process::ChildStdout>>,
    /// Where its memory begins.
    start: u64,
}

impl Cache {
    fn start(program: &Path, watch: &Path) -> Result<Self> {
        let mut command = Command::new(program);
        command.arg((CACHE / MIB).to_string()).env("MEMORY_PRESSURE_WATCH", watch);
        let (running, pipes) = Running::start(command.stdin(Stdio::piped()).stdout(Stdio::piped()))?;
        let Pipes { input, output } = pipes;
        let mut lines = BufReader::new(output.context("no output")?).lines();
        let first = lines.next().context("it said nothing")??;
        let start = first.rsplit_once(" at 0x").context(first.clone())?.1;
        let start = u64::from_str_radix(start, 16)?;
        Ok(Self { running, _input: input.context("no input")?, lines, start })
    }

    /// Bytes of the cache itself that are in swap.
    fn swapped(&self) -> Result<usize> {
        let text = fs::read_to_string(format!("/proc/{}/smaps", self.running.pid()))?;
        let (mut inside, mut swapped, mut seen) = (false, 0, 0);
        for line in text.lines() {
            let range = line.split(' ').next().and_then(|word| word.split_once('-'));
            if let Some((start, end)) = range {
                let (start, end) = (u64::from_str_radix(start, 16)?, u64::from_str_radix(end, 16)?);
                inside = start < self.start + CACHE as u64 && end > self.start;
                seen += usize::from(inside);
            } else if let Some(figure) = line.strip_prefix("Swap:").filter(|_| inside) {
                swapped += figure.trim().trim_end_matches(" kB").parse::<usize>()? << 10;
            }
        }
        ensure!(seen > 0, "the cache is not mapped:\n{text}");
        Ok(swapped)
    }

    /// Bytes that it says that it gave back, as soon as it has ended.
    fn gave_back(self) -> Result<usize> {
        drop(self._input);
        let said = self.lines.map(|line| {
            let line = line?;
            let bytes = line.strip_prefix("gave back ").and_then(|rest| rest.strip_suffix(" bytes"));
            Ok(bytes.context(line.clone())?.parse::<usize>()?)
        });
        said.sum()
    }
}

struct Task<'a> {
    stage: &'a Stage,
    name: &'static str,
}

impl<'a> Task<'a> {
    /// Starts a task on processes called as `program` is.
    fn start(stage: &'a Stage, name: &'static str, program: &Path, lines: &[&str]) -> Result<Self> {
        let lines = [&["T=1", "max_refault=none", "max_rate=none", "ask=yes"][..], lines].concat();
        let target = program.file_name().context("no name")?.to_string_lossy().into_owned();
        let file = ProjectFile { sleep: FILLED, ..ProjectFile::brisk(name) };
        let file = file.task_with("t", TaskKind::Name(target), &lines);
        stage.daemon.add(&file.to_string())?;
        stage.daemon.must(&["project", "start", "-n", name])?;
        ensure!(socket(name).exists() && fifo(name).exists(), "no socket:\n{}", stage.daemon.log());
        Ok(Self { stage, name })
    }

    fn total(&self, figure: &str) -> Result<usize> {
        let text = self.stage.daemon.must(&["task", "show", "-n", self.name, "--json"])?;
        let shown: Value = serde_json::from_str(&text)?;
        Ok(usize::try_from(shown["total"][figure].as_u64().with_context(|| text.clone())?)?)
    }

    fn wait_until(&self, what: &str, mut enough: impl FnMut() -> Result<bool>) -> Result<()> {
        let waited = self.stage.clock.wait_until(LIMIT, what, &mut enough);
        waited.with_context(|| {
            let shown = self.stage.daemon.must(&["task", "show", "-n", self.name]).unwrap_or_default();
            format!("{shown}\nlog:\n{}", self.stage.daemon.log())
        })?;
        Ok(())
    }

    fn end(&self) -> Result<()> {
        self.stage.daemon.must(&["project", "stop", "-n", self.name])?;
        ensure!(!socket(self.name).exists() && !fifo(self.name).exists(), "they stay after the stop");
        self.stage.daemon.must(&["project", "del", "-n", self.name]).map(drop)
    }
}

fn socket(project: &str) -> PathBuf {
    Daemon::state_folder().join("pressure").join(format!("{project}.t"))
}

fn fifo(project: &str) -> PathBuf {
    Daemon::state_folder().join("pressure").join(format!("{project}.t.fifo"))
}

fn gives_back(stage: &Stage) -> Result<()> {
    let program = built(stage)?;
    for (project, watch) in [("by-socket", socket("by-socket")), ("by-fifo", fifo("by-fifo"))] {
        let task = Task::start(stage, project, &program, &[&format!("ask_wait={ASK_WAIT}")])?;
        let cache = Cache::start(&program, &watch)?;
        // What grows meanwhile is not seen to give back as much as it says.
        ensure!(
            stage.daemon.cycles(project)?["t"] <= 1,
            "it took too long to fill the cache:\n{}",
            stage.daemon.log()
        );
        let given_back = || task.total("given_back_bytes");
        task.wait_until("it gives everything back", || Ok(given_back()? >= CACHE - OTHER))?;
        ensure!(cache.swapped()? == 0, "{} bytes of it were paged out", cache.swapped()?);
        let (counted, moved) = (given_back()?, task.total("moved_bytes")?);
        task.end()?;
        let said = cache.gave_back()?;
        println!("{project}: gave back {said} bytes, {counted} counted, {moved} of the rest paged out");
        ensure!(said == CACHE, "it says {said}");
        ensure!(counted.abs_diff(said) <= OTHER, "{counted} counted, {said} said");
        ensure!(moved <= OTHER, "{moved} bytes of a few hundred KiB were paged out");
    }
    Ok(())
}

fn ignores(stage: &Stage) -> Result<()> {
    let program = built(stage)?;
    let wait = format!("ask_wait={ASK_WAIT}");
    let task = Task::start(stage, "ignored", &program, &[&wait])?;
    // Never reads but once, to know when it was asked.
    let mut silent = BufReader::new(UnixStream::connect(socket("ignored"))?);
    silent.get_ref().set_read_timeout(Some(LIMIT))?;
    let cache = Cache::start(&program, Path::new("/dev/null"))?;
    let (mut line, mut wanted) = (String::new(), 0);
    // The first request for a part of the cache: until then nothing of it has left.
    while wanted < OTHER {
        line.clear();
        silent.read_line(&mut line)?;
        wanted = line.trim_end().strip_prefix("wanted_bytes=").context(line.clone())?.parse()?;
        ensure!(cache.swapped()? == 0, "{} bytes left before ask_wait was over", cache.swapped()?);
    }
    task.wait_until("what is cold leaves", || Ok(cache.swapped()? >= CACHE / 100 * 99))?;
    let (given_back, moved) = (task.total("given_back_bytes")?, task.total("moved_bytes")?);
    println!("{moved} bytes paged out, {given_back} given back");
    task.wait_until("the cycle is counted", || Ok(task.total("moved_bytes")? >= CACHE / 100 * 99))?;
    ensure!(task.total("given_back_bytes")? <= OTHER, "{} bytes given back", task.total("given_back_bytes")?);
    task.end()
}

fn files_go() -> Result<()> {
    let stage = Stage::without_swap()?;
    let start = |daemon: &Daemon, name: &str| -> Result<()> {
        let own = TaskKind::Pid(std::process::id());
        daemon.add(&ProjectFile::new(name).task_with("t", own, &["T=1", "ask=yes"]).to_string())?;
        daemon.must(&["project", "start", "-n", name])?;
        ensure!(socket(name).exists() && fifo(name).exists(), "{}", daemon.log());
        Ok(())
    };
    let gone = |name: &str| ensure_gone(&[socket(name), fifo(name)]);
    start(&stage.daemon, "stopped")?;
    stage.daemon.must(&["project", "stop", "-n", "stopped"])?;
    gone("stopped")?;
    // At once, though the thread of the task may not have ended.
    stage.daemon.must(&["project", "start", "-n", "stopped"])?;
    ensure!(socket("stopped").exists());
    stage.daemon.must(&["project", "del", "-n", "stopped"])?;
    gone("stopped")?;
    start(&stage.daemon, "killed")?;
    let other = Daemon::start(stage.binaries)?;
    ensure!(socket("killed").exists(), "another daemon removed what is not left");
    stage.daemon.kill()?;
    ensure!(socket("killed").exists());
    let next = Daemon::start(stage.binaries)?;
    gone("killed")?;
    start(&next, "ended")?;
    ensure!(next.terminate()?.status == 0 && other.terminate()?.status == 0);
    gone("ended")
}

fn ensure_gone(paths: &[PathBuf]) -> Result<()> {
    for path in paths {
        ensure!(!path.exists(), "{} is there", path.display());
    }
    Ok(())
}
