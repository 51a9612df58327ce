//! What is accepted, as what it means: units, defaults, and values that act as others.

use crate::engine::{CSLIDE, DAMON, SLIDE, THIRDPARTY};
use crate::project::{PAGE, PSI_PROJECT, REGION};
use crate::row::{KEY_FILE, read};
use crate::task::{CSLIDE_TASK, SLIDE_TASK};
use etmem_core::feedback::Goal;
use etmem_core::guard::Guards;
use etmem_core::kernel::mapping::VmFlag;
use etmem_core::kernel::pressure::Share;
use etmem_core::kernel::process::Target;
use etmem_core::kernel::wishes::{Mover, Tracker};
use etmem_core::policy::ColdRule;
use etmem_core::throttle::Rate;
use etmem_engine::{PsiScan, RegionScan, cslide, hosted, slide};
use std::time::Duration;

#[test]
fn meaning_of_a_project() {
    let text = format!(
        "{PAGE}sysmem_threshold=50\nswapcache_high_wmark=5\nswapcache_low_wmark=3\n{REGION}{PSI_PROJECT}"
    );
    let [page, region, psi] = &read(&text).unwrap().projects[..] else { panic!("three projects") };
    assert_eq!((page.line, page.name.as_str()), (1, "a"));
    assert_eq!(page.sysmem_threshold.unwrap().get(), 50);
    let watermarks = page.swapcache_watermarks.unwrap();
    assert_eq!((watermarks.low.get(), watermarks.high.get()), (3, 5));
    let scan = page.page.as_ref().unwrap();
    assert_eq!((scan.loops, scan.interval.as_secs(), scan.sleep.as_secs()), (3, 5, 10));

    assert_eq!((region.line, region.sysmem_threshold, region.swapcache_watermarks), (9, None, None));
    let scan = RegionScan::new(region).unwrap();
    assert_eq!(scan.sample_interval, Duration::from_millis(5));
    assert_eq!(scan.aggregation_interval, Duration::from_millis(100));
    assert_eq!(scan.update_interval, Duration::from_secs(1));
    assert_eq!((scan.min_regions, scan.max_regions), (10, 1000));

    assert_eq!(PsiScan::new(psi).unwrap().interval, Duration::from_secs(5));
    assert_eq!([page, region, psi].map(|project| project.scan_type), ["page", "region", "psi"]);

    for (written, want) in [("5", 5000), ("5s", 5000), ("200ms", 200), ("1200000ms", 1_200_000)] {
        let text = KEY_FILE.changed(PAGE, &format!("interval={written}\nsleep={written}"));
        let page = read(&text).unwrap().projects.remove(0).page.unwrap();
        assert_eq!((page.interval, page.sleep), (Duration::from_millis(want), Duration::from_millis(want)));
    }
}

#[test]
fn meaning_of_an_engine() {
    let psi = "[engine]\nproject=b\nname=psi\n[engine]\nproject=b\nname=memdcd\n";
    let file = read(&format!("{SLIDE}{CSLIDE}{THIRDPARTY}{DAMON}{psi}")).unwrap();
    let names: Vec<_> = file.engines.iter().map(|engine| engine.name.as_str()).collect();
    assert_eq!(names, ["slide", "cslide", "mine", "damon", "psi", "memdcd"]);
    let kinds: Vec<_> = file.engines.iter().map(|engine| engine.kind).collect();
    assert_eq!(kinds, ["slide", "cslide", "thirdparty", "damon", "psi", "memdcd"]);
    let cslide = cslide::EngineSettings::new(&file.engines[1]).unwrap();
    let pairs: Vec<_> = cslide.node_pairs.iter().map(|pair| (pair.first, pair.second)).collect();
    assert_eq!(pairs, [(2, 0), (3, 1)]);
    assert_eq!((cslide.hot_threshold, cslide.limits.quota, cslide.limits.reserve), (1, 1 << 30, 1 << 29));
    let thirdparty = hosted(&file.engines[2]).unwrap();
    assert_eq!((thirdparty.library.to_str(), &*thirdparty.operations), (Some("/lib/mine.so"), "mine_ops"));
    assert!(!thirdparty.isolate && hosted(&file.engines[1]).is_none());
    assert_eq!(file.engines[5].project.as_str(), "b");
}

