//! Many clients at once, and those that make others wait: silent ones, slow ones, and ones that never read.
//!
//! How long answers take is printed and not judged. What is judged is an order: everybody has been answered before the
//! deadline of any client that holds a slot.

use std::fs;
use std::process::ExitCode;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use etmem_core::kernel::pacer::Pacer;
use etmem_testkit::clock::WallClock;
use etmem_testkit::daemon::{Binaries, Daemon, ProjectFile, TaskKind};
use etmem_testkit::machine::Need;
use etmem_testkit::original::{ANSWER_LIMIT, Line, OriginalClient};
use etmem_testkit::size::MIB;
use etmem_testkit::trial::{run_side_by_side, trial_or_skip};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

const LIMIT: Duration = Duration::from_secs(30);
const SILENT: usize = 200;
const TRICKLING: usize = 50;
const ASKING: usize = 750;
/// More than the daemon serves at once.
const CROWD: usize = 700;
/// Those who ask one after the other while others make them wait.
const IN_TURN: usize = 50;
/// How often a test is tried on a machine that is too busy to answer anybody before a deadline.
const TRIES: usize = 3;
/// Descriptors this program needs at most, its own and cargo's included.
const DESCRIPTORS: u64 = 2200;
/// What the daemon says to a client whose deadline has passed.
const AT_THE_DEADLINE: &[u8] = b"error: invalid parameters\nthe request was not complete after 10 s\xfe";
/// What may stay of a load that is over: pages of the heap where something lives among what was freed. While it lasts
/// it takes 2 MiB and more; a leak of 525 bytes a client would be too much.
const KEPT: usize = MIB / 2;

fn main() -> ExitCode {
    let root = [Need::Root];
    // Each has a daemon of its own, and waits for that one's deadlines.
    run_side_by_side(
        3,
        vec![
            trial_or_skip("a_thousand_at_once_of_whom_a_quarter_hold_their_places", &root, thousand),
            trial_or_skip("more_silent_clients_than_places_delay_nobody", &root, crowd),
            trial_or_skip("clients_that_never_read_delay_nobody", &root, never_read),
        ],
    )
}

/// A daemon, and descriptors enough for all its clients.
fn daemon() -> Result<Daemon> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft < DESCRIPTORS {
        ensure!(
            hard >= DESCRIPTORS,
            "this takes {DESCRIPTORS} descriptors, and the limit is {hard}: ulimit -Hn"
        );
        setrlimit(Resource::RLIMIT_NOFILE, DESCRIPTORS, hard)?;
    }
    Daemon::start(Binaries::build()?)
}

/// What the daemon holds: descriptors, and bytes of anonymous memory.
#[derive(Debug, Clone, Copy)]
struct Held {
    descriptors: usize,
    memory: usize,
}

impl Held {
    fn by(daemon: &Daemon) -> Result<Self> {
        let descriptors = fs::read_dir(format!("/proc/{}/fd", daemon.pid()))?.count();
        Ok(Self { descriptors, memory: anonymous_bytes(daemon.pid())? })
    }

    /// After some requests, which is when all that is made once has been made.
    fn once_warm(daemon: &Daemon) -> Result<Self> {
        for _ in 0..20 {
            OriginalClient::ask(daemon.socket(), &Line::show_all().bytes())?;
        }
        Self::by(daemon)
    }

    /// Waits until no more descriptors are held than before, and no more memory but for `KEPT`.
    fn is_back(self, daemon: &Daemon) -> Result<()> {
        let mut now = self;
        let waited =
            WallClock::new().wait_until(LIMIT, "the daemon lets go of what its clients took", || {
                now = Self::by(daemon)?;
                Ok(now.descriptors <= self.descriptors && now.memory <= self.memory + KEPT)
            });
        waited.with_context(|| format!("{self:?} became {now:?}"))?;
        eprintln!("  the daemon's memory: {} KiB before, {} KiB after", self.memory >> 10, now.memory >> 10);
        Ok(())
    }
}

/// Anonymous memory, page by page: what `status` says may be off by 32 pages a processor (`percpu_counter`).
fn anonymous_bytes(pid: u32) -> Result<usize> {
    let path = format!("/proc/{pid}/smaps_rollup");
    let text = fs::read_to_string(&path)?;
    let line = text.lines().find_map(|line| line.strip_prefix("Anonymous:")?.strip_suffix("kB"));
    Ok(line.with_context(|| format!("{path}: no Anonymous"))?.trim().parse::<usize>()? << 10)
}

