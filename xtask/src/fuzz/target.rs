//! The fuzz targets that there are.

/// A reader of bytes from outside, by the name of its program in the package `fuzz`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Target {
    /// Its name; its dictionary is `fuzz/dictionaries/NAME.txt`.
    pub(crate) name: &'static str,
    /// Folders with inputs to begin with.
    pub(crate) seeds: &'static [&'static str],
    /// Most bytes of an input.
    pub(crate) longest: u32,
}

/// Every target.
pub(crate) const TARGETS: [Target; 5] = [
    // The reader keeps 513 bytes.
    Target { name: "request", seeds: &["fuzz/seeds/request"], longest: 640 },
    Target { name: "key_file", seeds: &["fuzz/seeds/key_file", "etc/etmem"], longest: 4096 },
    Target { name: "idle_pages", seeds: &["fuzz/seeds/idle_pages"], longest: 640 },
    Target { name: "record", seeds: &["fuzz/seeds/record"], longest: 4096 },
    Target { name: "older", seeds: &["fuzz/seeds/older", "etc/etmem"], longest: 4096 },
];

/// The target called `name`.
pub(crate) fn named(name: &str) -> Option<Target> {
    TARGETS.into_iter().find(|target| target.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project;

    #[test]
    fn each_has_its_program_dictionary_and_seeds() {
        let root = project::root();
        let manifest = std::fs::read_to_string(root.join("fuzz/Cargo.toml")).unwrap();
        for target in TARGETS {
            assert!(manifest.contains(&format!("name = \"{}\"", target.name)), "{}", target.name);
            assert!(root.join(format!("fuzz/dictionaries/{}.txt", target.name)).is_file(), "{}", target.name);
            for folder in target.seeds {
                let files = std::fs::read_dir(root.join(folder)).unwrap();
                let sizes: Vec<u64> = files.map(|file| file.unwrap().metadata().unwrap().len()).collect();
                assert!(!sizes.is_empty(), "{folder}");
                assert!(sizes.iter().all(|size| *size <= target.longest.into()), "{folder} has longer ones");
            }
        }
        let programs = manifest.matches("[[bin]]").count();
        assert_eq!(programs, TARGETS.len(), "fuzz/Cargo.toml has a program that is never run");
    }
}
