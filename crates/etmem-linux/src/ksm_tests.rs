//! Settings of KSM over folders as the kernel has them.

use super::*;
use etmem_core::kernel::process::Pid;
use std::time::Duration;

struct Machine {
    tree: tempfile::TempDir,
    roots: Roots,
}

/// A machine with these settings, beside counters that are all 0.
fn machine(settings: &[(&str, &str)]) -> Machine {
    let tree = tempfile::tempdir().unwrap();
    let roots =
        Roots { proc: ProcRoot::new(tree.path().join("proc")), sys: SysRoot::new(tree.path().join("sys")) };
    let folder = roots.sys.ksm();
    fs::create_dir_all(&folder).unwrap();
    fs::create_dir_all(roots.proc.path()).unwrap();
    let counters = ["full_scans", "pages_shared", "pages_sharing"].map(|name| (name, "0"));
    for (file, value) in counters.iter().chain(settings) {
        fs::write(folder.join(file), format!("{value}\n")).unwrap();
    }
    Machine { tree, roots }
}

const OLD: [(&str, &str); 3] = [("run", "0"), ("pages_to_scan", "100"), ("sleep_millisecs", "20")];
const NEW: [(&str, &str); 6] = [
    ("run", "0"),
    ("pages_to_scan", "100"),
    ("sleep_millisecs", "20"),
    ("advisor_mode", "[none] scan-time"),
    ("advisor_max_cpu", "70"),
    ("advisor_target_scan_time", "200"),
];

impl Machine {
    fn claim(&self) -> MachineMerging {
        SharedKsm::default().claim(&self.roots).unwrap()
    }

    fn get(&self, file: &str) -> String {
        Folder::of(&self.roots.sys).read(file).unwrap()
    }

    fn all(&self) -> Vec<String> {
        NEW.iter().filter_map(|(file, _)| Folder::of(&self.roots.sys).read(file).ok()).collect()
    }

    fn put(&self, file: &str, value: &str) {
        fs::write(self.roots.sys.ksm().join(file), value).unwrap();
    }

    fn memory(&self, available: u64) {
        let text = format!("MemTotal: 1000000 kB\nMemFree: 1 kB\nMemAvailable: {available} kB\n");
        fs::write(self.roots.proc.path().join("meminfo"), text).unwrap();
    }
}

fn advisor(processor_percent: u8, seconds: u64) -> Speed {
    Speed::Advisor { processor_percent, full_scan: Duration::from_secs(seconds) }
}

#[test]
fn settings_are_as_before_after_the_last_run() {
    let machine = machine(&NEW);
    let before = machine.all();
    let merging = machine.claim();
    assert!(merging.state().unwrap().has_advisor);
    let first = merging.run(advisor(20, 300)).unwrap().unwrap();
    assert_eq!(machine.all(), ["1", "100", "20", "scan-time", "20", "300"]);
    let mut second = merging.run(advisor(10, 100)).unwrap().unwrap();
    assert_eq!(machine.all(), ["1", "100", "20", "scan-time", "10", "300"], "the slower of each");
    second.change(advisor(15, 100)).unwrap();
    assert_eq!(machine.get("advisor_max_cpu"), "15");
    first.end(false).unwrap();
    assert_eq!(machine.all(), ["1", "100", "20", "scan-time", "15", "100"]);
    drop(second);
    assert_eq!(machine.all(), before);
}

#[test]
fn a_kernel_without_an_advisor_scans_pages() {
    let machine = machine(&OLD);
    let merging = machine.claim();
    assert!(!merging.state().unwrap().has_advisor);
    let speed = Speed::Pages { pages: 640, rest: Duration::from_millis(10) };
    let run = merging.run(speed).unwrap().unwrap();
    assert_eq!(machine.all(), ["1", "640", "10"]);
    run.end(false).unwrap();
    assert_eq!(machine.all(), ["0", "100", "20"]);
}

#[test]
fn ksm_that_ran_before_is_left_alone() {
    let mut settings = NEW;
    settings[0].1 = "1";
    let machine = machine(&settings);
    let before = machine.all();
    let merging = machine.claim();
    assert!(merging.run(advisor(20, 300)).unwrap().is_none());
    assert_eq!((machine.all(), merging.settings_before()), (before, None));
}

#[test]
fn one_etmemd_has_it_at_a_time_and_its_tasks_share_it() {
    let machine = machine(&NEW);
    let shared = SharedKsm::default();
    let (first, second) = (shared.claim(&machine.roots).unwrap(), shared.claim(&machine.roots).unwrap());
    assert!(Arc::ptr_eq(&first.0, &second.0));
    let refused = SharedKsm::default().claim(&machine.roots).unwrap_err();
    assert_eq!(refused.to_string(), "KSM is in use by another program: another etmemd");
    drop((first, second));
    drop(machine.claim());
    fs::remove_dir_all(machine.tree.path().join("sys/kernel/mm/ksm")).unwrap();
    let missing = SharedKsm::default().claim(&machine.roots).unwrap_err();
    assert!(missing.to_string().ends_with("missing; needs a kernel built with CONFIG_KSM=y"), "{missing}");
}

