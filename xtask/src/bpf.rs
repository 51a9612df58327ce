//! Building the BPF object that is committed beside its source, so that building the daemon needs no clang.
//!
//! `SHA256SUMS` beside them says which source gave which object and which clang made it. The check that the
//! object is what the source gives is `cargo xtask check --only bpf`.

use anyhow::{Context, bail};
use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The source, C.
pub(crate) const SOURCE: &str = "page_walk.bpf.c";
/// What clang makes of it.
pub(crate) const OBJECT: &str = "page_walk.bpf.o";
/// Their and all headers' checksums, in the form that `sha256sum --check` reads, below a line that names the clang.
pub(crate) const SUMS: &str = "SHA256SUMS";

const MADE_BY: &str = "# made by clang ";

/// Where the three lie.
pub(crate) fn folder(root: &Path) -> PathBuf {
    root.join("crates/etmem-linux/bpf")
}

/// Makes the object and its checksums again.
pub(crate) fn rebuild(root: &Path) -> anyhow::Result<()> {
    let folder = folder(root);
    let Some(clang) = installed_clang()? else { bail!("clang is not installed; run make setup") };
    compile(&folder, &folder.join(OBJECT))?;
    let sums = run(Command::new("sha256sum").current_dir(&folder).args(summed(&folder)?))?;
    let path = folder.join(SUMS);
    std::fs::write(&path, format!("{MADE_BY}{clang}\n{}", String::from_utf8_lossy(&sums.stdout)))
        .with_context(|| format!("write {}", path.display()))?;
    println!("made {OBJECT} and {SUMS} with clang {clang} in {}", folder.display());
    Ok(())
}

/// The files whose checksums are recorded: every source and header, and the object.
fn summed(folder: &Path) -> anyhow::Result<Vec<OsString>> {
    let entries = std::fs::read_dir(folder).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let entries = entries.with_context(|| format!("list {}", folder.display()))?;
    let mut names: Vec<OsString> = entries
        .iter()
        .map(std::fs::DirEntry::file_name)
        .filter(|name| Path::new(name).extension().is_some_and(|kind| kind == "c" || kind == "h"))
        .collect();
    names.sort();
    names.push(OBJECT.into());
    Ok(names)
}

/// Compiles the source in `folder` to `object`.
pub(crate) fn compile(folder: &Path, object: &Path) -> anyhow::Result<()> {
    // The object's line table names the source: without a compilation folder of "." it would name this machine's.
    let mut flags = vec!["-O2", "-g", "-mcpu=v3", "-target", "bpf", "-fdebug-compilation-dir=."];
    flags.extend(["-Wall", "-Wextra", "-Werror", "-c", SOURCE, "-o"]);
    run(Command::new("clang").current_dir(folder).args(flags).arg(object))?;
    // Without the debugger's sections; the types and lines that the kernel wants stay.
    run(Command::new("llvm-strip").arg("-g").arg(object))?;
    Ok(())
}

/// The major version of the clang installed here, if there is one.
pub(crate) fn installed_clang() -> anyhow::Result<Option<u32>> {
    match Command::new("clang").arg("--version").output() {
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            let version = major_version(&text).with_context(|| format!("clang --version says {text:?}"))?;
            Ok(Some(version))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).context("run clang --version"),
    }
}

fn major_version(text: &str) -> Option<u32> {
    let (_, version) = text.split_once("clang version ")?;
    version.split('.').next()?.parse().ok()
}

/// The major version of the clang that made the committed object, as the text of `SHA256SUMS` tells it.
pub(crate) fn recorded_clang(sums: &str) -> Option<u32> {
    sums.lines().find_map(|line| line.strip_prefix(MADE_BY))?.trim().parse().ok()
}

/// Runs `command`; where it fails, its own words are the error.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<Output> {
    let name = command.get_program().display().to_string();
    let output = command.output().with_context(|| format!("run {name} (is it installed? try make setup)"))?;
    if !output.status.success() {
        let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        bail!("{name} failed, {}:\n{}", output.status, said.concat().trim_end());
    }
    Ok(output)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_clang() {
        for (text, want) in [
            ("Debian clang version 14.0.6\nTarget: x86_64-pc-linux-gnu\n", Some(14)),
            ("Ubuntu clang version 18.1.3 (1ubuntu1)\n", Some(18)),
            ("clang version 21.1.0\n", Some(21)),
            ("gcc (Debian 12.2.0) 12.2.0\n", None),
            ("", None),
        ] {
            assert_eq!(major_version(text), want, "{text:?}");
        }
    }

    #[test]
    fn the_record_names_its_clang() {
        assert_eq!(recorded_clang("# made by clang 14\n0af1  page_walk.bpf.c\n"), Some(14));
        assert_eq!(recorded_clang("0af1  page_walk.bpf.c\n"), None);
        assert_eq!(recorded_clang("# made by clang of old\n"), None);
    }
}
