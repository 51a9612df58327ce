//! The pages of control groups by generations (MGLRU), each of which is what was used since the one before it was begun
//! (Documentation/admin-guide/mm/multigen_lru.rst in the kernel).
//!
//! ```text
//! memcg    31 /system.slice/a.service
//!  node     0
//!           7     120021      34011          0
//!           8      90017       1200         12
//! ```
//!
//! A line for each generation has its number, its age in milliseconds, and its anonymous and file pages. The lists have those of the
//! youngest two as active (`lru_gen_is_active`, include/linux/mm_inline.h).

use crate::root::SysRoot;
use etmem_core::kernel::groups::{Group, Seen};
use etmem_core::kernel::pacer::{Pace, Pacer};
use std::fs;
use std::io::Write;
use std::time::Duration;

/// Bits of `enabled`: pages are kept by generations, and what was used is found in page tables.
const KEPT_AND_LOOKED_FOR: u32 = 3;

/// The generations of the memory that a group has on a node.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Generations {
    group: String,
    /// The kernel's number of the group's memory.
    number: u64,
    node: u32,
    youngest: u64,
    /// Ages of the youngest two.
    ages: [Duration; 2],
    pages: u64,
}

/// Begins a generation of `groups` and of those below them. Whether it could be done for any.
pub(super) fn begin(sys: &SysRoot, groups: &[Group], swaps: bool, pacer: &dyn Pacer) -> bool {
    let [file, _] = sys.generations();
    let Some(text) = text(sys) else { return false };
    let Ok(mut file) = fs::File::options().write(true).open(file) else { return false };
    let mut begun = false;
    for Generations { group, number, node, youngest, .. } in generations(&text) {
        if pacer.pace() == Pace::Stop {
            break;
        }
        if !groups.iter().any(|one| contains(one, &group)) {
            continue;
        }
        // The last number: all page tables are gone through, and a generation is given up where there are too many.
        let command = format!("+ {number} {node} {youngest} {} 1", u8::from(swaps));
        // It fails where the kernel has begun one meanwhile, or the group is gone.
        begun |= file.write_all(command.as_bytes()).is_ok();
    }
    begun
}

/// What is seen of each of `groups`: the least of all nodes and groups below.
pub(super) fn seen(sys: &SysRoot, groups: &[Group]) -> Vec<Option<Seen>> {
    let mut found: Vec<Option<Seen>> = vec![None; groups.len()];
    for Generations { group, ages: [youngest, second], pages, .. } in
        text(sys).as_deref().map(generations).unwrap_or_default()
    {
        let Some(place) = groups.iter().position(|one| contains(one, &group)) else { continue };
        let (idle_for, ago) = if pages == 0 {
            (Duration::MAX, Duration::MAX)
        } else {
            (second.saturating_sub(youngest), youngest)
        };
        let least = found[place].unwrap_or(Seen { idle_for, ago });
        found[place] = Some(Seen { idle_for: least.idle_for.min(idle_for), ago: least.ago.min(ago) });
    }
    found
}

