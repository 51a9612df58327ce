//! The keys of a noop task.

use etmem_config::keys;
use etmem_config::values::pause;
use std::time::Duration;

keys! { pub(super) TASK;
    VISIT: Duration = or("visit", "10ms", pause).ours("0.1.0").unit("seconds")
        .help("How long to stay with each process in a cycle.").example("200ms");
}
