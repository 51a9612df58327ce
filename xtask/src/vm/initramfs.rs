//! What the virtual machine has instead of a disk: busybox, the programs and files asked for at the places they have
//! here, the libraries they need, the modules and the first script.

use super::cpio::Archive;
use super::init_script::{BROUGHT, First};
use super::kernel_modules::Module;
use super::{init_script, libraries, missing};
use anyhow::{Context, bail};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Folders that programs expect, and the script mounts things on.
const FOLDERS: [&str; 11] =
    ["/bin", "/sbin", "/etc", "/dev", "/proc", "/sys", "/tmp", "/run", "/root", "/usr/bin", "/var/tmp"];

/// Of the disk, where the command's script is.
const FOLDER: &str = "/usr/local/lib/laboratory";

/// What to put in.
#[derive(Debug)]
pub(crate) struct Contents {
    /// Loaded before the command runs, in this order.
    pub(crate) modules: Vec<Module>,
    /// Programs and other files, of this machine.
    pub(crate) files: Vec<PathBuf>,
    /// What runs it.
    pub(crate) first: First,
    /// The command's words; the first is a program of this machine or an applet of busybox.
    pub(crate) command: Vec<String>,
}

/// The archive that the kernel unpacks.
pub(crate) fn write(contents: &Contents) -> anyhow::Result<Vec<u8>> {
    let mut archive = Archive::default();
    for folder in FOLDERS {
        archive.folder(folder)?;
    }
    // Users' names: some programs want to know root.
    archive.file("/etc/passwd", 0o644, b"root:x:0:0:root:/root:/bin/sh\n")?;
    archive.file("/etc/group", 0o644, b"root:x:0:\n")?;

    let mut command = contents.command.clone();
    let first = contents.first;
    if let Some(program) = command.first_mut()
        && let Some(path) = program_here(program)?
    {
        // The disk has the programs of a Debian; what a Debian has not is named by its path.
        if first == First::Command || program.contains('/') {
            add_with_libraries(&mut archive, &path, first)?;
        }
        *program = text(&path)?.to_owned();
    }
    for path in &contents.files {
        let path = std::path::absolute(path).with_context(|| format!("find {}", path.display()))?;
        add(&mut archive, &path, first)?;
    }
    let busybox = on_path("busybox").ok_or_else(|| {
        missing::not_run(&Command::new("busybox"), "busybox-static", std::io::ErrorKind::NotFound.into())
    })?;
    add_program(&mut archive, &busybox, "/bin/busybox", First::Command)?;
    archive.link("/bin/sh", "busybox")?;

    let mut modules = Vec::new();
    for module in &contents.modules {
        let place = format!("/modules/{}.ko", module.name);
        archive.file(&place, 0o644, &module.object)?;
        modules.push(place);
    }
    let script = match first {
        First::Command => init_script::write(&modules, &command),
        First::Systemd => {
            let (script, unit) = (format!("{FOLDER}/run"), "/etc/systemd/system/laboratory.service");
            archive.file(&format!("{BROUGHT}{script}"), 0o755, init_script::service(&command).as_bytes())?;
            archive.file(&format!("{BROUGHT}{unit}"), 0o644, init_script::unit(&script).as_bytes())?;
            let wanted = "/etc/systemd/system/multi-user.target.wants/laboratory.service";
            archive.link(&format!("{BROUGHT}{wanted}"), unit)?;
            init_script::hand_over(&modules)
        }
    };
    archive.file("/init", 0o755, script.as_bytes())?;
    archive.finish()
}

/// Where the program of this machine that `name` means lies; `None` if it means an applet of busybox.
fn program_here(name: &str) -> anyhow::Result<Option<PathBuf>> {
    if !name.contains('/') {
        return Ok(on_path(name));
    }
    let path = std::path::absolute(name).with_context(|| format!("find {name}"))?;
    if !path.is_file() {
        bail!("there is no program {}", path.display());
    }
    Ok(Some(path))
}

fn on_path(name: &str) -> Option<PathBuf> {
    let folders = std::env::var_os("PATH")?;
    std::env::split_paths(&folders)
        .map(|folder| folder.join(name))
        .find(|path| path.is_absolute() && path.is_file())
}

/// Adds the file, or all below the folder, at `path`.
fn add(archive: &mut Archive, path: &Path, first: First) -> anyhow::Result<()> {
    if !path.is_dir() {
        return add_with_libraries(archive, path, first);
    }
    archive.folder(&place(path, first)?)?;
    let listed = || format!("list {}", path.display());
    for entry in std::fs::read_dir(path).with_context(listed)? {
        add(archive, &entry.with_context(listed)?.path(), first)?;
    }
    Ok(())
}

/// Where a file of this machine comes.
fn place(path: &Path, first: First) -> anyhow::Result<String> {
    let above = if first == First::Systemd { BROUGHT } else { "" };
    Ok(format!("{above}{}", text(path)?))
}

fn add_with_libraries(archive: &mut Archive, path: &Path, first: First) -> anyhow::Result<()> {
    add_program(archive, path, &place(path, first)?, first)
}

/// Adds a file at `place`, with the libraries that a program needs; the disk has them.
fn add_program(archive: &mut Archive, path: &Path, place: &str, first: First) -> anyhow::Result<()> {
    let mut contents = std::fs::read(path).with_context(|| format!("read {}", path.display()))?;
    let permissions =
        std::fs::metadata(path).with_context(|| format!("look at {}", path.display()))?.permissions();
    let permissions = permissions.mode() & 0o777;
    let is_program = permissions & 0o111 != 0 && contents.starts_with(b"\x7fELF");
    if is_program && let Some(stripped) = without_debug_information(path)? {
        contents = stripped;
    }
    archive.file(place, permissions, &contents)?;
    if !is_program || first == First::Systemd {
        return Ok(());
    }
    for library in libraries::of(path)? {
        let contents = std::fs::read(&library).with_context(|| format!("read {}", library.display()))?;
        archive.file(text(&library)?, 0o755, &contents)?;
    }
    Ok(())
}

/// A program as it is, but for what only debuggers read, which is most of it; `None` if there is no strip(1) or it
/// refuses.
fn without_debug_information(program: &Path) -> anyhow::Result<Option<Vec<u8>>> {
    let stripped = tempfile::NamedTempFile::new().context("make a file for a stripped program")?;
    let mut strip = Command::new("strip");
    strip.arg("--strip-debug").arg("-o").arg(stripped.path()).arg(program);
    match strip.output() {
        Ok(output) if output.status.success() => {
            std::fs::read(stripped.path()).context("read a stripped program").map(Some)
        }
        _ => Ok(None),
    }
}

fn text(path: &Path) -> anyhow::Result<&str> {
    path.to_str().with_context(|| format!("{} is not UTF-8", path.display()))
}
