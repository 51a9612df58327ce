//! Sections of a configuration file as they are sent to another process: as text, which `etmem-config` reads again there.

use etmem_config::{
    ConfigFile, EngineKind, EngineSection, ProjectSection, Scan, SiblingGroups, TaskParameters, TaskSection,
    WrittenGroup,
};
use serde::{Deserialize, Serialize};
use std::fmt::Write;
use std::io;
use std::path::Path;

/// Stands for the file in errors, which would be faults of etmemd.
const NAME: &str = "the request of etmemd";

type Pairs = Vec<(String, String)>;

/// A section as it was written, with the groups beside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Written {
    text: String,
    siblings: Vec<(String, Pairs)>,
}

impl Written {
    fn new(group: &str, pairs: &[(String, String)], siblings: &SiblingGroups) -> Self {
        let lines: String = pairs.iter().map(|(key, value)| format!("{key}={value}\n")).collect();
        let siblings = siblings.iter().map(|sibling| (sibling.name.clone(), sibling.pairs.clone()));
        Self { text: format!("[{group}]\n{lines}"), siblings: siblings.collect() }
    }

    pub(super) fn project(project: &ProjectSection) -> Self {
        Self { text: project_text(project), siblings: Vec::new() }
    }

    pub(super) fn engine(engine: &EngineSection) -> io::Result<Self> {
        let EngineKind::Thirdparty(plugin) = &engine.kind else { return Err(no("an engine")) };
        Ok(Self::new("engine", &plugin.keys, &plugin.siblings))
    }

    pub(super) fn task(task: &TaskSection) -> io::Result<Self> {
        let TaskParameters::Other(plugin) = &task.parameters else { return Err(no("a task")) };
        Ok(Self::new("task", &plugin.keys, &plugin.siblings))
    }

    pub(super) fn into_project(self) -> io::Result<ProjectSection> {
        self.read()?.0.projects.pop().ok_or_else(|| no("a project"))
    }

    pub(super) fn into_engine(self) -> io::Result<EngineSection> {
        let (mut file, siblings) = self.read()?;
        let mut engine = file.engines.pop().ok_or_else(|| no("an engine"))?;
        let EngineKind::Thirdparty(plugin) = &mut engine.kind else { return Err(no("an engine")) };
        plugin.siblings = siblings;
        Ok(engine)
    }

    pub(super) fn into_task(self) -> io::Result<TaskSection> {
        let (mut file, siblings) = self.read()?;
        let mut task = file.tasks.pop().ok_or_else(|| no("a task"))?;
        let TaskParameters::Other(plugin) = &mut task.parameters else { return Err(no("a task")) };
        plugin.siblings = siblings;
        Ok(task)
    }

    fn read(self) -> io::Result<(ConfigFile, SiblingGroups)> {
        let siblings = self.siblings.into_iter().map(|(name, pairs)| WrittenGroup { name, pairs });
        let file = etmem_config::parse(Path::new(NAME), &self.text).map_err(io::Error::other)?;
        Ok((file, SiblingGroups::new(siblings.collect())))
    }
}

fn no(what: &str) -> io::Error {
    io::Error::other(format!("a message does not hold {what} of a plugin"))
}

/// The group that `project` was read from, as far as its keys have a meaning.
fn project_text(project: &ProjectSection) -> String {
    let mut text = format!("[project]\nname={}\n", project.name);
    let mut line = |key: &str, value: &dyn std::fmt::Display| {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{key}={value}");
    };
    match &project.scan {
        Scan::Page(page) => {
            line("scan_type", &"page");
            line("loop", &page.loops);
            line("interval", &page.interval.as_secs());
            line("sleep", &page.sleep.as_secs());
        }
        Scan::Region(region) => {
            line("scan_type", &"region");
            line("sample_interval", &region.sample_interval.as_micros());
            line("aggr_interval", &region.aggregation_interval.as_micros());
            line("update_interval", &region.update_interval.as_micros());
            line("min_nr_regions", &region.min_regions);
            line("max_nr_regions", &region.max_regions);
        }
        Scan::Psi(psi) => {
            line("scan_type", &"psi");
            line("interval", &psi.interval.as_secs());
        }
    }
    if let Some(threshold) = project.sysmem_threshold {
        line("sysmem_threshold", &threshold.get());
    }
    if let Some(watermarks) = project.swapcache_watermarks {
        line("swapcache_high_wmark", &watermarks.high.get());
        line("swapcache_low_wmark", &watermarks.low.get());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn project_of_each_scan_type_arrives_as_it_was_sent() {
        for text in [
            "loop=120\ninterval=1200\nsleep=7\n",
            "loop=1\ninterval=2\nsleep=3\nsysmem_threshold=0\nswapcache_high_wmark=9\nswapcache_low_wmark=1\n",
            "scan_type=region\nsample_interval=5000\naggr_interval=100000\nupdate_interval=1000000\n\
             min_nr_regions=10\nmax_nr_regions=1000\n",
            "scan_type=psi\ninterval=5\nsysmem_threshold=100\n",
        ] {
            let text = format!("[project]\nname=a-b\n{text}");
            let project = Written { text: text.clone(), siblings: Vec::new() }.into_project().unwrap();
            assert_eq!(Written::project(&project).into_project().unwrap(), project, "{text}");
        }
    }

    #[test]
    fn text_without_the_section_is_an_error() {
        let written = Written { text: "[project]\nname=x\n".to_owned(), siblings: Vec::new() };
        assert!(written.clone().into_engine().is_err() && written.into_task().is_err());
    }
}
