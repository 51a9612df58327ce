//! The pages of control groups by generations, each of which is what was used since the one before it was made
//! (Documentation/admin-guide/mm/multigen_lru.rst in the kernel).
//!
//! ```text
//! memcg    31 /system.slice/a.service
//!  node     0
//!           7     120021      34011          0
//!           8      90017       1200         12
//! ```

use crate::root::SysRoot;
use etmem_core::kernel::groups::Group;
use std::fs;
use std::io::Write;

/// A bit of `enabled`: pages are kept by generations.
const KEPT: u32 = 1;

/// Where a generation is made: of which group, by the kernel's number for its memory, on which node, and the youngest that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Youngest {
    group: String,
    number: u16,
    node: u32,
    generation: u64,
}

/// Begins a generation of `groups` and of those below them; which of `groups` it was that have any.
pub(super) fn begin(sys: &SysRoot, groups: &[Group], swaps: bool) -> Vec<Group> {
    let [file, enabled] = sys.generations();
    let is_kept = fs::read_to_string(enabled).ok().and_then(|text| {
        let bits = text.trim().strip_prefix("0x")?;
        Some(u32::from_str_radix(bits, 16).ok()? & KEPT != 0)
    });
    let (Some(true), Ok(text)) = (is_kept, fs::read_to_string(&file)) else { return Vec::new() };
    let Ok(mut file) = fs::File::options().write(true).open(file) else { return Vec::new() };
    let mut begun = Vec::new();
    for youngest in youngest(&text) {
        let Some(group) = groups.iter().find(|group| contains(group, &youngest.group)) else { continue };
        let Youngest { number, node, generation, .. } = youngest;
        // The last number: even where a generation has to be given up for it.
        let command = format!("+ {number} {node} {generation} {} 1", u8::from(swaps));
        if file.write_all(command.as_bytes()).is_ok() && !begun.contains(group) {
            begun.push(group.clone());
        }
    }
    begun
}

/// Whether `path`, from the root of the hierarchy, is that of `group` or of one below it.
fn contains(group: &Group, path: &str) -> bool {
    let below = path.strip_prefix('/').and_then(|path| path.strip_prefix(&*group.path));
    group.is_root() || below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The youngest generation of each group on each node.
fn youngest(text: &str) -> Vec<Youngest> {
    let (mut found, mut group) = (Vec::<Youngest>::new(), None);
    let mut begins = false;
    for line in text.lines() {
        let words = line.trim_start();
        if let Some(rest) = words.strip_prefix("memcg ") {
            let rest = rest.trim_start();
            let (number, path) = rest.split_once(' ').unwrap_or((rest, "/"));
            group = number.parse().ok().map(|number: u16| (number, path.to_owned()));
            begins = false;
        } else if let Some(node) = words.strip_prefix("node ") {
            let Some(((number, path), node)) = group.clone().zip(node.trim().parse().ok()) else { continue };
            found.push(Youngest { group: path, number, node, generation: 0 });
            begins = true;
        } else if let Some(generation) = words.split(' ').next().and_then(|word| word.parse().ok())
            && let (true, Some(last)) = (begins, found.last_mut())
        {
            last.generation = generation;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "memcg     1 /
 node     0
        676    3602084     101382     186352 
        677    2001980      39203      10293 
        678    1000000          0       1203 
        679       1200       3430          0 
 node     1
          4      10000          0          0 
memcg    31 /a/b c
 node     0
          7     120021      34011          0 
          8      90017       1200         12 
memcg    32 /a/bc
 node     0
          9     120021      34011          0 
";

    #[test]
    fn the_last_generation_of_each_group_and_node() {
        let all = |group: &str, number, node, generation| Youngest {
            group: group.to_owned(),
            number,
            node,
            generation,
        };
        let want = [all("/", 1, 0, 679), all("/", 1, 1, 4), all("/a/b c", 31, 0, 8), all("/a/bc", 32, 0, 9)];
        assert_eq!(youngest(TEXT), want);
        for garbage in ["", "memcg", "memcg x y\n node 0\n 1", "node 0\n 1", "memcg 1 /\n node x\n 7"] {
            assert_eq!(youngest(garbage), [], "{garbage:?}");
        }
    }

    #[test]
    fn generations_begin_for_a_group_and_those_below_it() {
        let folder = tempfile::tempdir().unwrap();
        let sys = SysRoot::new(folder.path());
        let [file, enabled] = sys.generations();
        let group = |path: &str| Group { path: path.into(), id: 1 };
        let groups = [group("a/b c"), group("gone")];
        assert_eq!(begin(&sys, &groups, true), [], "no such file");
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::create_dir_all(enabled.parent().unwrap()).unwrap();
        for (bits, begun) in [("0x0000\n", 0), ("0x0007\n", 1)] {
            fs::write(&enabled, bits).unwrap();
            fs::write(&file, TEXT).unwrap();
            assert_eq!(begin(&sys, &groups, true), groups[..begun], "{bits}");
        }
        assert!(fs::read_to_string(&file).unwrap().starts_with("+ 31 0 8 1 1"));
        let paths = ["/", "/a", "/a/b c", "/a/b c/d", "/a/bc"];
        let within = |path: &str| paths.map(|one| contains(&group(path), one));
        assert_eq!(within(""), [true; 5]);
        assert_eq!(within("a/b c"), [false, false, true, true, false]);
    }
}
