//! Projects that are there whenever the daemon is: `--config-dir` names a folder, and its files are added and their projects
//! started when the daemon starts.

use crate::dispatch::{add, read};
use crate::registry::{Denied, Registry};
use etmem_config::ConfigFile;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use tracing::{error, info};

/// Other names in the folder are none of etmemd's: notes, and what editors and package managers leave.
const EXTENSION: &str = "conf";

/// Adds the files of `folder` to `registry`, in the order of their names, and starts their projects but those with `autostart=no`.
/// What is refused goes to the log, and keeps no other file out.
pub(crate) fn load(registry: &mut Registry, folder: &Path) {
    let files = match files(folder) {
        Ok(files) => files,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            info!("there is no {}, so no project is added", folder.display());
            return;
        }
        Err(error) => {
            error!("cannot read {}: {error}", folder.display());
            return;
        }
    };
    for path in files {
        match read(&path).and_then(|file| add(registry, &file).map(|lines| (file, lines))) {
            Ok((file, lines)) => {
                // Warnings are in the log already.
                info!("added {}", path.display());
                lines.iter().filter(|line| !line.starts_with("warning: ")).for_each(|line| info!("{line}"));
                start(registry, &file);
            }
            Err(denied) => error!("{} is not added: {}", path.display(), words(&denied)),
        }
    }
}

fn start(registry: &mut Registry, file: &ConfigFile) {
    for project in file.projects.iter().filter(|project| project.autostart) {
        let name = &project.name;
        match registry.start(name) {
            Ok(lines) => {
                info!("started project {name}");
                lines.iter().for_each(|line| info!("{line}"));
            }
            Err(denied) => error!(
                "project {name} of {} is added, and not started: {denied}; once that is mended: etmem project start -n {name}",
                file.path.display()
            ),
        }
    }
}

fn words(denied: &[Denied]) -> String {
    denied.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// The files of `folder`, in the order of their names.
fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files: Vec<PathBuf> =
        folder.read_dir()?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
    let is_hidden = |path: &Path| path.file_name().is_some_and(|name| name.as_bytes().starts_with(b"."));
    files.retain(|path| path.extension() == Some(OsStr::new(EXTENSION)) && !is_hidden(path));
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_in_the_order_of_their_names_and_others_are_left_out() {
        let folder = tempfile::tempdir().unwrap();
        assert!(files(&folder.path().join("none")).is_err());
        for name in ["20-b.conf", "10-a.conf", "note.txt", ".30.conf", "40.conf~", "conf"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let expected = ["10-a.conf", "20-b.conf"].map(|name| folder.path().join(name));
        assert_eq!(files(folder.path()).unwrap(), expected);
    }
}
