//! Which crate may use which: the table of ARCHITECTURE.md, as `cargo xtask check` reads it.
//!
//! Normal and build dependencies count; dev-dependencies are free. A crate needs a row before it can be built
//! on, and a dependency that its row does not list is a decision to be taken here, in sight of the reviewer.

/// A crate of the workspace and what it may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Row {
    /// The crate.
    pub(crate) name: &'static str,
    /// What it may use.
    pub(crate) may_use: MayUse,
}

/// What a crate may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MayUse {
    /// Part of what is installed: these crates of the workspace, and these from outside.
    Listed {
        /// Crates of the workspace.
        inside: &'static [&'static str],
        /// Crates from the registry.
        outside: &'static [&'static str],
    },
    /// Never installed: anything.
    Anything,
}

/// Crates that no part of the product may use, whatever its row: they are there for tests.
pub(crate) const FOR_TESTS_ONLY: [&str; 1] = ["etmem-testkit"];

/// The table.
pub(crate) const TABLE: [Row; 16] = [
    row("etmem-abi", &[], &[]),
    row("etmem-core", &[], &["thiserror"]),
    row("etmem-linux", &["etmem-core"], &["aya", "libc", "thiserror", "tracing"]),
    row("etmem-config", &["etmem-core"], &["nix", "serde", "strsim", "thiserror"]),
    row("etmem-engine", &["etmem-core", "etmem-config"], &["thiserror", "tracing"]),
    row(
        "etmem-plugin",
        &["etmem-abi", "etmem-core", "etmem-config", "etmem-engine"],
        &["libc", "libloading", "nix", "postcard", "serde", "tracing"],
    ),
    row("etmem-plugin-sdk", &["etmem-abi"], &["libc", "libloading"]),
    row("etmem-wire", &["etmem-core"], &["thiserror"]),
    row(
        "etmemd",
        &[
            "etmem-core",
            "etmem-linux",
            "etmem-config",
            "etmem-engine",
            "etmem-manual",
            "etmem-plugin",
            "etmem-wire",
        ],
        &[
            "clap",
            "nix",
            "serde_json",
            "thiserror",
            "tokio",
            "tracing",
            "tracing-journald",
            "tracing-subscriber",
        ],
    ),
    row("etmem-manual", &[], &["clap", "clap_mangen"]),
    row(
        "etmem",
        &["etmem-core", "etmem-config", "etmem-engine", "etmem-manual", "etmem-wire"],
        &["clap", "clap_complete", "nix", "thiserror"],
    ),
    row("etmemd-scan", &["etmem-abi", "etmem-core", "etmem-linux"], &["libc", "thiserror"]),
    Row { name: "cold-pages", may_use: MayUse::Anything },
    Row { name: "etmem-testkit", may_use: MayUse::Anything },
    Row { name: "etmem-tests", may_use: MayUse::Anything },
    Row { name: "xtask", may_use: MayUse::Anything },
];

const fn row(name: &'static str, inside: &'static [&'static str], outside: &'static [&'static str]) -> Row {
    Row { name, may_use: MayUse::Listed { inside, outside } }
}
