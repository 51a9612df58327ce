//! The real reads of the fixtures, byte for byte.

use anyhow::{Result, ensure};
use etmem_testkit::fake::proc::script::{
    Life, Modules, PageSize, Script, ScriptedMapping, ScriptedProcess, Segment, Texture, When,
};
use nix::errno::Errno;
use std::fs::File;

use crate::{PAGE, PID, START, Stage, cold, entries, fails_with, hole, read};

/// Touched between the second walk and the third.
fn touched_third(pages: u64) -> Segment {
    let life = Life::cold().then(When::Pass(2), &Life::hot()).then(When::Pass(3), &Life::cold());
    Segment::solid(pages, life)
}

fn fixture() -> Vec<Segment> {
    let first = vec![cold(2), touched_third(3), cold(15), hole(4), cold(2), hole(14)];
    let last = vec![cold(20), touched_third(1), cold(3)];
    [first, last].concat()
}

pub(crate) fn private_memory() -> Result<()> {
    let stage = Stage::private(fixture())?;
    let file = stage.idle_pages()?;
    for (state, want) in [
        ("just faulted", &[0x0f, 0x05, 0x84, 0x02, 0x8e, 0x0f, 0x09][..]),
        ("untouched since", &[0x5f, 0x55, 0x84, 0x52, 0x8e, 0x5f, 0x59]),
        ("touched", &[0x52, 0x03, 0x5f, 0x84, 0x52, 0x8e, 0x5f, 0x55, 0x01, 0x53]),
    ] {
        let stream = read(&file, START, 4096)?;
        ensure!(entries(&stream, START)? == want, "{state}: {stream:x?}");
    }
    Ok(())
}

pub(crate) fn huge_pages() -> Result<()> {
    let huge = |size, pages| Segment { pages, size, texture: Texture::Solid(Life::cold()) };
    let stage = Stage::private(vec![huge(PageSize::Huge, 2)])?;
    let file = stage.idle_pages()?;
    ensure!(entries(&read(&file, START, 4096)?, START)? == [0x12]);
    ensure!(entries(&read(&file, START, 4096)?, START)? == [0x62]);
    let stage = Stage::private(vec![huge(PageSize::Pool, 1)])?;
    ensure!(entries(&read(&stage.idle_pages()?, START, 4096)?, START)? == [0x11]);
    let stage = Stage::private(vec![cold(512)])?;
    ensure!(entries(&read(&stage.nonblocking()?, START, 4096)?, START)? == [0x71]);
    Ok(())
}

pub(crate) fn what_is_not_walked() -> Result<()> {
    let private = ScriptedMapping::private(START, vec![cold(64)]);
    let shared = ScriptedMapping { permissions: "rw-s".into(), inode: 5, ..private.clone() };
    let text = ScriptedMapping { permissions: "r-xp".into(), inode: 5, ..private.clone() };
    let data = ScriptedMapping { inode: 5, ..private.clone() };
    for (name, mapping, walked) in
        [("private", private, true), ("shared", shared, false), ("text", text, false), ("data", data, true)]
    {
        let stage = Stage::of(vec![mapping])?;
        let stream = read(&stage.idle_pages()?, START, 4096)?;
        ensure!(stream.is_empty() != walked, "{name}: {stream:x?}");
    }
    let stage = Stage::private(vec![cold(64)])?;
    ensure!(read(&stage.idle_pages()?, START + 64 * PAGE, 4096)?.is_empty(), "nothing is mapped there");
    let stage = Stage::private(vec![cold(4), hole(60)])?;
    let stream = read(&stage.idle_pages()?, START, 4096)?;
    ensure!(entries(&stream, START)? == [0x04], "holes at the end: {stream:x?}");
    Ok(())
}

pub(crate) fn buffers_and_offsets() -> Result<()> {
    let stage = Stage::private(fixture())?;
    let file = stage.idle_pages()?;
    read(&file, START, 4096)?;
    read(&file, START, 4096)?;
    let stream = read(&file, START, 20)?;
    ensure!(entries(&stream, START)? == [0x52, 0x03], "a buffer of 20: {stream:x?}");
    // It stopped behind page 4: going on from there shows the rest.
    let stream = read(&file, START + 5 * PAGE, 32)?;
    let want = [0x5f, 0x84, 0x52, 0x8e, 0x5f, 0x55, 0x01, 0x53];
    ensure!(entries(&stream, START + 5 * PAGE)? == want, "{stream:x?}");
    // The kernel says 1 and writes nothing; through FUSE the one byte is written, and it is 0.
    ensure!(read(&file, START, 19)? == [0], "a buffer of 19");
    for length in [1, 18] {
        fails_with(read(&file, START, length), Errno::EINVAL, "a small buffer")?;
    }
    for offset in [START + 1, START + PAGE - 8] {
        fails_with(read(&file, offset, 4096), Errno::EINVAL, "an offset within a page")?;
    }
    // What a buffer stands for: 8 pages to the byte, and no page further.
    let stage = Stage::private(vec![cold(161)])?;
    let file = stage.idle_pages()?;
    let stream = read(&file, START, 20)?;
    ensure!(entries(&stream, START)? == [0x0f, 0x0f], "{stream:x?}");
    ensure!(entries(&read(&file, START + 160 * PAGE, 20)?, START + 160 * PAGE)? == [0x01]);
    Ok(())
}

pub(crate) fn modules_that_are_not_loaded() -> Result<()> {
    let script = Script {
        modules: Modules::Unloaded,
        ..Script::new(vec![ScriptedProcess::new(
            PID,
            "x",
            vec![ScriptedMapping::private(START, vec![cold(1)])],
        )])
    };
    let stage = Stage::with(script.clone())?;
    ensure!(stage.path("idle_pages").exists() && stage.path("swap_pages").exists());
    fails_with(File::open(stage.path("idle_pages")), Errno::ENODEV, "idle_pages")?;
    let swap_pages = File::options().write(true).open(stage.path("swap_pages"));
    fails_with(swap_pages, Errno::ENODEV, "swap_pages")?;
    drop(stage);
    let stage = Stage::with(Script { modules: Modules::Unknown, ..script })?;
    fails_with(File::open(stage.path("idle_pages")), Errno::ENOENT, "idle_pages")?;
    ensure!(stage.path("maps").exists());
    Ok(())
}
