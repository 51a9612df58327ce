//! Which probe can see which kind of memory at all: one table, by which `tracker=auto` chooses, by which a start is refused, and
//! which `etmem doctor` shows.
//!
//! Every probe sees what a program touches of its own, through its own page tables. The rest is here. What cannot be known
//! beforehand, a sample shows (`etmem_core::act::Sample`).

use crate::unavailable::Unavailable;
use etmem_core::kernel::wishes::{Tracker, Wishes};

/// A kind of memory that not every probe sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The pool of huge pages.
    HugePool,
    /// Memory of a KVM guest.
    Guest,
    /// Mappings that the program has marked (`swap_flag=yes`).
    Marked,
    /// A guest's memory without what the host touches of it (`ign_host=yes`).
    WithoutHost,
    /// Ordinary memory, in huge pages only.
    HugeOnly,
}

/// A kind of memory, and the probes that do not see it.
#[derive(Debug)]
struct Row {
    kind: Kind,
    /// What it is, for people.
    what: &'static str,
    /// Whether a task is about it.
    is_wanted: fn(&Wishes) -> bool,
    /// The probes that do not see it, each with the reason.
    blind: &'static [(Tracker, &'static str)],
    /// What sees it, or what to do instead.
    instead: &'static str,
}

const NO_CALL: &str = "only the probe etmem can do that";

/// The probes other than the module's.
const ONLY_MODULE: &[(Tracker, &str)] =
    &[(Tracker::Bpf, NO_CALL), (Tracker::Idle, NO_CALL), (Tracker::Damon, NO_CALL)];

/// The table. Where a task is about several kinds, the first that a probe does not see is named.
const TABLE: [Row; 5] = [
    Row {
        kind: Kind::Marked,
        what: "swap_flag=yes",
        is_wanted: |wishes| wishes.scan.only_marked,
        blind: ONLY_MODULE,
        instead: "leave it out, and name the mappings by vm_flags=",
    },
    Row {
        kind: Kind::WithoutHost,
        what: "ign_host=yes",
        is_wanted: |wishes| wishes.scan.ignore_host,
        blind: ONLY_MODULE,
        instead: "leave it out",
    },
    Row {
        kind: Kind::HugeOnly,
        what: "a scan of huge pages only",
        // Pages of the pool are huge for every probe.
        is_wanted: |wishes| wishes.scan.as_huge && !wishes.huge_pool,
        blind: ONLY_MODULE,
        instead: "leave it out",
    },
    Row {
        kind: Kind::HugePool,
        what: "the huge page pool (vm_flags=ht)",
        is_wanted: |wishes| wishes.huge_pool,
        blind: &[
            (
                Tracker::Bpf,
                "the kernel clears no accessed bits there (clear_refs), so that all would look touched",
            ),
            (Tracker::Idle, "the kernel does not track its pages"),
        ],
        instead: "tracker=damon",
    },
    Row {
        kind: Kind::Guest,
        what: "what a KVM guest touches",
        is_wanted: |wishes| wishes.guest,
        blind: &[(
            Tracker::Bpf,
            "a guest's accesses go through page tables of its own, so that all of it would look cold",
        )],
        instead: "tracker=damon or idle",
    },
];

/// The probes in the order in which `tracker=auto` tries them for a task with `wishes`: what sees pages one by one comes before what
/// sees regions, except where DAMON is the one made for it.
pub(crate) const fn order(wishes: &Wishes) -> &'static [Tracker] {
    if wishes.huge_pool || wishes.guest {
        &[Tracker::Etmem, Tracker::Damon, Tracker::Idle]
    } else {
        &[Tracker::Etmem, Tracker::Bpf, Tracker::Idle, Tracker::Damon]
    }
}

/// Whether `probe` sees all that a task with `wishes` is about.
///
/// # Errors
/// What it does not see, why, and what to do.
pub(crate) fn check(probe: Tracker, wishes: &Wishes) -> Result<(), Unavailable> {
    let blind = TABLE.iter().filter(|row| (row.is_wanted)(wishes)).find_map(|row| {
        let (_, because) = row.blind.iter().find(|(blind, _)| *blind == probe)?;
        Some((row, *because))
    });
    match blind {
        None => Ok(()),
        Some((Row { kind: Kind::Marked | Kind::WithoutHost | Kind::HugeOnly, what, instead, .. }, _)) => {
            Err(Unavailable::OnlyEtmem { wish: what, way_out: instead })
        }
        Some((Row { kind: Kind::HugePool | Kind::Guest, what, instead, .. }, because)) => {
            Err(Unavailable::Blind { probe: probe.name(), what, because, instead })
        }
    }
}

/// Why `probe` does not see memory of this kind; `None` if it does.
pub(crate) fn blind_to(probe: Tracker, kind: Kind) -> Option<&'static str> {
    let row = TABLE.iter().find(|row| row.kind == kind)?;
    row.blind.iter().find(|(blind, _)| *blind == probe).map(|(_, because)| *because)
}

/// What the probe called `probe` does not see, a line for each kind, for people; nothing for what is no probe.
pub(crate) fn blind_spots(probe: &str) -> Vec<String> {
    let line = |row: &Row| {
        let (_, because) = row.blind.iter().find(|(blind, _)| blind.name() == probe)?;
        Some(format!("not for {}: {because}; {}", row.what, row.instead))
    };
    TABLE.iter().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use etmem_core::kernel::wishes::ScanWishes;

    /// The whole table once more, in the other direction: what of each kind sees it.
    #[test]
    fn what_sees_what() {
        let scan = |scan| Wishes { scan, ..Wishes::default() };
        let none = ScanWishes::default();
        use Tracker::{Bpf, Damon, Etmem, Idle};
        for (kind, wishes, sees) in [
            ("own memory", Wishes::default(), &[Etmem, Bpf, Idle, Damon][..]),
            ("pool", Wishes { huge_pool: true, ..Wishes::default() }, &[Etmem, Damon]),
            ("guest", Wishes { guest: true, ..Wishes::default() }, &[Etmem, Damon, Idle]),
            (
                "guest in the pool",
                Wishes { guest: true, huge_pool: true, ..Wishes::default() },
                &[Etmem, Damon],
            ),
            ("marked", scan(ScanWishes { only_marked: true, ..none }), &[Etmem]),
            ("without the host", scan(ScanWishes { ignore_host: true, ..none }), &[Etmem]),
            ("huge only", scan(ScanWishes { as_huge: true, ..none }), &[Etmem]),
        ] {
            let seeing: Vec<Tracker> =
                order(&wishes).iter().copied().filter(|probe| check(*probe, &wishes).is_ok()).collect();
            assert_eq!(seeing, sees, "{kind}");
        }
    }

    #[test]
    fn a_guest_is_seen_by_all_but_bpf() {
        assert!(blind_to(Tracker::Bpf, Kind::Guest).is_some_and(|because| because.contains("page tables")));
        for probe in [Tracker::Etmem, Tracker::Idle, Tracker::Damon] {
            assert_eq!(blind_to(probe, Kind::Guest), None);
        }
        assert!(blind_spots("etmem").is_empty() && blind_spots("madvise").is_empty());
        assert_eq!((blind_spots("bpf").len(), blind_spots("damon").len()), (5, 3));
    }
}
