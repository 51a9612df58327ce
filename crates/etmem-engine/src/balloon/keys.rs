//! The keys of engine balloon and of its tasks.

use etmem_config::error::Rule;
use etmem_config::keys;
use etmem_config::values::{Percent, decimal_or_none, mebibytes, within};
use std::path::{Path, PathBuf};

/// Most bytes of a socket's path (`sun_path` of unix(7) less its zero).
const LONGEST: usize = 107;

keys! { pub(super) ENGINE;
    HOST_FREE: Percent = or("host_free", "20", |text| Percent::read(text, 1)).ours("0.1.0").unit("% of memory")
        .help("Guests give while less of the host's memory is available than this, and get back when 5 % of its memory more than this is \
               available.").example("20");
    HOST_PRESSURE: Option<f64> = or("host_pressure", "10", |text| decimal_or_none(text, 0.0, 100.0)).ours("0.1.0")
        .unit("% of the last 10 s")
        .help("Guests give also while programs of the host wait for memory for more than this share of the time (PSI).").example("10");
}

keys! { pub(super) TASK;
    QMP_SOCKET: PathBuf = needed("qmp_socket", socket).ours("0.1.0")
        .help("The socket of a monitor of the guest that no other program uses (`-qmp unix:PATH,server=on,wait=off` of QEMU): it speaks \
               with one program at a time.").example("/run/qemu/web.qmp");
    BALLOON_MIN: u64 = or("balloon_min", "256", mebibytes).ours("0.1.0").unit("MiB")
        .help("The guest is always left with this, and always with what it uses and a fifth of that.").example("512");
    SHARES: u32 = or("shares", "1000", |text| within(text, 0, 50_000)).ours("0.1.0")
        .help("How late the guest gives, beside others: one with twice the shares is taken for one that has half of its memory \
               available. 0: it gives nothing.").example("2000");
}

fn socket(text: &str) -> Result<PathBuf, Rule> {
    let path = Path::new(text);
    let fits = path.is_absolute() && text.len() <= LONGEST && !text.contains('\0');
    fits.then(|| path.to_owned()).ok_or(Rule::Form("a path from / on, of at most 107 bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_is_a_whole_path() {
        assert_eq!(socket("/run/a b.sock").unwrap(), Path::new("/run/a b.sock"));
        for text in ["", "run/x", "@x", &format!("/{}", "n".repeat(107))] {
            assert!(socket(text).is_err(), "{text}");
        }
    }
}