#[test]
fn what_another_program_writes_to_run_stays() {
    let machine = machine(&NEW);
    let run = machine.claim().run(advisor(20, 300)).unwrap().unwrap();
    machine.put("run", "2");
    run.end(true).unwrap();
    assert_eq!((machine.get("run"), machine.get("advisor_mode")), ("2".to_owned(), NO_ADVISOR.to_owned()));
}

/// A file in place of the kernel's keeps the last that was written; the kernel's `run` says the same.
#[test]
fn nothing_is_separated_without_room_for_it() {
    let mut settings = NEW;
    settings[0].1 = "2";
    for (available, sharing, run) in [(500_000, 1000, "2"), (60_000, 10_000, "0"), (1_000_000, 250_000, "0")]
    {
        let machine = machine(&settings);
        machine.memory(available);
        machine.put("pages_sharing", &sharing.to_string());
        machine.claim().run(advisor(20, 300)).unwrap().unwrap().end(true).unwrap();
        assert_eq!(machine.get("run"), run, "{available} kB available, {sharing} pages");
    }
}

#[test]
fn the_next_start_restores_what_a_record_says() {
    let machine = machine(&NEW);
    let before = machine.all();
    let merging = machine.claim();
    let line = merging.settings_before().unwrap();
    std::mem::forget(merging.run(advisor(20, 300)).unwrap());
    let noted = Before::of_line(&line).unwrap();
    assert!(!take_back(&machine.roots.sys, &noted), "another etmemd has it");
    // As the kernel unlocks it when a program ends.
    let again = SysRoot::new(machine.tree.path().join("again"));
    fs::create_dir_all(again.ksm()).unwrap();
    for (file, _) in NEW {
        fs::copy(machine.roots.sys.ksm().join(file), again.ksm().join(file)).unwrap();
    }
    assert!(take_back(&again, &noted));
    let read = |file: &str| Folder::of(&again).read(file).unwrap();
    assert_eq!(NEW.map(|(file, _)| read(file)).to_vec(), before);
    for line in ["", "run", "run=", "pages_to_scan=1", "run=0 /etc/passwd=1", "run=0 ../x=2"] {
        assert_eq!(Before::of_line(line), None, "{line}");
    }
    assert!(take_back(&SysRoot::new(machine.tree.path().join("gone")), &noted), "of a kernel without KSM");
}

#[test]
fn what_a_process_costs_and_saves() {
    let page = page_bytes();
    let merging = |merged: u64, cost, allowed| ProcessMerging { merged: merged * page, cost, allowed };
    let with_profit = format!(
        "ksm_rmap_items 10\nksm_zero_pages 2\nksm_merging_pages 8\nksm_process_profit {}\n",
        10 * page - 720
    );
    let loss = "ksm_rmap_items 100\nksm_zero_pages 0\nksm_merging_pages 0\nksm_process_profit -7200\n";
    let flags = |flag| {
        format!(
            "ksm_rmap_items 0\nksm_zero_pages 0\nksm_merging_pages 0\nksm_process_profit 0\nksm_merge_any: no\nksm_mergeable: {flag}\n"
        )
    };
    for (text, want) in [
        (&*with_profit, merging(10, 720, Some(true))),
        (loss, merging(0, 7200, Some(true))),
        (&flags("no"), merging(0, 0, Some(false))),
        (&flags("yes"), merging(0, 0, Some(true))),
        // Of Linux 6.4, and of 6.1.
        (
            "ksm_rmap_items 0\nksm_zero_pages 0\nksm_merging_pages 0\nksm_process_profit 0\n",
            merging(0, 0, None),
        ),
        ("ksm_rmap_items 3\n", merging(5, 192, Some(true))),
        ("", merging(5, 0, None)),
    ] {
        let named = counter(text, "ksm_merging_pages");
        assert_eq!(of_text(text, || named.unwrap_or(5)), want, "{text}");
    }
}

#[test]
fn a_process_of_a_kernel_that_does_not_say() {
    let machine = machine(&NEW);
    let process = ProcessId { pid: Pid::new(7).unwrap(), start_time: 5 };
    assert_eq!(machine.claim().of(process), Err(ProcessError::Exited));
    let folder = machine.roots.proc.path().join("7");
    fs::create_dir_all(&folder).unwrap();
    let stat = format!("7 (x) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 0 0 1 0 5 {}\n", "0 ".repeat(30));
    fs::write(folder.join("stat"), stat).unwrap();
    let refused = machine.claim().of(process).unwrap_err().to_string();
    assert!(refused.ends_with("ksm_stat: not in this kernel; needs Linux 6.1 or later"), "{refused}");
}
