//! The real daemon over a scripted machine with openEuler's modules: it pages out what the script says is cold, and
//! nothing else.

use std::ops::Range;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use etmem_core::kernel::pacer::Pacer;
use etmem_testkit::clock::WallClock;
use etmem_testkit::daemon::{Binaries, Daemon, ProjectFile, TaskKind};
use etmem_testkit::fake::proc::random::{self, Case};
use etmem_testkit::fake::proc::script::{
    Doing, Life, Moment, PAGE, PageSize, Script, ScriptedMapping, ScriptedProcess, Segment, Texture, Touch,
    When,
};
use etmem_testkit::fake::proc::{Call, FakeProc, Fault, File, Planned};
use etmem_testkit::machine::Need;
use etmem_testkit::trial::{run_in_turn, trial_or_skip};

/// Pages go by the task's own rule alone, however many come back.
const PLAIN: &str = "max_refault=none";
/// Nor does it matter how fast they leave.
const FAST: &str = "max_rate=none";

/// How long anything may take that the daemon does in its cycles of a few seconds.
const LIMIT: Duration = Duration::from_secs(60);
/// Where scripted processes begin: far from the machine's own pids.
const FIRST_PID: u32 = 3_000_000;
const START: u64 = 0x7000_0000_0000;
const CASES: u32 = 50;

fn main() -> ExitCode {
    let needs = [Need::Root, Need::FakeProc];
    run_in_turn(vec![
        trial_or_skip("fifty_scripts_lose_their_cold_pages_and_no_others", &needs, fifty_scripts),
        trial_or_skip("the_pages_that_are_out_follow_a_change_of_phase", &needs, phase_change),
        trial_or_skip("faults_end_a_scan_and_not_the_daemon", &needs, faults),
        trial_or_skip("a_process_that_exits_or_replaces_its_program_is_let_go", &needs, exit_and_exec),
        trial_or_skip(
            "only_marked_mappings_lose_pages_where_a_task_asks_for_that",
            &needs,
            only_some_mappings,
        ),
        trial_or_skip("the_swap_cache_is_reclaimed_above_its_high_watermark", &needs, swap_cache),
        trial_or_skip("what_a_task_sees_and_moves_by_is_shown_and_may_be_chosen", &needs, choice),
    ])
}

fn daemon(fake: &FakeProc) -> Result<Daemon> {
    Daemon::start_at(Binaries::build()?, fake.root())
}

fn pages(ranges: &[Range<u64>]) -> u64 {
    ranges.iter().map(|range| (range.end - range.start) / PAGE).sum()
}

/// A case whose pages that were out are not those that should have been.
fn differs(fake: &FakeProc, case: &Case) -> Option<String> {
    let (out, cold) = (fake.ever_out(case.process.pid), case.cold());
    let first =
        || out.iter().find(|range| !cold.contains(range)).or(cold.iter().find(|range| !out.contains(range)));
    (out != cold).then(|| {
        format!(
            "{}: loop={} T={}: {} pages were out instead of {}, first at {:x?}",
            case.process.comm,
            case.looks,
            case.threshold,
            pages(&out),
            pages(&cold),
            first()
        )
    })
}

fn fifty_scripts() -> Result<()> {
    let cases: Vec<Case> = (0..CASES).map(|seed| Case::new(u64::from(seed), FIRST_PID + seed)).collect();
    let processes = cases.iter().map(|case| case.process.clone()).collect();
    let fake = FakeProc::mount(Script::new(processes))?;
    let daemon = daemon(&fake)?;
    for looks in 1..=3 {
        let mut file = ProjectFile { scans: looks, ..ProjectFile::brisk(&format!("loop{looks}")) };
        for case in cases.iter().filter(|case| case.looks == u64::from(looks)) {
            let threshold = format!("T={}", case.threshold);
            file = file.task_with(
                &case.process.comm,
                TaskKind::Pid(case.process.pid),
                &[&threshold, PLAIN, FAST],
            );
        }
        daemon.add(&file.to_string())?;
        daemon.must(&["project", "start", "-n", &file.project])?;
    }
    let clock = WallClock::new();
    let differing = || cases.iter().filter_map(|case| differs(&fake, case)).collect::<Vec<_>>();
    // Three cycles of each show that no other page follows later.
    // One that has no memory of the kind that slide looks at is never scanned, and has no cold pages either.
    let scanned = || cases.iter().filter(|case| !case.cold().is_empty());
    let cycles = || scanned().map(|case| fake.passes(case.process.pid) / case.looks).min().unwrap_or(0);
    let settled = clock.wait_until(3 * LIMIT, "every cold page and no other is out", || {
        // To compare fifty processes takes the scripted machine a while, in which it answers no one.
        let _ = clock.pause(Duration::from_secs(1));
        Ok(cycles() >= 3 && differing().is_empty())
    });
    settled.with_context(|| format!("{:#?}\nlog:\n{}", differing(), daemon.log()))?;
    let before = cycles();
    clock.wait_until(LIMIT, "two more cycles pass", || Ok(cycles() >= before + 2))?;
    ensure!(differing().is_empty(), "after more cycles: {:#?}", differing());
    ensure!(fake.violations().is_empty(), "{:?}", fake.violations());
    let counts: Vec<_> = cases.iter().map(|case| fake.counts(case.process.pid)).collect();
    ensure!(counts.iter().all(|counts| counts.nonsense == 0), "lines that are no address");
    ensure!(
        cases.iter().map(|case| pages(&case.cold())).sum::<u64>() > 50_000,
        "the cases have few cold pages"
    );
    Ok(())
}

