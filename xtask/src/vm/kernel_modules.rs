//! The kernel modules asked for and those they need, in the order to load them.
//!
//! Debian's package has no `modules.dep` (its installation makes one), so each module is asked itself: its
//! `.modinfo` section holds a string `depends=ONE,OTHER`.

use super::missing;
use anyhow::{Context, bail};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A module, ready to be loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Module {
    /// Its name as the kernel says it, with `_`.
    pub(crate) name: String,
    /// The object, uncompressed.
    pub(crate) object: Vec<u8>,
}

/// The modules `wanted` and what they need, from `folder` (`/lib/modules/RELEASE` of the package), the needed first.
/// What is built into the kernel needs no loading and is left out.
pub(crate) fn with_needs(folder: &Path, wanted: &[String]) -> anyhow::Result<Vec<Module>> {
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let mut files = BTreeMap::new();
    collect(folder, &mut files)?;
    let list = folder.join("modules.builtin");
    let built_in = std::fs::read_to_string(&list).with_context(|| format!("read {}", list.display()))?;
    let built_in: BTreeSet<String> =
        built_in.lines().filter_map(|line| module_name(Path::new(line))).collect();

    let mut objects = BTreeMap::new();
    let order = in_loading_order(wanted, |name| {
        if built_in.contains(name) {
            return Ok(None);
        }
        let file = files
            .get(name)
            .with_context(|| format!("this kernel has no module {name} (looked in {})", folder.display()))?;
        let object = uncompressed(file)?;
        let needs =
            needs_of(&object).with_context(|| format!("{} says not what it needs", file.display()))?;
        objects.insert(name.to_owned(), object);
        Ok(Some(needs))
    })?;
    Ok(order
        .into_iter()
        .filter_map(|name| objects.remove(&name).map(|object| Module { name, object }))
        .collect())
}

/// `wanted` and all they need by `needs` (`None`: nothing to load), each once and behind its own needs.
fn in_loading_order(
    wanted: &[String],
    mut needs: impl FnMut(&str) -> anyhow::Result<Option<Vec<String>>>,
) -> anyhow::Result<Vec<String>> {
    let mut order = Vec::new();
    let mut seen = BTreeSet::new();
    // A module comes up twice: first to ask for its needs, then, when those are placed, to be placed itself.
    let mut open: Vec<(String, bool)> =
        wanted.iter().rev().map(|name| (name.replace('-', "_"), false)).collect();
    while let Some((name, needs_are_placed)) = open.pop() {
        if needs_are_placed {
            order.push(name);
        } else if seen.insert(name.clone())
            && let Some(needed) = needs(&name)?
        {
            open.push((name, true));
            open.extend(needed.into_iter().rev().map(|name| (name, false)));
        }
    }
    Ok(order)
}

/// Each module's file below `folder`, by name.
fn collect(folder: &Path, files: &mut BTreeMap<String, PathBuf>) -> anyhow::Result<()> {
    let listed = || format!("list {}", folder.display());
    for entry in std::fs::read_dir(folder).with_context(listed)? {
        let entry = entry.with_context(listed)?;
        if entry.file_type().with_context(listed)?.is_dir() {
            collect(&entry.path(), files)?;
        } else if let Some(name) = module_name(&entry.path()) {
            files.insert(name, entry.path());
        }
    }
    Ok(())
}

/// The module that a file such as `crypto/lzo-rle.ko.xz` holds; `None` if it holds none.
fn module_name(file: &Path) -> Option<String> {
    let name = file.file_name()?.to_str()?;
    let (name, compression) = name.split_once(".ko")?;
    matches!(compression, "" | ".xz" | ".gz").then(|| name.replace('-', "_"))
}

fn uncompressed(file: &Path) -> anyhow::Result<Vec<u8>> {
    let applet = match file.extension().and_then(|extension| extension.to_str()) {
        Some("xz") => "xzcat",
        Some("gz") => "zcat",
        _ => return std::fs::read(file).with_context(|| format!("read {}", file.display())),
    };
    let output = missing::output(Command::new("busybox").arg(applet).arg(file), "busybox-static")?;
    if !output.status.success() {
        bail!(
            "busybox {applet} {} failed: {}",
            file.display(),
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(output.stdout)
}

/// What a module's object says in its `.modinfo`; `None` if it says nothing, which no module of a kernel does.
fn needs_of(object: &[u8]) -> Option<Vec<String>> {
    let key = b"\0depends=";
    let at = object.windows(key.len()).position(|window| window == key)?;
    let value = object.get(at + key.len()..)?.split(|byte| *byte == 0).next()?;
    let value = std::str::from_utf8(value).ok()?;
    Some(value.split(',').filter(|name| !name.is_empty()).map(|name| name.replace('-', "_")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(wanted: &[&str], table: &[(&str, &[&str])]) -> anyhow::Result<Vec<String>> {
        let wanted: Vec<String> = wanted.iter().map(|&name| name.to_owned()).collect();
        in_loading_order(&wanted, |name| {
            if name == "built_in" {
                return Ok(None);
            }
            let row = table.iter().find(|row| row.0 == name).with_context(|| format!("no module {name}"))?;
            Ok(Some(row.1.iter().map(|&need| need.to_owned()).collect()))
        })
    }

    #[test]
    fn needs_come_first_and_once() {
        let table: &[(&str, &[&str])] = &[
            ("zram", &["lz4_compress", "zsmalloc"]),
            ("lz4", &["lz4_compress", "built_in"]),
            ("lz4_compress", &[]),
            ("zsmalloc", &[]),
            ("lzo_rle", &[]),
        ];
        assert_eq!(order(&["zram", "lz4"], table).unwrap(), ["lz4_compress", "zsmalloc", "zram", "lz4"]);
        assert_eq!(order(&["lzo-rle", "lzo-rle"], table).unwrap(), ["lzo_rle"]);
        assert_eq!(order(&["built-in"], table).unwrap(), Vec::<String>::new());
        assert!(order(&["gone"], table).unwrap_err().to_string().contains("gone"));
    }

    #[test]
    fn a_circle_ends() {
        let order = order(&["one"], &[("one", &["two"]), ("two", &["one"])]).unwrap();
        assert_eq!(order, ["two", "one"]);
    }

    #[test]
    fn names_of_files() {
        for (file, want) in [
            ("kernel/drivers/block/zram/zram.ko", Some("zram")),
            ("kernel/crypto/lzo-rle.ko.xz", Some("lzo_rle")),
            ("modules.builtin", None),
            ("kernel/zram.ko.lzma", None),
        ] {
            assert_eq!(module_name(Path::new(file)).as_deref(), want, "{file}");
        }
    }

    #[test]
    fn needs_as_the_object_says_them() {
        let needs = |object: &[u8]| needs_of(object).map(|needs| needs.join(" "));
        assert_eq!(
            needs(b"\x7fELF\0license=GPL\0depends=lz4hc-compress,zsmalloc\0name=zram\0").as_deref(),
            Some("lz4hc_compress zsmalloc")
        );
        assert_eq!(needs(b"\0depends=\0name=zsmalloc\0").as_deref(), Some(""));
        assert_eq!(needs(b"\0name=zsmalloc\0").as_deref(), None);
    }
}
