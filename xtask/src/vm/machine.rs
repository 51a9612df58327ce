//! Which machine QEMU is to be: processors, page table levels, memory and its nodes.

use anyhow::bail;
use std::ffi::OsString;
use std::path::Path;

const PROCESSORS: u32 = 2;
/// Distances as machines tell them whose sockets have slower memory, such as CXL's or persistent memory, in nodes without
/// processors: a node's own memory, the slower memory of the same socket, the other socket's, and all that lies behind
/// it.
const OWN: u32 = 10;
const SLOWER: u32 = 17;
const OTHER_SOCKET: u32 = 20;
const FAR: u32 = 28;

/// Levels of the page tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Levels {
    /// 48 bits of address.
    Four,
    /// 57 bits of address.
    Five,
}

/// The machine wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Machine {
    /// Levels of its page tables.
    pub(crate) levels: Levels,
    /// NUMA nodes. The first half of them, but no more than there are processors, are fast: these have the processors.
    /// The others are slow, and belong to the fast ones in turn: of 4 nodes, 2 to 0 and 3 to 1.
    pub(crate) nodes: u32,
    /// Memory of all nodes together, MiB.
    pub(crate) mebibytes: u32,
}

/// The files that a boot reads and writes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Files<'a> {
    /// The kernel's image.
    pub(crate) image: &'a Path,
    /// The archive that it unpacks.
    pub(crate) initramfs: &'a Path,
    /// A disk that the machine changes for itself alone.
    pub(crate) disk: Option<&'a Path>,
    /// Where the kernel's messages go.
    pub(crate) console: &'a Path,
    /// Where the first script's reports go.
    pub(crate) report: &'a Path,
}

impl Machine {
    /// The arguments for QEMU. The command's output comes on QEMU's standard output.
    pub(crate) fn arguments(&self, files: Files<'_>) -> anyhow::Result<Vec<OsString>> {
        let cpu = match self.levels {
            Levels::Four => "max,la57=off",
            Levels::Five => "max",
        };
        // KSM of this machine would merge what guests have, which trials of it do not expect.
        let mut arguments: Vec<OsString> = [
            "-machine q35,mem-merge=off -accel tcg,thread=multi -nodefaults -display none -no-reboot"
                .to_owned(),
            format!("-cpu {cpu} -smp {PROCESSORS} -m {}M", self.mebibytes),
        ]
        .iter()
        .flat_map(|line| line.split(' '))
        .map(OsString::from)
        .collect();
        for node in self.node_arguments()? {
            arguments.extend(node.split(' ').map(OsString::from));
        }
        for (option, path) in [("-kernel", files.image), ("-initrd", files.initramfs)] {
            arguments.extend([option.into(), path.into()]);
        }
        // A panic or an oops restarts the machine, which by -no-reboot ends it. The kernel's tests of its own
        // cryptography and its shields against other guests only take time here.
        let kernel = "console=ttyS0 panic=-1 oops=panic mitigations=off cryptomgr.notests=1";
        arguments.extend(["-append".into(), kernel.into()]);
        if let Some(disk) = files.disk {
            let disk = doubled_commas(disk);
            let drive = format!("file={disk},format=raw,if=virtio,snapshot=on,cache=unsafe");
            arguments.extend(["-drive".into(), drive.into()]);
        }
        for (option, path) in
            [("console", Some(files.console)), ("output", None), ("report", Some(files.report))]
        {
            let mut device = OsString::from(match path {
                Some(_) => format!("file,id={option},path="),
                None => format!("stdio,id={option},signal=off"),
            });
            if let Some(path) = path {
                device.push(doubled_commas(path));
            }
            arguments.extend(["-chardev".into(), device]);
            arguments.extend(["-serial".into(), format!("chardev:{option}").into()]);
        }
        Ok(arguments)
    }

    fn node_arguments(&self) -> anyhow::Result<Vec<String>> {
        let (nodes, mebibytes) = (self.nodes, self.mebibytes);
        if nodes <= 1 {
            return Ok(Vec::new());
        }
        let share = mebibytes / nodes;
        if share == 0 {
            bail!("{mebibytes} MiB are too little for {nodes} nodes; raise --mem");
        }
        let fast = (nodes / 2).min(PROCESSORS);
        let mut arguments = Vec::new();
        for node in 0..nodes {
            let size = if node == 0 { mebibytes - share * (nodes - 1) } else { share };
            arguments.push(format!("-object memory-backend-ram,id=memory{node},size={size}M"));
            arguments.push(format!("-numa node,nodeid={node},memdev=memory{node}{}", processors(node, fast)));
        }
        for from in 0..nodes {
            for to in 0..nodes {
                let distance = distance(from, to, fast);
                arguments.push(format!("-numa dist,src={from},dst={to},val={distance}"));
            }
        }
        Ok(arguments)
    }
}