/// A question and its whole answer.
type Exchange = (Vec<u8>, Vec<u8>);

/// A right answer of each kind: text, a refusal, and a line that is none.
fn exchanges(daemon: &Daemon) -> Result<Vec<Exchange>> {
    daemon.add("[project]\nname=p\nloop=1\ninterval=1\nsleep=1\n")?;
    let shown = b"project: p\n\
                  number   type     value            name             engine           started \n\xff";
    Ok(vec![
        (Line::show_all().bytes(), shown.to_vec()),
        (Line::project(4, "q").bytes(), b"project: project q is not existed\n\n\xff".to_vec()),
        (
            Line::project(3, "p").bytes(),
            b"error: project has been stopped\nproject p does not run\xfe".to_vec(),
        ),
        (
            Line::project(2, "-").bytes(),
            b"error: invalid parameters\nproj_name is absent, and \"project start\" needs it\xfe".to_vec(),
        ),
    ])
}

/// Asks, and compares; how long it took from before the connection to the end of the answer.
fn ask(socket: &str, (line, want): &Exchange) -> Result<Duration> {
    let clock = WallClock::new();
    let got = OriginalClient::ask(socket, line).with_context(|| format!("{}", line.escape_ascii()))?;
    let took = clock.now();
    ensure!(got.0 == *want, "{}: {}", line.escape_ascii(), got.0.escape_ascii());
    Ok(took)
}

/// The slowest of as many that all ask at the same moment.
fn all_at_once(daemon: &Daemon, exchanges: &[Exchange], clients: usize) -> Result<Duration> {
    let start = Arc::new(Barrier::new(clients));
    let mut threads = Vec::new();
    for exchange in exchanges.iter().cycle().take(clients) {
        let (start, socket, exchange) = (Arc::clone(&start), daemon.socket().to_owned(), exchange.clone());
        threads.push(thread::Builder::new().stack_size(64 << 10).spawn(move || {
            start.wait();
            ask(&socket, &exchange)
        })?);
    }
    let mut slowest = Duration::ZERO;
    for thread in threads {
        slowest = slowest.max(thread.join().map_err(|_| anyhow!("a client panicked"))??);
    }
    Ok(slowest)
}

fn tell(what: &str, slowest: Duration) {
    eprintln!("  {what}: the slowest answer took {:.1} ms", slowest.as_secs_f64() * 1e3);
}

/// What came of a try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tried {
    /// When everybody had been answered, no client that held a slot had met its deadline: so no answer waited for that.
    InTime,
    /// A deadline had passed by then: the daemon made others wait for it, or the machine is very busy.
    TooLate,
}

impl Tried {
    fn before(a_deadline_has_passed: bool) -> Self {
        if a_deadline_has_passed { Self::TooLate } else { Self::InTime }
    }
}

/// One of some tries has to be in time. None is for a daemon that has others wait for a deadline.
fn answered_in_time(what: &str, mut attempt: impl FnMut() -> Result<Tried>) -> Result<()> {
    for _ in 0..TRIES {
        if attempt()? == Tried::InTime {
            return Ok(());
        }
        eprintln!("  {what}: a deadline passed before the last answer");
    }
    bail!(
        "{what}: in each of {TRIES} tries a silent client's deadline passed before all others were answered"
    )
}

/// Whether one of them has been turned away since its request was not complete in time.
fn met_a_deadline(clients: &[OriginalClient]) -> Result<bool> {
    for client in clients {
        if client.so_far()? == AT_THE_DEADLINE {
            return Ok(true);
        }
    }
    Ok(false)
}

/// As many clients that have connected and sent nothing.
fn silent(daemon: &Daemon, clients: usize) -> Result<Vec<OriginalClient>> {
    (0..clients).map(|_| Ok(OriginalClient::connect(daemon.socket())?)).collect()
}

/// Reads what the daemon says, until it closes, to those who said nothing or too little.
fn are_turned_away(clients: Vec<OriginalClient>) -> Result<()> {
    let (mut at_the_deadline, mut for_others) = (0, 0);
    for client in clients {
        let answer = client.answer().context("a client that says nothing is kept")?.0;
        match answer.as_slice() {
            AT_THE_DEADLINE => at_the_deadline += 1,
            b"error: invalid parameters\nthe request was not complete when others needed the slot: \
              too many clients at once\xfe" => for_others += 1,
            other => bail!("turned away with {}", other.escape_ascii()),
        }
    }
    eprintln!("  turned away: {at_the_deadline} at the deadline, {for_others} to make room");
    Ok(())
}