fn phase_change() -> Result<()> {
    const LOOKS: u64 = 3;
    const CHANGE: u64 = 8;
    let change = When::Pass(CHANGE);
    let cools = Life::hot().then(change, &Life::cold());
    let warms = Life::cold().then(change, &Life::hot());
    let stripes = Texture::Stripes(vec![(3, cools.clone()), (2, warms.clone())]);
    let segments = vec![
        Segment::solid(1000, warms),
        Segment { pages: 1000, size: PageSize::Base, texture: stripes },
        Segment::solid(1000, Life::hot()),
        Segment::solid(1000, cools),
    ];
    let process = ScriptedProcess::new(FIRST_PID, "phases", vec![ScriptedMapping::private(START, segments)]);
    let cold = |pass| random::cold(&process, Moment { time: Duration::ZERO, pass }, LOOKS, 1);
    let (before, after) = (cold(0), cold(CHANGE));
    ensure!(pages(&before) == 1400 && pages(&after) == 1600);
    let fake = FakeProc::mount(Script::new(vec![process.clone()]))?;
    let daemon = daemon(&fake)?;
    daemon.add(
        &ProjectFile::brisk("p").task_with("t", TaskKind::Pid(FIRST_PID), &["T=1", PLAIN]).to_string(),
    )?;
    daemon.must(&["project", "start", "-n", "p"])?;
    let clock = WallClock::new();
    for (name, want, last) in [("first", before, CHANGE - 1), ("second", after, CHANGE + 2 * LOOKS - 1)] {
        let waited = clock.wait_until(LIMIT, "the cold pages of this phase and no others are out", || {
            Ok(fake.out(FIRST_PID) == want)
        });
        waited.with_context(|| format!("{name} phase, log:\n{}", daemon.log()))?;
        let pass = fake.passes(FIRST_PID);
        ensure!(pass <= last, "{name} phase: only in pass {pass}, two cycles would have been over in {last}");
    }
    // What is touched all the time was out at no time.
    let steady = START + 2000 * PAGE..START + 3000 * PAGE;
    let wrong =
        fake.ever_out(FIRST_PID).into_iter().find(|out| out.start < steady.end && out.end > steady.start);
    ensure!(wrong.is_none(), "{wrong:x?}");
    Ok(())
}

fn simple(pid: u32) -> ScriptedProcess {
    let beats = Life::of(Doing::Present { touch: Touch::Beats { of: 1, on: 1 }, writes: true });
    let segments = vec![Segment::solid(500, Life::cold()), Segment::solid(500, beats)];
    ScriptedProcess::new(pid, "simple", vec![ScriptedMapping::private(START, segments)])
}

fn cold_of_simple() -> Vec<Range<u64>> {
    one(START..START + 500 * PAGE)
}

