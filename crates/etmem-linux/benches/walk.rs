//! How long the page walk takes over 1 GiB of present base pages of our own, all alike: walk and decode together, and
//! clearing apart. `make bench` has the same of pages that differ. `cargo bench -p etmem-linux`; as root.

use etmem_core::address::AddressRange;
use etmem_core::kernel::pacer::Pacer;
use etmem_core::kernel::probe::{Access, AccessSink, Block, ProbeSource};
use etmem_core::kernel::process::{Pid, ProcessId, ProcessTable, Target};
use etmem_linux::pacer::SystemPacer;
use etmem_linux::probe::bpf::Bpf;
use etmem_linux::process::table::Processes;
use etmem_linux::root::{ProcRoot, SysRoot};
use memmap2::{Advice, MmapMut};
use std::error::Error;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const BYTES: usize = 1 << 30;
const ROUNDS: usize = 100;

/// Set in the process whose memory is walked.
const PLAY: &str = "ETMEM_BENCH_PLAY_TARGET";

/// Takes blocks and counts them, no more.
#[derive(Default)]
struct Blocks(usize);

impl AccessSink for Blocks {
    fn block(&mut self, _start: u64, _block: Block<'_>) {
        self.0 += 1;
    }

    fn equal_blocks(&mut self, _start: u64, blocks: u64, _access: Access) {
        self.0 += usize::try_from(blocks).unwrap_or(usize::MAX);
    }
}

/// Ends the process when dropped.
struct Playing(Child);

impl Drop for Playing {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Plays the process that is walked: fills its memory, tells where it is, and waits for its input to end.
fn play() -> Result<(), Box<dyn Error>> {
    let mut memory = MmapMut::map_anon(BYTES)?;
    memory.advise(Advice::NoHugePage)?;
    memory.iter_mut().step_by(4096).for_each(|byte| *byte = 1);
    println!("{}", memory.as_ptr().addr());
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink())?;
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    if std::env::var_os(PLAY).is_some() {
        return play();
    }
    let child = Command::new(std::env::current_exe()?)
        .env(PLAY, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut child = Playing(child);
    let mut start = String::new();
    let output = child.0.stdout.take().ok_or("no output")?;
    std::io::BufRead::read_line(&mut std::io::BufReader::new(output), &mut start)?;
    let start: u64 = start.trim().parse()?;
    let proc = ProcRoot::default();
    let bpf = Bpf::detect(&proc, &SysRoot::default())?;
    let pid = Pid::new(child.0.id()).ok_or("no pid")?;
    let found: Vec<ProcessId> = Processes::new(proc).find(&Target::Pid(pid))?;
    let mut probe = bpf.attach(*found.first().ok_or("the process ended")?)?;
    let ranges = [AddressRange::new(start, start + BYTES as u64)];
    let clock = SystemPacer::new();
    let (mut clears, mut walks) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let before = clock.now();
        if round % 10 == 0 {
            probe.prepare(&ranges)?;
            clears.push(clock.now() - before);
        }
        let before = clock.now();
        let mut blocks = Blocks::default();
        probe.check(&ranges, &mut blocks)?;
        walks.push(clock.now() - before);
        if blocks.0 < BYTES >> 21 {
            return Err(format!("saw {} blocks only", blocks.0).into());
        }
    }
    report("walk and decode, 1 GiB of pages alike", &mut walks);
    report("clear_refs, 1 GiB", &mut clears);
    Ok(())
}

fn report(what: &str, times: &mut [Duration]) {
    times.sort_unstable();
    let middle = times.get(times.len() / 2).copied().unwrap_or_default();
    let least = times.first().copied().unwrap_or_default();
    println!(
        "{what}: median {:.3} ms, least {:.3} ms",
        middle.as_secs_f64() * 1e3,
        least.as_secs_f64() * 1e3
    );
}