/// Sends a byte a second from each, for as long as anybody could wait for them.
fn trickle(mut clients: Vec<OriginalClient>) -> Result<Vec<OriginalClient>> {
    let clock = WallClock::new();
    let line = Line::show_all().bytes();
    for byte in line.iter().take(usize::try_from(ANSWER_LIMIT.as_secs())?) {
        for client in &mut clients {
            client.send(std::slice::from_ref(byte))?;
        }
        let _ = clock.pause(Duration::from_secs(1));
    }
    Ok(clients)
}

fn thousand() -> Result<()> {
    let daemon = daemon()?;
    let exchanges = exchanges(&daemon)?;
    let before = Held::once_warm(&daemon)?;
    answered_in_time("a thousand clients", || {
        let quiet = silent(&daemon, SILENT)?;
        let slow = silent(&daemon, TRICKLING)?;
        let slow = thread::spawn(move || trickle(slow));
        let slowest = all_at_once(&daemon, &exchanges, ASKING)?;
        tell("750 among 200 silent and 50 trickling clients", slowest);
        let in_turn = one_after_the_other(&daemon, &exchanges)?;
        tell("50 in turn among the same", in_turn);
        let tried = Tried::before(met_a_deadline(&quiet)?);
        are_turned_away(quiet)?;
        are_turned_away(slow.join().map_err(|_| anyhow!("the trickling clients panicked"))??)?;
        Ok(tried)
    })?;
    before.is_back(&daemon)?;
    daemon.must(&["project", "show"])?;
    Ok(())
}

/// The slowest of some that ask one after the other.
fn one_after_the_other(daemon: &Daemon, exchanges: &[Exchange]) -> Result<Duration> {
    let mut slowest = Duration::ZERO;
    for exchange in exchanges.iter().cycle().take(IN_TURN) {
        slowest = slowest.max(ask(daemon.socket(), exchange)?);
    }
    Ok(slowest)
}

fn crowd() -> Result<()> {
    let daemon = daemon()?;
    let exchanges = exchanges(&daemon)?;
    let before = Held::once_warm(&daemon)?;
    answered_in_time("a crowd of silent clients", || {
        let quiet = silent(&daemon, CROWD)?;
        tell("50 in turn after 700 silent clients", one_after_the_other(&daemon, &exchanges)?);
        let tried = Tried::before(met_a_deadline(&quiet)?);
        are_turned_away(quiet)?;
        Ok(tried)
    })?;
    before.is_back(&daemon)
}

fn never_read() -> Result<()> {
    let daemon = daemon()?;
    // Some 270 KB of text, which is more than a socket takes (212,992 bytes by default, net.core.wmem_default).
    let mut projects = String::new();
    for project in 0..100 {
        let mut file = ProjectFile::new(&format!("p{project}"));
        for task in 0..32 {
            file = file.task(&format!("t{task}"), TaskKind::Name(String::from("no-such-comm")));
        }
        projects += &file.to_string();
    }
    daemon.add(&projects)?;
    let whole = OriginalClient::ask(daemon.socket(), &Line::show_all().bytes())?;
    ensure!(whole.0.len() > 250_000 && whole.0.ends_with(b"\xff"), "{} bytes", whole.0.len());
    let exchange = (Line::project(4, "q").bytes(), b"project: project q is not existed\n\n\xff".to_vec());
    let before = Held::once_warm(&daemon)?;

    answered_in_time("clients that never read", || {
        let mut deaf = silent(&daemon, IN_TURN)?;
        for client in &mut deaf {
            client.send(&Line::show_all().bytes())?;
        }
        let slowest = one_after_the_other(&daemon, std::slice::from_ref(&exchange))?;
        tell("50 in turn among 50 who never read", slowest);
        // At its deadline the daemon closes the connection to such a client.
        let all_are_held = Held::by(&daemon)?.descriptors >= before.descriptors + IN_TURN;
        before.is_back(&daemon)?;
        for client in deaf {
            let part = client.answer()?.0;
            ensure!(part.len() < whole.0.len() && whole.0.starts_with(&part), "{} bytes", part.len());
        }
        Ok(Tried::before(!all_are_held))
    })
}
