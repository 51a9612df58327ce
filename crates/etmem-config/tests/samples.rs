//! Files that have to parse: the ones that come with etmem, and the ones that the original's manual prints.

use etmem_config::{ConfigFile, EngineKind, TaskParameters, parse};
use std::path::Path;

const PROJECT: &str = "[project]\nname=test\nloop=1\ninterval=1\nsleep=1\n";
const SLIDE: &str = "#slide\n[engine]\nname=slide\nproject=test\n\n[task]\nproject=test\nengine=slide\n\
                     name=background_slide\ntype=name\nvalue=mysql\nT=1\nmax_threads=1\n";
const CSLIDE_ENGINE: &str = "#cslide\n[engine]\nname=cslide\nproject=test\nnode_pair=2,0;3,1\nhot_threshold=1\n\
                             node_mig_quota=1024\nnode_hot_reserve=1024\n\n";
const THIRDPARTY: &str = "#thirdparty\n[engine]\nname=thirdparty\nproject=test\neng_name=my_engine\n\
                          libname=/usr/lib/etmem_fetch/my_engine.so\nops_name=my_engine_ops\n\
                          engine_private_key=engine_private_value\n\n[task]\nproject=test\nengine=my_engine\n\
                          name=backgroud_third\ntype=pid\nvalue=12345\ntask_private_key=task_private_value\n";

fn accept(name: &str, text: &str) -> ConfigFile {
    let file = parse(Path::new(name), text).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(file.warnings, [], "{name}");
    file
}

#[test]
fn files_that_come_with_etmem() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../etc/etmem");
    let mut names = Vec::new();
    for entry in std::fs::read_dir(&directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let file = accept(&name, &std::fs::read_to_string(&path).unwrap());
        assert_eq!((file.projects.len(), file.engines.len(), file.tasks.len()), (1, 1, 1), "{name}");
        assert_eq!(file.tasks[0].engine, file.engines[0].name, "{name}");
        names.push(name);
    }
    names.sort();
    assert_eq!(
        names,
        [
            "cslide.yaml",
            "damon.yaml",
            "memdcd.yaml",
            "psi.yaml",
            "slide-dram-percent.yaml",
            "slide.yaml",
            "thirdparty.yaml",
        ]
    );
}

#[test]
fn the_manuals_sample_in_one_file() {
    let cslide = "[task]\nproject=test\nengine=cslide\nname=background_cslide\ntype=pid\nvalue=23456\n\
                  vm_flags=ht\nanon_only=no\nign_host=no\n\n";
    let file = accept("manual", &format!("{PROJECT}\n{SLIDE}\n{CSLIDE_ENGINE}{cslide}{THIRDPARTY}"));
    assert_eq!((file.projects.len(), file.engines.len(), file.tasks.len()), (1, 3, 3));
    assert!(matches!(file.engines[1].kind, EngineKind::Cslide(_)));
    assert!(matches!(file.tasks[2].parameters, TaskParameters::Other(_)));
}

#[test]
fn the_manuals_groups_one_by_one() {
    for (text, engines, tasks) in [(PROJECT, 0, 0), (SLIDE, 1, 1), (THIRDPARTY, 1, 1), (CSLIDE_ENGINE, 1, 0)]
    {
        let file = accept("manual", text);
        assert_eq!((file.engines.len(), file.tasks.len()), (engines, tasks));
    }
}

/// The manual's first cslide task writes `name=` where it means `value=`. The original refuses that too, but
/// does not say why.
#[test]
fn the_manuals_slip() {
    let task =
        "[task]\nproject=test\nengine=cslide\nname=background_cslide\ntype=pid\nname=23456\nvm_flags=ht\n";
    let error = parse(Path::new("manual"), task).unwrap_err();
    assert_eq!(error.to_string(), "manual:1: [task] value is missing; every task needs it");
}
