//! NUMA nodes, huge pages and DAMON, on machines that the laboratory makes (`cargo xtask vm`).
//!
//! Each test is one machine, in which this same program tells a story: [`INSIDE`] says that it is there.

mod cslide;
mod damon;
mod inside;
mod ports;

use std::env;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, bail};
use etmem_testkit::daemon::Binaries;
use etmem_testkit::laboratory::{self, Machine, quoted, trial};
use etmem_testkit::trial::run_in_turn;
use inside::Inside;

const INSIDE: &str = "inside-the-laboratory";

/// A machine of two nodes: one fast, with the processors, and one slow.
const TWO: Machine = Machine { nodes: "2", memory: "1280M", ..Machine::of("6.12") };
/// Two such pairs.
const FOUR: Machine = Machine { nodes: "4", memory: "2G", ..Machine::of("6.12") };

/// Its name, the machine it needs, and what happens inside.
type Story = (&'static str, Machine, fn(&Inside) -> Result<()>);

const STORIES: [Story; 6] = [
    ("pages_are_found_and_moved_between_two_nodes", TWO, ports::two_nodes),
    ("pages_are_found_and_moved_between_four_nodes", FOUR, ports::four_nodes),
    ("cslide_places_huge_pages_on_two_nodes", TWO, cslide::huge_pages_of_two_nodes),
    ("cslide_places_huge_pages_on_four_nodes", FOUR, cslide::huge_pages_of_four_nodes),
    ("cslide_places_base_pages_on_two_nodes", TWO, cslide::base_pages_of_two_nodes),
    ("damon_tells_hot_from_cold_and_is_given_back", TWO, damon::story),
];

fn main() -> ExitCode {
    let arguments: Vec<_> = env::args_os().skip(1).collect();
    if let [word, story, etmemd, etmem, hotcold] = arguments.as_slice()
        && word == INSIDE
    {
        let [etmemd, etmem, hotcold] = [etmemd, etmem, hotcold].map(PathBuf::from);
        let inside = Inside::new(Binaries { etmemd, etmem, hotcold });
        return match inside.and_then(|inside| tell(&story.to_string_lossy(), &inside)) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{error:#}");
                ExitCode::FAILURE
            }
        };
    }
    if damon::is_child() {
        return damon::play_child();
    }
    let missing = laboratory::lacks(TWO.kernel);
    let trials = STORIES
        .into_iter()
        .map(|(name, machine, _)| trial(name, missing.as_deref(), move || boot(name, machine)));
    run_in_turn(trials.collect())
}

fn tell(name: &str, inside: &Inside) -> Result<()> {
    match STORIES.iter().find(|story| story.0 == name) {
        Some((_, _, story)) => story(inside),
        None => bail!("there is no story {name}"),
    }
}

/// Boots `machine` and tells the story `name` in it.
fn boot(name: &str, machine: Machine) -> Result<()> {
    let binaries = Binaries::build()?;
    let own = env::current_exe()?;
    let hotset = inside::hotset(binaries);
    let programs = [&binaries.etmemd, &binaries.etmem, &binaries.hotcold].map(PathBuf::as_path);
    let words: Vec<String> = programs.iter().map(|program| quoted(program)).collect::<Result<_>>()?;
    let files: Vec<&Path> = [&programs[..], &[&own, &hotset]].concat();
    let command = format!("{} {INSIDE} {name} {}", quoted(&own)?, words.join(" "));
    let said = machine.run(&files, &command)?;
    println!("{}", laboratory::indented(&said));
    Ok(())
}