/// What the kernel says, where it keeps generations by what is used.
fn text(sys: &SysRoot) -> Option<String> {
    let [file, enabled] = sys.generations();
    let bits = fs::read_to_string(enabled).ok()?;
    let bits = u32::from_str_radix(bits.trim().strip_prefix("0x")?, 16).ok()?;
    let is_kept = bits & KEPT_AND_LOOKED_FOR == KEPT_AND_LOOKED_FOR;
    // A group may have any name.
    is_kept.then(|| fs::read(file).ok()).flatten().map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

/// Whether `path`, from the root of the hierarchy, is that of `group` or of one below it.
fn contains(group: &Group, path: &str) -> bool {
    let below = path.strip_prefix('/').and_then(|path| path.strip_prefix(&*group.path));
    group.is_root() || below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The generations of each group on each node.
fn generations(text: &str) -> Vec<Generations> {
    let (mut found, mut group) = (Vec::<Generations>::new(), None);
    let mut begins = false;
    for line in text.lines() {
        let words = line.trim_start();
        if let Some(rest) = words.strip_prefix("memcg ") {
            let rest = rest.trim_start();
            let (number, path) = rest.split_once(' ').unwrap_or((rest, "/"));
            // A group that was removed while pages of it are left has the path that it had, and no number: none of it is reclaimed
            // with the group that has its path since.
            let number = number.parse().ok().filter(|number: &u64| *number > 0);
            group = number.map(|number| (number, path.to_owned()));
            begins = false;
        } else if let Some(node) = words.strip_prefix("node ") {
            begins = false;
            let Some(((number, path), node)) = group.clone().zip(node.trim().parse().ok()) else { continue };
            let none = [Duration::ZERO; 2];
            found.push(Generations { group: path, number, node, youngest: 0, ages: none, pages: 0 });
            begins = true;
        } else if let (true, Some(last)) = (begins, found.last_mut()) {
            let mut numbers = words.split_whitespace().map_while(|word| word.parse::<u64>().ok());
            if let (Some(generation), Some(age)) = (numbers.next(), numbers.next()) {
                last.youngest = generation;
                last.ages = [Duration::from_millis(age), last.ages[0]];
                last.pages += numbers.sum::<u64>();
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use etmem_testkit::fake::FakePacer;

    const TEXT: &str = "memcg     1 /
 node     0
        676    3602084     101382     186352 
        677    2001980      39203      10293 
        678    1000000          0       1203 
        679       1200       3430          0 
 node     1
          4      10000          0          0 
memcg 4294967399 /a/b c
 node     0
          7     120021      34011         0x
          8      90017       1200         12 
memcg     0 /a/b c
 node     0
          3       5000      34011          0 
          4       5000          0          0 
memcg    32 /a/bc
 node     0
          9     120021      34011          0 
";

    fn group(path: &str) -> Group {
        Group { path: path.into(), id: 1 }
    }

    #[test]
    fn the_youngest_generations_of_each_group_and_node() {
        let all = |group: &str, number, node, youngest, ages: [u64; 2], pages| Generations {
            group: group.to_owned(),
            number,
            node,
            youngest,
            ages: ages.map(Duration::from_millis),
            pages,
        };
        let want = [
            all("/", 1, 0, 679, [1200, 1_000_000], 341_863),
            all("/", 1, 1, 4, [10_000, 0], 0),
            all("/a/b c", 4_294_967_399, 0, 8, [90_017, 120_021], 35_223),
            all("/a/bc", 32, 0, 9, [120_021, 0], 34_011),
        ];
        assert_eq!(generations(TEXT), want);
        for garbage in ["", "memcg", "memcg x y\n node 0\n 1 2", "node 0\n 1", "memcg 1 /\n node x\n 7 8"] {
            assert_eq!(generations(garbage), [], "{garbage:?}");
        }
    }

    #[test]
    fn generations_begin_for_a_group_and_those_below_it() {
        let folder = tempfile::tempdir().unwrap();
        let sys = SysRoot::new(folder.path());
        let [file, enabled] = sys.generations();
        let groups = [group("a/b c"), group("gone")];
        let pacer = FakePacer::endless();
        assert!(!begin(&sys, &groups, true, &pacer), "no such file");
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::create_dir_all(enabled.parent().unwrap()).unwrap();
        for bits in ["0x0000\n", "0x0001\n", "0x0005\n", "0x0003\n", "0x0007\n"] {
            fs::write(&enabled, bits).unwrap();
            fs::write(&file, [TEXT.as_bytes(), b"memcg 40 /\xff\n"].concat()).unwrap();
            let works = ["0x0003\n", "0x0007\n"].contains(&bits);
            let [idle_for, ago] = [30_004, 90_017].map(Duration::from_millis);
            let want = if works { [Some(Seen { idle_for, ago }), None] } else { [None; 2] };
            assert_eq!(seen(&sys, &groups), want, "{bits}");
            assert_eq!(begin(&sys, &groups, true, &pacer), works, "{bits}");
        }
        assert!(fs::read(&file).unwrap().starts_with(b"+ 4294967399 0 8 1 1"));
        let paths = ["/", "/a", "/a/b c", "/a/b c/d", "/a/bc"];
        let within = |path: &str| paths.map(|one| contains(&group(path), one));
        assert_eq!(within(""), [true; 5]);
        assert_eq!(within("a/b c"), [false, false, true, true, false]);
    }

    #[test]
    fn a_group_is_idle_for_as_long_as_what_of_it_was_idle_for_the_shortest_time() {
        let folder = tempfile::tempdir().unwrap();
        let sys = SysRoot::new(folder.path());
        let [file, enabled] = sys.generations();
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::create_dir_all(enabled.parent().unwrap()).unwrap();
        fs::write(&enabled, "0x0007\n").unwrap();
        fs::write(&file, TEXT).unwrap();
        let seconds = |path| seen(&sys, &[group(path)])[0].map(|seen| seen.idle_for.as_secs());
        assert_eq!([seconds("a/b c"), seconds("a"), seconds("b")], [Some(30), Some(0), None]);
    }
}
