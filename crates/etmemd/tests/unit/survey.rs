use super::*;
use crate::once::program::Program;
use etmem_core::kernel::probe::Access;
use etmem_engine::ReasonName;
use etmem_testkit::fake::{FakeMachine, FakePacer, FakeProcess, Script};

const START: u64 = 0x7f00_0000_0000;
const PAGES: usize = 8 * 512;

/// The first block is hot, the second touched at each 60th look, which are 2 s apart, the rest never.
fn program(page: u64, window: u64) -> Access {
    match page / 512 {
        0 => Access::READ,
        1 if window % 60 == 59 => Access::WRITTEN,
        _ => Access::IDLE,
    }
}

fn machine(script: Script) -> FakeMachine {
    FakeMachine::new(FakeMachine::roomy(), vec![FakeProcess::new(42, "mysqld", START, PAGES, script)])
}

fn look(machine: &FakeMachine, seconds: u64, pacer: &FakePacer) -> (Result<Found, Reason>, Pace) {
    let folder = tempfile::tempdir().unwrap();
    let claims = CommandClaims::open(folder.path()).unwrap();
    let (kernel, progress) = (machine.kernel(), Progress::new());
    let survey = Survey {
        kernel: &kernel,
        claims: &claims,
        readers: machine,
        pacer,
        progress: &progress,
        length: Duration::from_secs(seconds),
        sample: true,
    };
    let (mut found, pace) = survey.look(&[machine.process(42).unwrap().id]);
    (found.pop().unwrap().1, pace)
}

#[test]
fn each_class_is_as_it_is() {
    let machine = machine(program);
    let (found, pace) = look(&machine, 600, &FakePacer::endless());
    let found = found.unwrap();
    assert_eq!((pace, found.watched), (Pace::Continue, Duration::from_secs(600)));
    let blocks = |count: u64| Some(count << 21);
    // The second block was touched in the last look: 300 looks.
    let (last, known) = found.idle.split_last().unwrap();
    assert!(last.is_none() && known.iter().all(|idle| *idle == blocks(6)), "{:?}", found.idle);
    // It had been idle for 118 s before each of its five touches, and a task may take it after 80 s, or 120 s with the next age.
    assert_eq!(found.returned, [5 << 21, 5 << 21, 5 << 21, 5 << 21, 0, 0, 0, 0]);
    assert_eq!(found.working_set, 2 << 21);
    assert_eq!(found.best().unwrap().age, Duration::from_secs(180));
    assert_eq!(found.sampled.read, 8 << 20, "of 12 MiB");
    assert_eq!(found.sampled.lz4, 0, "zeroes");
    assert!(machine.process(42).unwrap().swapped_pages().is_empty(), "nothing moves");
}

#[test]
fn a_stop_gives_what_is_known_so_far() {
    let machine = machine(program);
    let (found, pace) = look(&machine, 600, &FakePacer::stopping_after(20));
    let found = found.unwrap();
    assert_eq!((pace, found.watched), (Pace::Stop, Duration::from_secs(40)));
    assert_eq!(found.idle[..3], [Some(7 << 21), Some(7 << 21), None]);
}

#[test]
fn a_process_that_ends_is_said() {
    let mut process = FakeProcess::new(42, "mysqld", START, PAGES, program);
    process.end = Some((3, ProcessError::Exited));
    let machine = FakeMachine::new(FakeMachine::roomy(), vec![process]);
    let (found, _) = look(&machine, 60, &FakePacer::endless());
    assert_eq!(found.unwrap_err().name, ReasonName::Exited);
}

#[test]
fn a_long_survey_has_no_more_looks_than_can_be_told_apart() {
    let machine = machine(program);
    let pacer = FakePacer::endless();
    let (found, _) = look(&machine, 24 * 3600, &pacer);
    assert_eq!(found.unwrap().watched, Duration::from_secs(24 * 3600));
    assert!(pacer.pauses().len() < usize::from(LOOKS_MAX), "{}", pacer.pauses().len());
    let (_, unknown) = Program::all(Vec::new(), |_| String::new());
    assert!(unknown.is_empty());
}
