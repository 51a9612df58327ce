//! Memory of control groups moves between the nodes of a machine: what is cold to the slow one, what is hot to the fast one.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use etmem_core::kernel::nodes::{NodeId, NodeMover, NodePages, Place};
use etmem_core::kernel::process::{Pid, ProcessId};
use etmem_linux::mover::numa::Numa;
use etmem_linux::process::table::Processes;
use etmem_linux::root::{ProcRoot, SysRoot};
use etmem_testkit::cgroup::ControlGroup;
use etmem_testkit::clock::WallClock;
use etmem_testkit::daemon::Daemon;
use etmem_testkit::hotset::{HotSet, Options};
use etmem_testkit::nodes;
use etmem_testkit::size::PAGE;
use nix::sys::signal::{Signal, kill};

use crate::inside::{HOT, Inside, LIMIT, MEMORY, kdamonds, read, running, shown};

/// Of what is to move, and of what is to stay.
const MOVED: f64 = 0.95;
const STRAYED: f64 = 0.05;
/// For how long the rest is looked at after it has moved.
const MORE: Duration = Duration::from_secs(15);

const FAST: u16 = 0;
const SLOW: u16 = 1;

/// For 10 intervals of 0.2 s without an access, and at once after one with any: what has moved leaves gaps in the regions of the rest,
/// so that how often they are touched is never the same for long.
const COLD: &str = "min_size=4096\nmax_size=1099511627776\nmin_acc=0\nmax_acc=0\nmin_age=10\nmax_age=100000\naction=migrate_cold\n";
const HOTTER: &str = "min_size=4096\nmax_size=1099511627776\nmin_acc=1\nmax_acc=1000\nmin_age=0\nmax_age=100000\naction=migrate_hot\n";

/// A project with an engine of these lines, and a task for the groups `pattern`. It samples less often than the sample file, as an
/// emulated processor needs long for a page.
fn file(engine: &str, pattern: &str) -> String {
    format!(
        "[project]\nname=p\nscan_type=region\nsample_interval=20000\naggr_interval=200000\nupdate_interval=1000000\n\
         min_nr_regions=10\nmax_nr_regions=500\n[engine]\nproject=p\nname=damon\n{engine}\n\
         [task]\nproject=p\nengine=damon\nname=t\ntype=cgroup\nvalue={pattern}\n"
    )
}

/// A program in a group of its own, of which 16 MiB are hot.
struct Member {
    group: ControlGroup,
    program: HotSet,
    /// Where its hot part begins.
    hot: usize,
}

impl Member {
    fn start(inside: &Inside, path: &str) -> Result<Self> {
        let group = ControlGroup::new(path)?;
        let folder = tempfile::tempdir()?.keep();
        let script = group.starting(&inside.binaries.hotcold.with_file_name("hotset"), &folder)?;
        let program = HotSet::start(&script, Options { memory: MEMORY, hot: HOT, huge: false })?;
        Ok(Self { group, program, hot: 0 })
    }

    /// Has it touch other memory, from `offset` on.
    fn heat(&mut self, offset: usize) -> Result<()> {
        self.hot = offset;
        self.program.heat(offset, HOT)
    }

    fn mover(&self) -> Result<Box<dyn NodePages>> {
        let pid = Pid::new(self.program.pid()).context("pid 0")?;
        let process: ProcessId = Processes::new(ProcRoot::default()).identify(pid)?;
        Ok(Numa::detect(&ProcRoot::default(), &SysRoot::default())?.attach(process)?)
    }

    fn pages(&self) -> Vec<u64> {
        self.program.range().step_by(PAGE).map(|address| address as u64).collect()
    }

