//! The scan library as programs in C and C++ meet it: the headers, the symbols, a scan of their own pages, and one of a
//! scripted process, watched by valgrind.

mod library;

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use etmem_testkit::built::top;
use etmem_testkit::fake::proc::script::{
    Life, PAGE, PageSize, Script, ScriptedMapping, ScriptedProcess, Segment, Texture,
};
use etmem_testkit::fake::proc::{Call, FakeProc, Fault, File, Planned};
use etmem_testkit::machine::Need;
use etmem_testkit::process::{Ran, run, success};
use etmem_testkit::trial::{run_in_turn, trial_or_skip};
use library::library;

const LIMIT: Duration = Duration::from_secs(120);
const LAYOUT: &str = include_str!("layout.txt");
const PID: u32 = 3_000_000;
const START: u64 = 0x7000_0000_0000;

/// What a program is compiled as: the compiler, its options, and the word for the names of files.
const LANGUAGES: [(&str, &[&str], &str); 2] =
    [("gcc", &["-x", "c", "-std=c11", "-Wpedantic"], "c"), ("g++", &["-x", "c++", "-std=c++17"], "cc")];

fn main() -> ExitCode {
    let compilers = [Need::Program("gcc"), Need::Program("g++")];
    let with = |needs: &[Need]| [&compilers[..], needs].concat();
    run_in_turn(vec![
        trial_or_skip("the_headers_lay_structures_out_as_the_table_says", &compilers, layout),
        trial_or_skip("each_header_stands_alone_in_c_and_cxx", &compilers, headers),
        trial_or_skip("exports_six_functions_of_one_version", &with(&[Need::Program("readelf")]), symbols),
        trial_or_skip("is_installed_with_its_headers", &with(&[Need::Program("pkg-config")]), installed),
        trial_or_skip("refuses_what_cannot_be", &compilers, || borders(&[])),
        trial_or_skip("refuses_it_cleanly", &with(&[Need::Program("valgrind")]), || borders(&VALGRIND)),
        trial_or_skip("a_program_sees_its_own_hot_pages", &with(&[Need::Root, Need::Bpf]), scan_self),
        trial_or_skip(
            "a_program_adds_up_scans_of_its_own_scripted_pages_cleanly",
            &with(&[Need::Root, Need::FakeProc, Need::Program("valgrind")]),
            scripted,
        ),
        trial_or_skip(
            "a_failed_scan_adds_nothing_and_leaks_nothing",
            &with(&[Need::Root, Need::FakeProc, Need::Program("valgrind")]),
            failing,
        ),
    ])
}

/// What runs a program and fails where it misuses memory or leaves some behind.
const VALGRIND: [&str; 4] = ["valgrind", "--quiet", "--leak-check=full", "--error-exitcode=9"];

/// A compiler with everything it may complain of, and the headers.
fn compiler(language: (&str, &[&str], &str)) -> Command {
    let mut command = Command::new(language.0);
    command.args(["-D_GNU_SOURCE", "-g", "-Wall", "-Wextra", "-Werror", "-I"]).arg(top().join("include"));
    command.args(language.1);
    command
}

/// The program `name` in both languages.
fn programs(name: &str) -> Result<Vec<PathBuf>> {
    let folder = library()?;
    LANGUAGES
        .into_iter()
        .map(|language| {
            let program = folder.join(format!("{name}.{}", language.2));
            let mut command = compiler(language);
            command.arg(top().join(format!("tests/scan_library/{name}.c"))).arg("-o").arg(&program);
            command.args(["-x", "none", "-L"]).arg(folder).arg("-letmemd_scan");
            command.arg(format!("-Wl,-rpath,{}", folder.display()));
            success(&mut command, LIMIT)?;
            Ok(program)
        })
        .collect()
}

/// Whether a source of `lines` behind all headers compiles.
fn compiles(language: (&str, &[&str], &str), name: &str, lines: &str) -> Result<Ran> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let source = folder.join(format!("{name}.{}", language.2));
    fs::write(&source, lines)?;
    run(compiler(language).arg("-fsyntax-only").arg(&source), LIMIT)
}

/// The table as assertions of the compiler.
fn assertions(table: &str) -> String {
    let mut source = String::from(
        "#include <stddef.h>\n#include \"etmemd_thirdparty_export.h\"\n#include \"etmemd_scan_export.h\"\n\
         #ifdef __cplusplus\n#define HOLDS(what) static_assert(what, #what)\n#else\n\
         #define HOLDS(what) _Static_assert(what, #what)\n#endif\n",
    );
    for line in table.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["size", name, bytes] => source += &format!("HOLDS(sizeof(struct {name}) == {bytes});\n"),
            ["offset", name, field, bytes] => {
                source += &format!("HOLDS(offsetof(struct {name}, {field}) == {bytes});\n");
            }
            _ => {}
        }
    }
    source
}