fn faults() -> Result<()> {
    let faults = [
        ("EINTR", Call::Read, Fault::Errno(4)),
        ("EFAULT", Call::Read, Fault::Errno(14)),
        ("EBUSY", Call::Open, Fault::Errno(16)),
        ("nothing", Call::Read, Fault::Nothing),
        ("short", Call::Read, Fault::Short(20)),
        ("torn", Call::Read, Fault::Torn(5)),
        ("garbage", Call::Read, Fault::Garbage(1)),
        ("short write", Call::Write, Fault::Short(100)),
        ("write EINTR", Call::Write, Fault::Errno(4)),
        ("write EFAULT", Call::Write, Fault::Errno(14)),
    ];
    let pids = FIRST_PID..FIRST_PID + u32::try_from(faults.len())?;
    let fake = FakeProc::mount(Script::new(pids.clone().map(simple).collect()))?;
    for (pid, (_, call, fault)) in pids.clone().zip(faults) {
        let file = if call == Call::Write { File::SwapPages } else { File::IdlePages };
        // The first look at the processes is for finding out whether the module is there: it may not fail.
        let after = u64::from(call == Call::Open && pid == FIRST_PID);
        fake.plan(Planned { pid, file, call, after, times: 1, fault });
    }
    let daemon = daemon(&fake)?;
    let mut project = ProjectFile::brisk("p");
    for pid in pids.clone() {
        project = project.task(&format!("t{pid}"), TaskKind::Pid(pid));
    }
    daemon.add(&project.to_string())?;
    daemon.must(&["project", "start", "-n", "p"])?;
    for (pid, (name, _, _)) in pids.zip(faults) {
        // Whatever went wrong in one cycle, the next puts it right, and no page that is touched has gone.
        let waited = WallClock::new()
            .wait_until(LIMIT, "the cold pages are out", || Ok(fake.out(pid) == cold_of_simple()));
        waited.with_context(|| format!("{name}: {:?}, log:\n{}", fake.counts(pid), daemon.log()))?;
        ensure!(fake.ever_out(pid) == cold_of_simple(), "{name}: {:x?}", fake.ever_out(pid));
    }
    ensure!(daemon.is_running()? && fake.violations().is_empty(), "{:?}", fake.violations());
    Ok(())
}

fn exit_and_exec() -> Result<()> {
    let exits = ScriptedProcess { exits: Some(When::Pass(2)), ..simple(FIRST_PID) };
    let fake = FakeProc::mount(Script::new(vec![exits, simple(FIRST_PID + 1), simple(FIRST_PID + 2)]))?;
    let daemon = daemon(&fake)?;
    let mut project = ProjectFile::brisk("p");
    for pid in FIRST_PID..FIRST_PID + 3 {
        project = project.task(&format!("t{pid}"), TaskKind::Pid(pid));
    }
    daemon.add(&project.to_string())?;
    daemon.must(&["project", "start", "-n", "p"])?;
    let clock = WallClock::new();
    // In the middle of its first cycle it replaces its program by one that has other pages.
    clock.wait_until(LIMIT, "the scan is under way", || Ok(fake.passes(FIRST_PID + 1) >= 1))?;
    let moved = START + 100 * PAGE;
    fake.exec(FIRST_PID + 1, vec![ScriptedMapping::private(moved, vec![Segment::solid(200, Life::cold())])]);
    for (pid, want) in [(FIRST_PID + 1, one(moved..moved + 200 * PAGE)), (FIRST_PID + 2, cold_of_simple())] {
        let waited = clock.wait_until(LIMIT, "the cold pages are out", || Ok(fake.out(pid) == want));
        waited.with_context(|| format!("{pid}: {:x?}, log:\n{}", fake.out(pid), daemon.log()))?;
    }
    ensure!(fake.ever_out(FIRST_PID).is_empty(), "what was seen of a process that is gone was acted upon");
    ensure!(daemon.is_running()? && fake.violations().is_empty(), "{:?}", fake.violations());
    Ok(())
}

fn only_some_mappings() -> Result<()> {
    let cold = || vec![Segment::solid(300, Life::cold())];
    let mapping = |number: u64| START + number * 1000 * PAGE;
    let process = |pid| {
        let plain = ScriptedMapping::private(mapping(0), cold());
        let marked = ScriptedMapping { marked: true, ..ScriptedMapping::private(mapping(1), cold()) };
        let read_only =
            ScriptedMapping { permissions: "r--p".into(), ..ScriptedMapping::private(mapping(2), cold()) };
        ScriptedProcess::new(pid, "marks", vec![plain, marked, read_only])
    };
    let fake = FakeProc::mount(Script::new((0..3).map(|number| process(FIRST_PID + number)).collect()))?;
    let daemon = daemon(&fake)?;
    let [marked, flagged, all] = [0, 1, 2].map(|number| FIRST_PID + number);
    let project = ProjectFile::brisk("p")
        .task_with("marked", TaskKind::Pid(marked), &["T=1", "swap_flag=yes"])
        .task_with("flagged", TaskKind::Pid(flagged), &["T=1", "vm_flags=rd wr"])
        .task("all", TaskKind::Pid(all));
    daemon.add(&project.to_string())?;
    daemon.must(&["project", "start", "-n", "p"])?;
    let place = |number| mapping(number)..mapping(number) + 300 * PAGE;
    let clock = WallClock::new();
    for (pid, numbers) in [(marked, &[1][..]), (flagged, &[0, 1]), (all, &[0, 1, 2])] {
        let want: Vec<_> = numbers.iter().copied().map(place).collect();
        let waited = clock.wait_until(LIMIT, "the cold pages are out", || Ok(fake.out(pid) == want));
        waited.with_context(|| format!("{pid}: {:x?}, log:\n{}", fake.out(pid), daemon.log()))?;
        let passes = fake.passes(pid);
        clock.wait_until(LIMIT, "another cycle passes", || Ok(fake.passes(pid) >= passes + 3))?;
        ensure!(fake.ever_out(pid) == want, "{pid}: {:x?}", fake.ever_out(pid));
    }
    Ok(())
}

