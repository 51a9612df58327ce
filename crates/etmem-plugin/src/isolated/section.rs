//! Sections of a configuration file as they are sent to another process: as the groups that were written, which
//! `etmem-config` reads again there.

use etmem_config::{ConfigFile, EngineSection, ProjectSection, SiblingGroups, TaskSection, WrittenGroup};
use serde::{Deserialize, Serialize};
use std::io;
use std::path::Path;

/// Stands for the file in errors, which would be faults of etmemd.
const NAME: &str = "the request of etmemd";

/// A section as it was written, with the groups beside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Written {
    own: WrittenGroup,
    siblings: Vec<WrittenGroup>,
}

impl Written {
    pub(super) fn project(project: &ProjectSection) -> Self {
        Self { own: project.written.clone(), siblings: Vec::new() }
    }

    pub(super) fn engine(engine: &EngineSection) -> Self {
        Self { own: engine.written.clone(), siblings: engine.siblings.iter().cloned().collect() }
    }

    pub(super) fn task(task: &TaskSection) -> Self {
        Self { own: task.written.clone(), siblings: task.siblings.iter().cloned().collect() }
    }

    pub(super) fn into_project(self) -> io::Result<ProjectSection> {
        self.read()?.0.projects.pop().ok_or_else(|| no("a project"))
    }

    pub(super) fn into_engine(self) -> io::Result<EngineSection> {
        let (mut file, siblings) = self.read()?;
        let engine = file.engines.pop().ok_or_else(|| no("an engine"))?;
        Ok(EngineSection { siblings, ..engine })
    }

    pub(super) fn into_task(self) -> io::Result<TaskSection> {
        let (mut file, siblings) = self.read()?;
        let task = file.tasks.pop().ok_or_else(|| no("a task"))?;
        Ok(TaskSection { siblings, ..task })
    }

    fn read(self) -> io::Result<(ConfigFile, SiblingGroups)> {
        let file = etmem_config::read(Path::new(NAME), &[self.own], &etmem_engine::keys());
        Ok((file.map_err(io::Error::other)?, SiblingGroups::new(self.siblings)))
    }
}

fn no(what: &str) -> io::Error {
    io::Error::other(format!("a message does not hold {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_arrive_as_they_were_sent() {
        for keys in [
            "loop=120\ninterval=1200\nsleep=7\n",
            "loop=1\ninterval=2\nsleep=3\nsysmem_threshold=0\nswapcache_high_wmark=9\nswapcache_low_wmark=1\n",
            "scan_type=region\nsample_interval=5000\naggr_interval=100000\nupdate_interval=1000000\n\
             min_nr_regions=10\nmax_nr_regions=1000\n",
            "scan_type=psi\ninterval=5\nsysmem_threshold=100\n",
        ] {
            let text = format!(
                "[project]\nname=a-b\n{keys}\
                 [engine]\nproject=a-b\nname=thirdparty\neng_name=e\nlibname=/x.so\nops_name=x\nisolate=yes\nown=a = b #c\n\
                 [task]\nproject=a-b\nengine=e\nname=t\ntype=pid\nvalue=7\nmine=1\nmine=2\n[other]\nkey=value\n"
            );
            let file = etmem_config::parse(Path::new("f"), &text, &etmem_engine::keys()).unwrap();
            let (project, engine, task) = (&file.projects[0], &file.engines[0], &file.tasks[0]);
            assert_eq!(Written::project(project).into_project().unwrap(), *project);
            let arrived = Written::engine(engine).into_engine().unwrap();
            assert!(arrived.siblings.iter().eq(engine.siblings.iter()), "{arrived:?}");
            assert_eq!(arrived, EngineSection { siblings: arrived.siblings.clone(), ..engine.clone() });
            let arrived = Written::task(task).into_task().unwrap();
            assert!(arrived.siblings.iter().eq(task.siblings.iter()), "{arrived:?}");
            assert_eq!(arrived, TaskSection { siblings: arrived.siblings.clone(), ..task.clone() });
            let written = Written::project(project);
            assert!(written.clone().into_engine().is_err() && written.into_task().is_err());
        }
    }
}