fn layout() -> Result<()> {
    let wrong = LAYOUT.replace("offset vma major 296", "offset vma major 297");
    ensure!(wrong != LAYOUT && assertions(LAYOUT).matches("\nHOLDS(").count() == 81, "the table has changed");
    for language in LANGUAGES {
        let ran = compiles(language, "layout", &assertions(LAYOUT))?;
        ensure!(ran.status == 0, "{}", ran.stderr);
        let ran = compiles(language, "layout-wrong", &assertions(&wrong))?;
        ensure!(ran.status != 0 && ran.stderr.contains("297"), "a wrong table compiles: {}", ran.stderr);
    }
    Ok(())
}

fn headers() -> Result<()> {
    let mut number = 0;
    for entry in fs::read_dir(top().join("include"))? {
        let name = entry?.file_name().into_string().map_err(|name| anyhow!("{}", name.display()))?;
        if !name.ends_with(".h") {
            continue;
        }
        number += 1;
        for language in LANGUAGES {
            let source = format!("#include \"{name}\"\n#include \"{name}\"\nint unused;\n");
            let ran = compiles(language, "header", &source)?;
            ensure!(ran.status == 0, "{name}: {}", ran.stderr);
        }
    }
    ensure!(number == 7, "{number} headers");
    Ok(())
}

fn symbols() -> Result<()> {
    let library = library()?.join("libetmemd_scan.so");
    let table = success(Command::new("readelf").args(["--dyn-syms", "--wide"]).arg(&library), LIMIT)?.stdout;
    let mut exported: Vec<&str> = table
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        // The version node itself is listed, too, as an absolute symbol.
        .filter(|words| words.len() == 8 && !["UND", "ABS", "Ndx"].contains(&words[6]) && words[4] != "LOCAL")
        .map(|words| words[7])
        .collect();
    exported.sort_unstable();
    let want = [
        "etmemd_free_page_refs@@libetmemd_scan",
        "etmemd_free_vmas@@libetmemd_scan",
        "etmemd_get_page_refs@@libetmemd_scan",
        "etmemd_get_vmas@@libetmemd_scan",
        "etmemd_scan_exit@@libetmemd_scan",
        "etmemd_scan_init@@libetmemd_scan",
    ];
    ensure!(exported == want, "{exported:?}");
    let dynamic = success(Command::new("readelf").args(["--dynamic", "--wide"]).arg(&library), LIMIT)?.stdout;
    ensure!(dynamic.contains("soname: [libetmemd_scan.so]"), "{dynamic}");
    Ok(())
}

/// By `make install-scan-library`, from the library that is built here.
fn installed() -> Result<()> {
    let stage = tempfile::tempdir()?;
    let mut make = Command::new("make");
    make.current_dir(top()).arg("install-scan-library").arg("PREFIX=/opt/x y").arg("LIBDIR=/opt/x y/lib64");
    make.arg(format!("DESTDIR={}", stage.path().display()));
    make.arg(format!("SCAN_LIBRARY={}", library()?.join("libetmemd_scan.so").display()));
    success(&mut make, LIMIT)?;
    let at = |file: &str| stage.path().join("opt/x y").join(file);
    for entry in fs::read_dir(top().join("include"))? {
        let name = entry?.file_name();
        let is_header = Path::new(&name).extension() == Some(OsStr::new("h"));
        ensure!(!is_header || at("include").join(&name).is_file(), "{} is missing", name.display());
    }
    ensure!(at("lib64/libetmemd_scan.so").is_file(), "the library is missing");
    let mut package = Command::new("pkg-config");
    package.env("PKG_CONFIG_PATH", at("lib64/pkgconfig"));
    let version = success(package.args(["--modversion", "etmemd_scan"]), LIMIT)?.stdout;
    ensure!(version.trim() == env!("CARGO_PKG_VERSION"), "version {version}");
    let mut package = Command::new("pkg-config");
    package.env("PKG_CONFIG_PATH", at("lib64/pkgconfig"));
    let flags = success(package.args(["--cflags", "--libs", "etmemd_scan"]), LIMIT)?.stdout;
    let want = "-I/opt/x\\ y/include -L/opt/x\\ y/lib64 -letmemd_scan";
    ensure!(flags.trim() == want, "{flags}");
    Ok(())
}

/// `program`, run by `runner` where there is one.
fn command(runner: &[&str], program: &Path) -> Command {
    match runner.split_first() {
        Some((first, rest)) => {
            let mut command = Command::new(first);
            command.args(rest).arg(program);
            command
        }
        None => Command::new(program),
    }
}

fn borders(runner: &[&str]) -> Result<()> {
    programs("borders")?
        .iter()
        .try_for_each(|program| success(&mut command(runner, program), LIMIT).map(drop))
}