    /// Shares of the hot and of the cold part that are on the slow node.
    fn slow(&self) -> Result<(f64, f64)> {
        let mut places = Vec::new();
        // A page that is just on its way is nowhere.
        WallClock::new().wait_until(LIMIT, "no page is on its way", || {
            self.mover()?.where_are(&self.pages(), &mut places)?;
            Ok(places.iter().all(|place| matches!(place, Place::Node(_))))
        })?;
        let hot: Vec<Place> = places.drain(self.hot / PAGE..(self.hot + HOT) / PAGE).collect();
        let share = |places: &[Place]| {
            let slow = places.iter().filter(|place| **place == Place::Node(NodeId(SLOW))).count();
            slow as f64 / places.len() as f64
        };
        Ok((share(&hot), share(&places)))
    }

    /// Stops the program, so that nothing of its memory is touched any more, or lets it go on.
    fn signal(&self, signal: Signal) -> Result<()> {
        let pid = i32::try_from(self.program.pid())?;
        Ok(kill(nix::unistd::Pid::from_raw(pid), signal)?)
    }

    /// Moves all of it to `node`.
    fn place(&self, node: u16) -> Result<()> {
        let moved = self.mover()?.move_to(&self.pages(), NodeId(node))?;
        ensure!(moved.failed() == 0, "{moved:?}");
        Ok(())
    }

    /// What its group has on each node, as the kernel counts it for the group: anonymous pages and those of files.
    fn counted(&self) -> Result<BTreeMap<u16, u64>> {
        let mut sum = BTreeMap::new();
        for line in self.group.text("memory.numa_stat")?.lines() {
            let mut words = line.split(' ');
            if !matches!(words.next(), Some("anon" | "file")) {
                continue;
            }
            for (node, bytes) in words.filter_map(|word| word.strip_prefix('N')?.split_once('=')) {
                *sum.entry(node.parse()?).or_default() += bytes.parse::<u64>()?;
            }
        }
        Ok(sum)
    }
}

/// The paths of the groups that the kernel watches, in their order.
fn watched() -> Result<Vec<String>> {
    let mut paths = Vec::new();
    for number in 0..kdamonds()?.parse::<usize>()? {
        if read(&format!("{number}/state"))? == "on" {
            paths.push(read(&format!("{number}/contexts/0/schemes/0/filters/0/memcg_path"))?);
        }
    }
    paths.sort();
    Ok(paths)
}

fn wait_for_groups(inside: &Inside, daemon: &Daemon, wanted: &[&str]) -> Result<()> {
    let are = || Ok(watched().is_ok_and(|paths| paths == wanted));
    let waited = inside.clock.wait_until(LIMIT, &format!("the groups are {wanted:?}"), are);
    waited.map(drop).with_context(|| format!("{:?}\nlog:\n{}", watched(), daemon.log()))
}

/// Waits until the share of a part of `member` on the slow node is what `done` wants.
fn wait_for(inside: &Inside, daemon: &Daemon, member: &Member, done: fn((f64, f64)) -> bool) -> Result<()> {
    let waited = inside.clock.wait_until(LIMIT, "it moves", || Ok(done(member.slow()?)));
    let took = waited.with_context(|| format!("{:?}\nlog:\n{}", member.slow(), daemon.log()))?;
    inside.say(format!("after {took:?} hot and cold are on the slow node: {:.4?}", member.slow()?));
    Ok(())
}

/// What is set of the one group `path`.
fn values_are_set(path: &str) -> Result<()> {
    let context = format!("{}/contexts/0", running()?.context("no kdamond runs")?);
    for (name, value) in [
        ("operations", "paddr"),
        ("targets/nr_targets", "1"),
        ("schemes/nr_schemes", "1"),
        ("schemes/0/action", "migrate_cold"),
        ("schemes/0/target_nid", "1"),
        ("schemes/0/access_pattern/age/min", "10"),
        ("schemes/0/quotas/bytes", "1073741824"),
        ("schemes/0/quotas/ms", "500"),
        ("schemes/0/filters/nr_filters", "2"),
        ("schemes/0/filters/0/type", "memcg"),
        ("schemes/0/filters/0/matching", "N"),
        ("schemes/0/filters/0/memcg_path", path),
        ("schemes/0/filters/1/type", "young"),
        ("schemes/0/filters/1/matching", "Y"),
    ] {
        let found = read(&format!("{context}/{name}"))?;
        ensure!(found == value, "{name}: {found}, not {value}");
    }
    Ok(())
}

