//! Which machine QEMU is to be: processors, page table levels, memory and its nodes.

use anyhow::bail;
use std::ffi::OsString;
use std::path::Path;

const PROCESSORS: u32 = 2;
/// Distances as a machine tells them that has memory without processors, such as CXL's, in nodes of its own:
/// 10 is a node's own memory.
const OWN: u32 = 10;
const FROM_FIRST: u32 = 17;
const BETWEEN_OTHERS: u32 = 28;

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
    /// NUMA nodes; all processors belong to the first.
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
        let mut arguments: Vec<OsString> = [
            "-machine q35 -accel tcg,thread=multi -nodefaults -display none -no-reboot".to_owned(),
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
        let mut arguments = Vec::new();
        for node in 0..nodes {
            let (processors, size) = match node {
                0 => (format!(",cpus=0-{}", PROCESSORS - 1), mebibytes - share * (nodes - 1)),
                _ => (String::new(), share),
            };
            arguments.push(format!("-object memory-backend-ram,id=memory{node},size={size}M"));
            arguments.push(format!("-numa node,nodeid={node},memdev=memory{node}{processors}"));
        }
        for from in 0..nodes {
            for to in 0..nodes {
                let distance = match (from, to) {
                    _ if from == to => OWN,
                    (0, _) | (_, 0) => FROM_FIRST,
                    _ => BETWEEN_OTHERS,
                };
                arguments.push(format!("-numa dist,src={from},dst={to},val={distance}"));
            }
        }
        Ok(arguments)
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
        let [image, initramfs, console, report] =
            ["/k/vmlinuz", "/r/initramfs", "/r/a,b/console", "/r/report"].map(Path::new);
        let arguments = machine.arguments(Files { image, initramfs, console, report }).unwrap();
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
        assert!(
            text.ends_with(
                "-chardev file,id=console,path=/r/a,,b/console -serial chardev:console \
                 -chardev stdio,id=output,signal=off -serial chardev:output \
                 -chardev file,id=report,path=/r/report -serial chardev:report"
            ),
            "{text}"
        );
    }

    #[test]
    fn nodes_share_the_memory_and_the_first_has_the_processors() {
        let machine = Machine { levels: Levels::Four, nodes: 3, mebibytes: 1000 };
        assert_eq!(
            machine.node_arguments().unwrap(),
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
        assert!(Machine { nodes: 8, mebibytes: 4, ..machine }.node_arguments().is_err());
    }
}