fn scan_self() -> Result<()> {
    for program in programs("scan_self")? {
        let ran = success(&mut Command::new(program), LIMIT)?;
        ensure!(ran.stdout.trim() == "21 hot, 43 cold, 0 wrong", "{}", ran.stdout);
    }
    Ok(())
}

/// Process `pid` with pages of every kind, and what each counts after `scans`.
fn process(pid: u32, scans: u64) -> (ScriptedProcess, Vec<String>) {
    const BLOCK: u64 = 2 << 20;
    let stripes = Texture::Stripes(vec![(1, Life::written()), (2, Life::hole()), (1, Life::cold())]);
    let huge = |pages, life| Segment { size: PageSize::Huge, ..Segment::solid(pages, life) };
    let gigantic = Segment { size: PageSize::Gigantic, ..Segment::solid(1, Life::hot()) };
    let near = START + 512 * PAGE;
    let far = START + (1 << 30);
    let mappings = vec![
        ScriptedMapping::private(
            START,
            vec![
                Segment::solid(100, Life::hot()),
                Segment { texture: stripes, ..Segment::solid(400, Life::hot()) },
                Segment::solid(12, Life::hole()),
                huge(2, Life::cold()),
                huge(1, Life::written()),
            ],
        ),
        ScriptedMapping::private(far, vec![gigantic]),
    ];
    let line = |address: u64, weight: u64, kind: u32| format!("{address:x} {} {kind}", weight * scans);
    let mut want: Vec<String> = (0..100).map(|page| line(START + page * PAGE, 1, 0)).collect();
    for page in (100..500).step_by(4) {
        want.push(line(START + page * PAGE, 3, 0));
        want.push(line(START + (page + 3) * PAGE, 0, 0));
    }
    want.extend([line(near, 0, 1), line(near + BLOCK, 0, 1), line(near + 2 * BLOCK, 3, 1), line(far, 1, 2)]);
    (ScriptedProcess::new(pid, "scanned", mappings), want)
}

fn scan_process(fake: &FakeProc, program: &Path, scans: u64) -> Command {
    let mut command = command(&VALGRIND, program);
    command.env("ETMEM_PROC_ROOT", fake.root()).arg(PID.to_string()).arg(scans.to_string());
    command
}

fn same(got: &str, want: &[String]) -> Result<()> {
    let got: Vec<&str> = got.lines().collect();
    let differs = got.iter().zip(want).find(|(got, want)| *got != want);
    ensure!(
        got.len() == want.len() && differs.is_none(),
        "{} of {} lines, {differs:?}",
        got.len(),
        want.len()
    );
    Ok(())
}

/// The program scans itself: in the scripted machine, a process of its own number has these pages.
fn scripted() -> Result<()> {
    // The shell waits until that process is there, and becomes the program, which keeps its number.
    const SELF: &str = "scans=$1; shift; read -r begin; exec \"$@\" $$ \"$scans\"";
    for program in programs("scan_process")? {
        for scans in [1, 3] {
            let fake = FakeProc::mount(Script::new(Vec::new()))?;
            let mut command = Command::new("sh");
            command.args(["-c", SELF, "sh"]).arg(scans.to_string()).args(VALGRIND).arg(&program);
            command.env("ETMEM_PROC_ROOT", fake.root()).stdin(Stdio::piped());
            let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
            let (process, want) = process(child.id(), scans);
            fake.start(process);
            child.stdin.take().context("a pipe to the shell")?.write_all(b"\n")?;
            let output = child.wait_with_output()?;
            let error = String::from_utf8_lossy(&output.stderr);
            ensure!(output.status.success(), "{}: {error}", output.status);
            same(&String::from_utf8(output.stdout)?, &want)?;
            ensure!(fake.violations().is_empty(), "{:?}", fake.violations());
        }
    }
    Ok(())
}

fn failing() -> Result<()> {
    let [program, _] = &programs("scan_process")?[..] else { return Err(anyhow!("two languages")) };
    for (fault, reason) in [
        (Fault::Errno(nix::libc::EFAULT), "Input/output error"),
        (Fault::Garbage(3), "Input/output error"),
        (Fault::Errno(nix::libc::ESRCH), "No such process"),
    ] {
        let (process, want) = process(PID, 1);
        let fake = FakeProc::mount(Script::new(vec![process]))?;
        // A scan takes three reads: the one that is forgotten, one that counts, and half of one that does not.
        fake.plan(Planned { pid: PID, file: File::IdlePages, call: Call::Read, after: 7, times: 99, fault });
        let ran = run(&mut scan_process(&fake, program, 3), LIMIT)?;
        ensure!(ran.status == 1 && ran.stderr.contains(reason), "{fault:?}: {}: {}", ran.status, ran.stderr);
        same(&ran.stdout, &want)?;
    }
    Ok(())
}