/// The sums of figures over all tasks, at one moment.
fn amounts<const N: usize>(daemon: &Daemon, names: [&str; N]) -> Result<[u64; N]> {
    let shown = shown(daemon)?;
    Ok(names.map(|name| shown.iter().filter_map(|task| task["total"][name].as_u64()).sum()))
}

/// The sum of a figure over the groups of all tasks.
fn of_groups(daemon: &Daemon, name: &str) -> Result<u64> {
    let shown = shown(daemon)?;
    let groups = shown.iter().filter_map(|task| task["last_cycle"]["groups"].as_array()).flatten();
    Ok(groups.filter_map(|group| group["figures"][name].as_u64()).sum())
}

pub(crate) fn cold_goes_down(inside: &Inside) -> Result<()> {
    nodes::without_balancing()?;
    let mut one = Member::start(inside, "work/one")?;
    let bystander = Member::start(inside, "beside")?;
    for member in [&one, &bystander] {
        ensure!(member.slow()? == (0.0, 0.0), "it does not begin on the fast node");
    }
    // All of it is cold.
    bystander.signal(Signal::SIGSTOP)?;
    let daemon = inside.daemon()?;
    daemon.add(&file(&format!("{COLD}node_pair=0,1\nmax_rate=1024m\nmax_cpu=50"), "work/*"))?;
    let said = daemon.must(&["project", "start", "-n", "p"])?;
    ensure!(said.contains("node 0 is fast and node 1 slow"), "{said}");
    wait_for_groups(inside, &daemon, &["/work/one"])?;
    values_are_set("/work/one")?;
    inside.say("the values of the file are set");
    wait_for(inside, &daemon, &one, |(_, cold)| cold >= MOVED)?;
    inside.pass(MORE)?;
    let (hot, cold) = one.slow()?;
    inside.say(format!("hot {hot:.4}, cold {cold:.4}"));
    ensure!(hot <= STRAYED && cold >= MOVED, "hot {hot}, cold {cold}");
    ensure!(bystander.slow()? == (0.0, 0.0), "memory of another group moved: {:?}", bystander.slow()?);
    // What comes later is found, by another task as well, and the first one is watched on, until all of it is cold. The second program
    // is ready before it is watched: what is hot later is idle while the rest is filled.
    let first = running()?;
    one.signal(Signal::SIGSTOP)?;
    let two = Member::start(inside, "later/two")?;
    daemon.add("[task]\nproject=p\nengine=damon\nname=u\ntype=cgroup\nvalue=later/*\n")?;
    let empty = ControlGroup::new("work/empty")?;
    wait_for_groups(inside, &daemon, &["/later/two", "/work/empty", "/work/one"])?;
    empty.remove()?;
    wait_for_groups(inside, &daemon, &["/later/two", "/work/one"])?;
    wait_for(inside, &daemon, &two, |(_, cold)| cold >= MOVED)?;
    wait_for(inside, &daemon, &one, |(hot, cold)| hot >= MOVED && cold >= MOVED)?;
    ensure!(two.slow()?.0 <= STRAYED, "what is hot of the second moved: {:?}", two.slow()?);
    ensure!(running()? == first, "the first group was not watched on");
    ensure!(bystander.slow()? == (0.0, 0.0), "memory of another group moved: {:?}", bystander.slow()?);

    // The figures are what really moved: each task reports what is its own in its next cycle.
    let mut figures = [0; 5];
    let counted = || -> Result<u64> {
        let of = |member: &Member| Ok::<_, anyhow::Error>(member.counted()?.get(&SLOW).copied().unwrap_or(0));
        Ok(of(&one)? + of(&two)?)
    };
    inside.clock.wait_until(LIMIT, "all that moved is reported", || {
        let names = ["tried_bytes", "applied_bytes", "moved_down_bytes", "moved_up_bytes", "moved_bytes"];
        figures = amounts(&daemon, names)?;
        // A page that moved may have been freed since.
        let counted = counted()?;
        Ok(figures[1].abs_diff(counted) <= counted / 50)
    })?;
    let [tried, applied, down, up, out] = figures;
    inside.say(format!("tried {tried}, applied {applied}; the groups have {} on the slow node", counted()?));
    ensure!(applied == down && (up, out) == (0, 0) && tried > applied, "{figures:?}");
    ensure!(of_groups(&daemon, "scanned_bytes")? >= 2 * MEMORY as u64, "the groups show what they have");

    // One that goes leaves the other alone.
    two.program.kill()?;
    inside.clock.wait_until(LIMIT, "the group can be removed", || Ok(two.group.remove().is_ok()))?;
    wait_for_groups(inside, &daemon, &["/work/one"])?;
    ensure!(running()? == first, "the first group was not watched on");
    one.signal(Signal::SIGCONT)?;
    ensure!(one.slow()?.1 >= MOVED && one.program.verify()? == MEMORY);
    daemon.must(&["project", "stop", "-n", "p"])?;
    inside.wait_for_nothing("after a stop")?;
    daemon.terminate()?;
    ended([one, bystander])
}