/// The processors of `node`, in the words of QEMU; the first `fast` nodes share them, and the last of these has what is
/// left over.
fn processors(node: u32, fast: u32) -> String {
    let share = PROCESSORS / fast;
    if node >= fast {
        return String::new();
    }
    let (first, last) = (node * share, if node + 1 == fast { PROCESSORS } else { (node + 1) * share } - 1);
    if first == last { format!(",cpus={first}") } else { format!(",cpus={first}-{last}") }
}

/// How far `to` is from `from`, where the first `fast` nodes are.
fn distance(from: u32, to: u32, fast: u32) -> u32 {
    let is_fast = |node| node < fast;
    match (from, to) {
        _ if from == to => OWN,
        _ if is_fast(from) && is_fast(to) => OTHER_SOCKET,
        _ if is_fast(from) != is_fast(to) && from % fast == to % fast => SLOWER,
        _ => FAR,
    }
}

/// QEMU takes a comma for the beginning of the next option.
fn doubled_commas(path: &Path) -> String {
    path.display().to_string().replace(',', ",,")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(machine: Machine) -> String {
        let [image, initramfs, disk, console, report] =
            ["/k/vmlinuz", "/r/initramfs", "/c/a,b.ext4", "/r/a,b/console", "/r/report"].map(Path::new);
        let arguments =
            machine.arguments(Files { image, initramfs, disk: Some(disk), console, report }).unwrap();
        arguments.join(" ".as_ref()).into_string().unwrap()
    }

    #[test]
    fn levels_of_the_page_tables() {
        let machine = Machine { levels: Levels::Four, nodes: 1, mebibytes: 512 };
        assert!(arguments(machine).contains("-cpu max,la57=off -smp 2 -m 512M "));
        assert!(arguments(Machine { levels: Levels::Five, ..machine }).contains("-cpu max -smp"));
        assert!(!arguments(machine).contains("numa"));
    }

    #[test]
    fn ports_and_files() {
        let text = arguments(Machine { levels: Levels::Five, nodes: 1, mebibytes: 512 });
        assert!(text.contains("-kernel /k/vmlinuz -initrd /r/initramfs "), "{text}");
        assert!(text.contains("-drive file=/c/a,,b.ext4,format=raw,if=virtio,snapshot=on,"), "{text}");
        assert!(
            text.ends_with(
                "-chardev file,id=console,path=/r/a,,b/console -serial chardev:console \
                 -chardev stdio,id=output,signal=off -serial chardev:output \
                 -chardev file,id=report,path=/r/report -serial chardev:report"
            ),
            "{text}"
        );
    }

    fn node_arguments(nodes: u32, mebibytes: u32) -> Vec<String> {
        Machine { levels: Levels::Four, nodes, mebibytes }.node_arguments().unwrap()
    }

    #[test]
    fn nodes_share_the_memory_and_the_first_has_the_processors() {
        assert_eq!(
            node_arguments(3, 1000),
            [
                "-object memory-backend-ram,id=memory0,size=334M",
                "-numa node,nodeid=0,memdev=memory0,cpus=0-1",
                "-object memory-backend-ram,id=memory1,size=333M",
                "-numa node,nodeid=1,memdev=memory1",
                "-object memory-backend-ram,id=memory2,size=333M",
                "-numa node,nodeid=2,memdev=memory2",
                "-numa dist,src=0,dst=0,val=10",
                "-numa dist,src=0,dst=1,val=17",
                "-numa dist,src=0,dst=2,val=17",
                "-numa dist,src=1,dst=0,val=17",
                "-numa dist,src=1,dst=1,val=10",
                "-numa dist,src=1,dst=2,val=28",
                "-numa dist,src=2,dst=0,val=17",
                "-numa dist,src=2,dst=1,val=28",
                "-numa dist,src=2,dst=2,val=10",
            ]
        );
        let too_small = Machine { levels: Levels::Four, nodes: 8, mebibytes: 4 };
        assert!(too_small.node_arguments().is_err());
    }

    #[test]
    fn four_nodes_are_two_pairs() {
        let arguments = node_arguments(4, 1024);
        let nodes: Vec<&String> = arguments.iter().filter(|line| line.starts_with("-numa node")).collect();
        assert_eq!(
            nodes,
            [
                "-numa node,nodeid=0,memdev=memory0,cpus=0",
                "-numa node,nodeid=1,memdev=memory1,cpus=1",
                "-numa node,nodeid=2,memdev=memory2",
                "-numa node,nodeid=3,memdev=memory3",
            ]
        );
        let rows: Vec<Vec<u32>> =
            (0..4).map(|from| (0..4).map(|to| distance(from, to, 2)).collect()).collect();
        assert_eq!(rows, [[10, 20, 17, 28], [20, 10, 28, 17], [17, 28, 10, 28], [28, 17, 28, 10]]);
    }
}
