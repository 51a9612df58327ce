//! Finding processes and their mappings.

use crate::target::Target;
use crate::{Outcome, trial};
use etmem_core::kernel::mapping::MappingSource;
use etmem_core::kernel::process::{
    Gone, Pid, ProcessError, ProcessId, ProcessTable, Target as Named, TargetError,
};
use etmem_linux::mapping::Mappings;
use etmem_linux::process::table::Processes;
use etmem_linux::root::ProcRoot;
use libtest_mimic::Trial;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("a pid names its descendants, not the one who asks", &Ok(()), descendants),
        trial("a name names processes", &Ok(()), by_name),
        trial("mappings are those of the process", &Ok(()), mappings),
        trial("a process that ended", &Ok(()), ended),
    ]
}

fn table() -> Processes {
    Processes::new(ProcRoot::default())
}

fn descendants() -> Outcome {
    let target = Target::start();
    let own = Pid::new(std::process::id()).unwrap();
    let found = table().find(&Named::Pid(own))?;
    assert!(found.contains(&target.id()));
    assert!(found.iter().all(|process| process.pid != own));
    assert_eq!(table().check(own), Err(TargetError::Oneself(own)));
    assert_eq!(table().check(target.id().pid), Ok(target.id()));
    Ok(())
}

fn by_name() -> Outcome {
    let target = Target::start();
    let pid = target.id().pid;
    let comm = std::fs::read_to_string(format!("/proc/{pid}/comm"))?;
    let found = table().find(&Named::Comm(comm.trim_end().into()))?;
    assert!(found.contains(&target.id()));
    assert!(found.windows(2).all(|pair| pair[0].pid < pair[1].pid));
    assert_eq!(table().find(&Named::Comm("no such name".into()))?, []);
    Ok(())
}

fn mappings() -> Outcome {
    let mut target = Target::start();
    let region = target.map(8 << 20, "base");
    target.write(region, 0, 1, 2048);
    let mut found = Vec::new();
    Mappings::new(ProcRoot::default()).mappings(target.id(), &[], &mut found)?;
    assert!(found.windows(2).all(|pair| pair[0].range.end <= pair[1].range.start));
    let own = found.iter().find(|mapping| mapping.range.intersection(region.range) == region.range);
    let own = own.ok_or("the region is not listed")?;
    assert!(own.writable && !own.executable && !own.shared && !own.special && own.inode == 0);
    assert!(found.iter().any(|mapping| mapping.special && mapping.executable), "[vdso]");
    assert!(found.iter().any(|mapping| mapping.inode != 0 && mapping.executable), "the program");
    assert!(table().memory(target.id())?.resident >= 8 << 20);
    Ok(())
}

fn ended() -> Outcome {
    let mut target = Target::start();
    let process = target.id();
    let later = ProcessId { start_time: process.start_time + 1, ..process };
    let mut found = Vec::new();
    let source = Mappings::new(ProcRoot::default());
    assert_eq!(source.mappings(later, &[], &mut found), Err(ProcessError::Exited));
    assert_eq!(table().memory(later), Err(ProcessError::Exited));
    assert_eq!(table().find(&Named::Process(process))?, [process]);
    assert_eq!(table().find(&Named::Process(later))?, []);
    assert_eq!(table().gone(&Named::Process(process)), None);
    assert_eq!(table().gone(&Named::Process(later)), Some(Gone::Reused(process.pid)));
    target.end();
    assert_eq!(table().find(&Named::Process(process))?, []);
    assert_eq!(table().gone(&Named::Process(process)), Some(Gone::Ended(process.pid)));
    assert_eq!(source.mappings(process, &[], &mut found), Err(ProcessError::Exited));
    assert_eq!(table().memory(process), Err(ProcessError::Exited));
    assert_eq!(table().find(&Named::Pid(process.pid))?, []);
    Ok(())
}