pub(crate) fn hot_comes_up(inside: &Inside) -> Result<()> {
    nodes::without_balancing()?;
    let mut one = Member::start(inside, "work/one")?;
    let mut bystander = Member::start(inside, "beside")?;
    let daemon = inside.daemon()?;
    daemon.add(&file(&format!("{COLD}node_pair=1,0"), "work/*"))?;
    daemon.must(&["project", "start", "-n", "p"])?;
    wait_for(inside, &daemon, &one, |(_, cold)| cold >= MOVED)?;
    daemon.must(&["project", "del", "-n", "p"])?;
    inside.wait_for_nothing("after project del")?;
    // Other memory becomes hot, where it lies now, and so does that of another group.
    one.heat(MEMORY / 2)?;
    bystander.heat(MEMORY / 2)?;
    bystander.place(SLOW)?;
    ensure!(one.slow()?.0 >= MOVED && bystander.slow()? == (1.0, 1.0), "what is hot is on node {SLOW}");
    let before = one.counted()?.get(&FAST).copied().unwrap_or(0);
    daemon.add(&file(&format!("{HOTTER}node_pair=1,0"), "work/*"))?;
    daemon.must(&["project", "start", "-n", "p"])?;
    wait_for_groups(inside, &daemon, &["/work/one"])?;
    wait_for(inside, &daemon, &one, |(hot, _)| hot <= STRAYED)?;
    inside.pass(MORE)?;
    let (hot, cold) = one.slow()?;
    inside.say(format!("on the slow node: hot {hot:.4}, cold {cold:.4}"));
    // What was hot before is still on the fast node: a third of what is cold now.
    let all_that_was = 1.0 - HOT as f64 / (MEMORY - HOT) as f64;
    ensure!(hot <= STRAYED && cold >= all_that_was - STRAYED, "hot {hot}, cold {cold}");
    ensure!(bystander.slow()? == (1.0, 1.0), "memory of another group moved: {:?}", bystander.slow()?);
    let mut figures = [0; 3];
    let more =
        || -> Result<u64> { Ok(one.counted()?.get(&FAST).copied().unwrap_or(0).saturating_sub(before)) };
    inside.clock.wait_until(LIMIT, "all that moved is reported", || {
        figures = amounts(&daemon, ["moved_up_bytes", "applied_bytes", "moved_down_bytes"])?;
        let more = more()?;
        Ok(figures[0].abs_diff(more) <= more / 50)
    })?;
    let [up, applied, down] = figures;
    inside.say(format!("{up} moved up; the group has {} more on the fast node", more()?));
    ensure!(up == applied && down == 0 && up as f64 >= MOVED * HOT as f64, "{figures:?}");
    ensure!(one.program.verify()? == MEMORY);
    daemon.must(&["project", "del", "-n", "p"])?;
    inside.wait_for_nothing("after project del")?;
    daemon.terminate()?;
    ended([one, bystander])
}

