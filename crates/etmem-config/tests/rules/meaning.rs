//! What is accepted, as what it means: units, defaults, and values that act as others.

use crate::engine::{CSLIDE, DAMON, SLIDE, THIRDPARTY};
use crate::project::{PAGE, PSI_PROJECT, REGION};
use crate::row::{KEY_FILE, read};
use crate::task::{CSLIDE_TASK, MEMDCD_TASK, PSI_TASK, SLIDE_TASK};
use etmem_config::values::{DamosAction, NodePair, SocketAddress};
use etmem_config::{Care, EngineKind, Scan, TaskParameters};
use etmem_core::kernel::mapping::VmFlag;
use etmem_core::kernel::process::Target;
use etmem_core::kernel::wishes::{Mover, Tracker};
use etmem_core::throttle::Rate;
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
    let Scan::Page(scan) = &page.scan else { panic!("{page:?}") };
    assert_eq!((scan.loops, scan.interval.as_secs(), scan.sleep.as_secs()), (3, 5, 10));

    assert_eq!((region.line, region.sysmem_threshold, region.swapcache_watermarks), (9, None, None));
    let Scan::Region(scan) = &region.scan else { panic!("{region:?}") };
    assert_eq!(scan.sample_interval, Duration::from_millis(5));
    assert_eq!(scan.aggregation_interval, Duration::from_millis(100));
    assert_eq!(scan.update_interval, Duration::from_secs(1));
    assert_eq!((scan.min_regions, scan.max_regions), (10, 1000));

    let Scan::Psi(scan) = &psi.scan else { panic!("{psi:?}") };
    assert_eq!(scan.interval, Duration::from_secs(5));
}

#[test]
fn meaning_of_an_engine() {
    let psi = "[engine]\nproject=b\nname=psi\n[engine]\nproject=b\nname=memdcd\n";
    let file = read(&format!("{SLIDE}{CSLIDE}{THIRDPARTY}{DAMON}{psi}")).unwrap();
    let names: Vec<_> = file.engines.iter().map(|engine| engine.name.as_str()).collect();
    assert_eq!(names, ["slide", "cslide", "mine", "damon", "psi", "memdcd"]);
    assert_eq!(file.engines[0].kind, EngineKind::Slide);
    let EngineKind::Cslide(cslide) = &file.engines[1].kind else { panic!("{file:?}") };
    assert_eq!(cslide.node_pairs, [NodePair { first: 2, second: 0 }, NodePair { first: 3, second: 1 }]);
    assert_eq!((cslide.hot_threshold, cslide.node_mig_quota, cslide.node_hot_reserve), (1, 1 << 30, 1 << 29));
    let EngineKind::Thirdparty(thirdparty) = &file.engines[2].kind else { panic!("{file:?}") };
    assert_eq!((thirdparty.library.to_str(), &*thirdparty.operations), (Some("/lib/mine.so"), "mine_ops"));
    let EngineKind::Damon(damon) = &file.engines[3].kind else { panic!("{file:?}") };
    assert_eq!((damon.min_size, damon.max_size), (4096, 8192));
    assert_eq!((damon.min_accesses, damon.max_accesses, damon.min_age, damon.max_age), (0, 5, 1, 9));
    assert_eq!(damon.action, DamosAction::PageOut);
    assert_eq!(file.engines[4].kind, EngineKind::Psi);
    assert_eq!((&file.engines[5].kind, file.engines[5].project.as_str()), (&EngineKind::Memdcd, "b"));
}