fn swap_cache() -> Result<()> {
    let script = Script::new(vec![simple(FIRST_PID)]);
    let percent = script.memory / 100;
    let fake = FakeProc::mount(script)?;
    let daemon = daemon(&fake)?;
    let marks = ["swapcache_high_wmark=5", "swapcache_low_wmark=3"].map(str::to_owned);
    let project = ProjectFile { extra: marks.into(), ..ProjectFile::brisk("p") };
    daemon.add(&project.task("t", TaskKind::Pid(FIRST_PID)).to_string())?;
    fake.set_swap_cached(5 * percent);
    daemon.must(&["project", "start", "-n", "p"])?;
    let clock = WallClock::new();
    clock.wait_until(LIMIT, "two cycles pass", || Ok(fake.passes(FIRST_PID) >= 7))?;
    ensure!((fake.watermarks(), fake.reclaims()) == (None, 0), "at the watermark nothing is reclaimed");
    fake.set_swap_cached(6 * percent);
    let waited = clock.wait_until(LIMIT, "the swap cache is reclaimed", || Ok(fake.reclaims() > 0));
    waited.with_context(|| daemon.log())?;
    ensure!(fake.watermarks() == Some((3, 5)), "{:?}", fake.watermarks());
    ensure!(fake.reclaim_ends() == 0, "it is reclaimed as long as the task runs");
    daemon.must(&["project", "stop", "-n", "p"])?;
    clock
        .wait_until(LIMIT, "the reclaim is ended", || Ok(fake.reclaim_ends() == 1))
        .with_context(|| daemon.log())?;
    // A daemon that is killed leaves it on, and the next one takes it back.
    daemon.must(&["project", "start", "-n", "p"])?;
    fake.set_swap_cached(6 * percent);
    let before = fake.reclaims();
    clock.wait_until(LIMIT, "the swap cache is reclaimed again", || Ok(fake.reclaims() > before))?;
    daemon.kill()?;
    let next = self::daemon(&fake)?;
    // It can be connected to a moment before.
    let ended = clock.wait_until(LIMIT, "the reclaim is ended again", || Ok(fake.reclaim_ends() == 2));
    ended.with_context(|| format!("{} ends, log:\n{}", fake.reclaim_ends(), next.log()))?;
    next.wait_for_line(LIMIT, "it says so", |line| line.contains("cannot tell what they were before"))?;
    // Records are files; the folders of what is scanned and of what tasks know stay.
    let is_record = |entry: &std::fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_file());
    let left = || Ok(std::fs::read_dir(Daemon::state_folder())?.flatten().filter(is_record).count() == 0);
    clock.wait_until(LIMIT, "nothing is left to be taken back", left)?;
    std::fs::remove_dir_all(Daemon::state_folder())?;
    Ok(())
}

fn choice() -> Result<()> {
    let fake = FakeProc::mount(Script::new(vec![simple(FIRST_PID)]))?;
    let daemon = daemon(&fake)?;
    let start = |name: &str, lines: &[&str]| -> Result<String> {
        daemon.add(&ProjectFile::brisk(name).task_with("t", TaskKind::Pid(FIRST_PID), lines).to_string())?;
        let started = daemon.etmem(&["project", "start", "-n", name])?;
        Ok(format!("{}{}", started.stdout, daemon.must(&["project", "show", "-n", name, "--verbose"])?))
    };
    let auto = start("auto", &["T=1"])?;
    let want = "task t: tracker etmem (tracker=auto takes it where its module is loaded), mover etmem (mover=auto \
                takes it where its module is loaded)\n";
    ensure!(auto.ends_with(want), "{auto}");
    ensure!(daemon.log().contains("probe etmem (tracker=auto"), "{}", daemon.log());
    ensure!(
        start("named", &["T=1", "tracker=etmem", "mover=etmem"])?
            .contains("tracker etmem (as tracker=etmem asks)")
    );
    // System calls are not about scripted processes: what is asked for is refused, and nothing else is taken.
    let refused = start("bpf", &["T=1", "tracker=bpf"])?;
    ensure!(
        refused.contains("error: etmemd has internal error") && refused.contains("not a procfs"),
        "{refused}"
    );
    ensure!(refused.ends_with("task t: not started\n"), "{refused}");
    Ok(())
}

/// The only run.
fn one(range: Range<u64>) -> Vec<Range<u64>> {
    std::iter::once(range).collect()
}