/// At each end, also after `kill -9` and the next start; and while another program has DAMON, nothing is set.
pub(crate) fn taken_back(inside: &Inside) -> Result<()> {
    nodes::without_balancing()?;
    let one = Member::start(inside, "work/one")?;
    let daemon = inside.daemon()?;
    let set = |count: &str| std::fs::write(format!("{}/nr_kdamonds", crate::inside::KDAMONDS), count);
    let text = file(&format!("{COLD}node_pair=0,1"), "work/*");
    let path = daemon.write("all.yaml", &text)?;
    daemon.add(&text)?;
    set("1")?;
    let refused = daemon.etmem(&["project", "start", "-n", "p"])?;
    let said = format!("{}{}", refused.stdout, refused.stderr);
    ensure!(refused.status != 0 && kdamonds()? == "1", "{said}");
    ensure!(said.contains("DAMON is in use by another program"), "{said}");
    set("0")?;
    daemon.must(&["project", "start", "-n", "p"])?;
    wait_for_groups(inside, &daemon, &["/work/one"])?;
    daemon.must(&["obj", "del", "-f", path.to_str().context("a path")?])?;
    inside.wait_for_nothing("after obj del")?;
    daemon.add(&text)?;
    daemon.must(&["project", "start", "-n", "p"])?;
    wait_for_groups(inside, &daemon, &["/work/one"])?;
    daemon.terminate()?;
    ensure!(kdamonds()? == "0", "{} kdamonds are left after SIGTERM", kdamonds()?);
    let daemon = inside.daemon()?;
    daemon.add(&text)?;
    daemon.must(&["project", "start", "-n", "p"])?;
    wait_for_groups(inside, &daemon, &["/work/one"])?;
    daemon.kill()?;
    ensure!(running()?.is_some(), "DAMON ended with the daemon that was killed");
    let next = inside.daemon()?;
    inside.wait_for_nothing("after kill -9 and the next start")?;
    next.terminate()?;
    inside.say("nothing is left");
    ended([one])
}

/// What the machine or the file does not allow is refused, with the line and what to do.
pub(crate) fn refused(inside: &Inside) -> Result<()> {
    let daemon = inside.daemon()?;
    let add = |text: &str| -> Result<String> {
        let path = daemon.write("refused.yaml", text)?;
        let ran = daemon.etmem(&["obj", "add", "-f", path.to_str().context("a path")?])?;
        ensure!(ran.status != 0, "it was taken:\n{text}");
        Ok(format!("{}{}{}", ran.stdout, ran.stderr, daemon.log()))
    };
    let said = add(&file(&format!("{COLD}node_pair=0,7"), "work/*"))?;
    ensure!(said.contains("node_pair=0,7: there is no node 7 with memory; this machine has 0, 1"), "{said}");
    let said = add(&file(COLD, "work/*"))?;
    ensure!(said.contains("node_pair is missing; action=migrate_cold needs it"), "{said}");
    let by_name = file(&format!("{COLD}node_pair=0,1"), "mysqld").replace("type=cgroup", "type=name");
    let said = add(&by_name)?;
    ensure!(said.contains(":24: [task] type=name: must be cgroup with action=migrate_cold"), "{said}");
    ensure!(kdamonds()? == "0");
    daemon.terminate().map(drop)
}

/// Ends the programs, and removes their groups for the next story.
fn ended<const N: usize>(members: [Member; N]) -> Result<()> {
    for Member { group, program, .. } in members {
        program.kill()?;
        WallClock::new().wait_until(LIMIT, "the group can be removed", || Ok(group.remove().is_ok()))?;
    }
    Ok(())
}