#[test]
fn meaning_of_a_slide_task() {
    let slide = |change: &str| {
        let task = read(&KEY_FILE.changed(SLIDE_TASK, change)).unwrap().tasks.remove(0);
        let TaskParameters::Slide(slide) = task.parameters else { panic!("{change}") };
        slide
    };
    let plain = slide("T=7");
    assert_eq!((plain.threshold, plain.max_threads, plain.swap_threshold), (7, 1, None));
    assert_eq!((plain.swap_flag, plain.dram_percent), (false, None));
    assert_eq!(slide("max_threads=-3").max_threads, 1);
    assert_eq!(slide("max_threads=0").max_threads, 1);
    assert_eq!(slide("max_threads=9").max_threads, 9);
    assert_eq!(slide("swap_threshold=10g").swap_threshold, Some(10 << 30));
    assert_eq!(slide("swap_threshold=2G").swap_threshold, Some(2 << 30));
    assert!(slide("swap_flag=yes").swap_flag);
    assert_eq!((plain.tracker, plain.mover, plain.vm_flags), (Tracker::Auto, Mover::Auto, Vec::new()));
    assert_eq!((slide("tracker=etmem").tracker, slide("mover=etmem").mover), (Tracker::Etmem, Mover::Etmem));
    assert_eq!((slide("tracker=bpf").tracker, slide("mover=madvise").mover), (Tracker::Bpf, Mover::Madvise));
    assert!(slide("dry_run=yes").dry_run && !plain.dry_run);
    assert_eq!(slide("vm_flags=ht").vm_flags, [VmFlag::new("ht").unwrap()]);
    assert_eq!(plain.care, Care::default());
    assert_eq!(plain.care.refault_percent, Some(0.2));
    assert_eq!((plain.care.swap_use.get(), plain.care.pressure_percent), (80, Some(20.0)));
    assert_eq!((plain.care.rate, plain.care.processor_percent), (Rate::default(), None));
    assert_eq!(slide("max_refault=none").care.refault_percent, None);
    assert_eq!(slide("max_pressure=none").care.pressure_percent, None);
    assert_eq!(slide("max_cpu=5").care.processor_percent.unwrap().get(), 5);
    assert_eq!(slide("max_rate=none").care.rate, Rate::Unlimited);
    for (text, want) in [("3k", 3 << 10), ("50m", 50 << 20), ("50M", 50 << 20), ("2g", 2 << 30)] {
        assert_eq!(slide(&format!("max_rate={text}")).care.rate, Rate::BytesPerSecond(want));
    }
    assert_eq!(slide("dram_percent=0").dram_percent, None);
    assert_eq!(slide("dram_percent=60").dram_percent.unwrap().get(), 60);
}

#[test]
fn meaning_of_other_tasks() {
    let cslide = KEY_FILE.changed(CSLIDE_TASK, "vm_flags=ht hg");
    let damon = KEY_FILE.changed(CSLIDE_TASK, "engine=damon");
    let file = read(&format!("{SLIDE_TASK}{cslide}\n{PSI_TASK}{MEMDCD_TASK}{damon}")).unwrap();
    assert_eq!(file.tasks[0].target, Target::Comm("mysqld".into()));
    let Target::Pid(pid) = &file.tasks[1].target else { panic!("{file:?}") };
    assert_eq!(pid.get(), 23456);
    let TaskParameters::Cslide(cslide) = &file.tasks[1].parameters else { panic!("{file:?}") };
    assert_eq!(cslide.vm_flags, [VmFlag::new("ht").unwrap(), VmFlag::new("hg").unwrap()]);
    assert_eq!((cslide.anon_only, cslide.ign_host), (false, false));
    let TaskParameters::Psi(psi) = &file.tasks[2].parameters else { panic!("{file:?}") };
    assert_eq!((&*psi.cgroups, psi.pressure_percent), ("system.slice/*.service", 0.1));
    let rates = (psi.reclaim_rate.get(), psi.reclaim_rate_min.get(), psi.reclaim_rate_max.get());
    assert_eq!(rates, (0.05, 0.01, 0.5));
    let limits = (psi.limit_min_bytes, psi.limit_min_ratio.get(), psi.reclaim_max_bytes);
    assert_eq!(limits, (0, 0.1, 1 << 30));
    let TaskParameters::Memdcd(memdcd) = &file.tasks[3].parameters else { panic!("{file:?}") };
    assert_eq!(memdcd.socket, SocketAddress::Abstract("_memdcd.server".into()));
    assert_eq!(file.tasks[4].parameters, TaskParameters::Damon);
}
