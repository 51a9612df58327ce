//! Which shared libraries a program needs, as `ldd` tells it.

use super::missing;
use anyhow::bail;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The libraries and the loader that `program` needs; none if it is not a dynamic program.
pub(crate) fn of(program: &Path) -> anyhow::Result<Vec<PathBuf>> {
    // The words are parsed, so they must not be translated.
    let output = missing::output(Command::new("ldd").arg(program).env("LC_ALL", "C"), "libc-bin")?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        if said.contains("not a dynamic executable") {
            return Ok(Vec::new());
        }
        bail!("ldd {} failed: {}", program.display(), said.trim_end());
    }
    parse(&String::from_utf8_lossy(&output.stdout), program)
}

fn parse(text: &str, program: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut libraries = Vec::new();
    for line in text.lines() {
        // "libc.so.6 => /lib/libc.so.6 (0x7f...)", or only the path, or only a name that the kernel itself brings.
        let place = line.split_once("=>").map_or(line, |(_, place)| place).trim();
        if place == "not found" {
            bail!("{} needs a library that is not here: {}", program.display(), line.trim());
        }
        let path = place.split_once(" (").map_or(place, |(path, _)| path);
        if path.starts_with('/') {
            libraries.push(PathBuf::from(path));
        }
    }
    Ok(libraries)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(text: &str) -> anyhow::Result<Vec<PathBuf>> {
        parse(text, Path::new("/bin/program"))
    }

    #[test]
    fn libraries_and_the_loader() {
        let text = "\tlinux-vdso.so.1 (0x00007ffd)\n\
                    \tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f0a)\n\
                    \t/lib64/ld-linux-x86-64.so.2 (0x00007f0b)\n";
        let want = ["/lib/x86_64-linux-gnu/libc.so.6", "/lib64/ld-linux-x86-64.so.2"].map(PathBuf::from);
        assert_eq!(paths(text).unwrap(), want);
        assert_eq!(paths("\tstatically linked\n").unwrap(), Vec::<PathBuf>::new());
    }

    #[test]
    fn a_library_that_is_not_there_is_named() {
        let error = paths("\tlibgone.so.1 => not found\n").unwrap_err().to_string();
        assert!(error.contains("/bin/program") && error.contains("libgone.so.1"), "{error}");
    }

    #[test]
    fn this_very_program_needs_the_c_library() {
        let libraries = of(&std::env::current_exe().unwrap()).unwrap();
        assert!(libraries.iter().any(|path| path.ends_with("libc.so.6")), "{libraries:?}");
    }
}