#[test]
fn meaning_of_a_slide_task() {
    let project = read(&KEY_FILE.changed(PAGE, "loop=120")).unwrap().projects.remove(0);
    let slide = |change: &str| {
        let task = read(&KEY_FILE.changed(SLIDE_TASK, change)).unwrap().tasks.remove(0);
        slide::Settings::new(&project, &task).unwrap()
    };
    let threads = |written| {
        let settings = slide(&format!("max_threads={written}"));
        settings.threads_wanted.unwrap_or(settings.threads)
    };
    let plain = slide("T=7");
    assert_eq!((&plain.cold, plain.threads, plain.gates.resident_above), (&ColdRule::Below(7), 1, None));
    assert!(!plain.wishes.scan.only_marked);
    assert_eq!(["-3", "0", "9", "1000000"].map(threads), [1, 1, 9, 1_000_000]);
    assert_eq!(slide("swap_threshold=10g").gates.resident_above, Some(10 << 30));
    assert_eq!(slide("swap_threshold=2G").gates.resident_above, Some(2 << 30));
    assert!(slide("swap_flag=yes").wishes.scan.only_marked);
    assert_eq!((plain.wishes.tracker, plain.wishes.mover), (Tracker::Auto, Mover::Auto));
    assert_eq!(plain.vm_flags, Vec::new());
    for (word, want) in [("etmem", Tracker::Etmem), ("bpf", Tracker::Bpf), ("idle", Tracker::Idle)] {
        assert_eq!(slide(&format!("tracker={word}")).wishes.tracker, want);
    }
    assert_eq!(slide("mover=etmem").wishes.mover, Mover::Etmem);
    assert_eq!(slide("mover=madvise").wishes.mover, Mover::Madvise);
    assert!(slide("dry_run=yes").dry_run && !plain.dry_run);
    assert!(slide("disk_directly=yes").wishes.past_zswap && !plain.wishes.past_zswap);
    assert_eq!(slide("vm_flags=ht").vm_flags, [VmFlag::new("ht").unwrap()]);
    assert_eq!(plain.goal, Some(Goal::usual().stalling(Some(0.1))));
    let said = Goal::percent_per_minute(0.2).unwrap();
    assert_eq!(slide("max_refault=0.2").goal, Some(said.stalling(Some(0.1))));
    assert_eq!(slide("max_refault=0.2\nmax_stall=none").goal, Some(said));
    assert_eq!(slide("max_refault=none\nmax_stall=0.1").goal, None);
    assert_eq!(plain.guards, Guards { swap_use_percent: 80, pressure: Share::nearest_to_percent(20.0) });
    assert_eq!((plain.rate, plain.looking_percent, plain.moving_percent), (Rate::default(), 10, None));
    assert_eq!(slide("max_refault=none").goal, None);
    assert_eq!(slide("max_pressure=none").guards.pressure, None);
    assert_eq!(slide("max_cpu=5").moving_percent, Some(5));
    assert_eq!(slide("max_rate=none").rate, Rate::Unlimited);
    for (text, want) in [("3k", 3 << 10), ("50m", 50 << 20), ("50M", 50 << 20), ("2g", 2 << 30)] {
        assert_eq!(slide(&format!("max_rate={text}")).rate, Rate::BytesPerSecond(want));
    }
    assert_eq!(slide("T=7\ndram_percent=0").cold, ColdRule::Below(7));
    assert_eq!(slide("dram_percent=60").cold, ColdRule::Keep(60));
}

#[test]
fn meaning_of_a_cslide_task() {
    let file = read(&format!("{PAGE}{CSLIDE}{}", KEY_FILE.changed(CSLIDE_TASK, "vm_flags=ht hg"))).unwrap();
    let Target::Pid(pid) = &file.tasks[0].target else { panic!("{file:?}") };
    assert_eq!(pid.get(), 23456);
    let engine = cslide::EngineSettings::new(&file.engines[0]).unwrap();
    let task = cslide::Settings::new(&file.projects[0], &engine, &file.tasks[0]).unwrap();
    assert_eq!(task.vm_flags, [VmFlag::new("ht").unwrap(), VmFlag::new("hg").unwrap()]);
    assert_eq!((task.anon_only, task.wishes.scan.ignore_host), (false, false));
    assert_eq!(read(SLIDE_TASK).unwrap().tasks[0].target, Target::Comm("mysqld".into()));
}
