//! Whatever the text is, reading it gives a file or one line that says what is wrong: never a panic.

use etmem_config::{parse, parse_names, parse_older};
use etmem_core::name::Name;
use etmem_engine::keys;
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::path::Path;

const SAMPLES: [&str; 10] = [
    include_str!("../../../etc/etmem/cslide-cxl.yaml"),
    include_str!("../../../etc/etmem/cslide.yaml"),
    include_str!("../../../etc/etmem/damon-cxl.yaml"),
    include_str!("../../../etc/etmem/damon.yaml"),
    include_str!("../../../etc/etmem/example_conf.yaml"),
    include_str!("../../../etc/etmem/memdcd.yaml"),
    include_str!("../../../etc/etmem/psi.yaml"),
    include_str!("../../../etc/etmem/slide-dram-percent.yaml"),
    include_str!("../../../etc/etmem/slide.yaml"),
    include_str!("../../../etc/etmem/thirdparty.yaml"),
];

fn read(text: &str) -> Result<(), TestCaseError> {
    let path = Path::new("f\n.yaml");
    let project = Name::new("p").map_err(|error| TestCaseError::fail(error.to_string()))?;
    for answer in [parse(path, text, &keys()), parse_older(path, text, &project, &keys())] {
        let said = match answer {
            Ok(file) => {
                let (tasks, names) = (file.tasks.iter(), file.tasks.iter().map(|task| &task.name));
                let unique = names.collect::<BTreeSet<_>>().len();
                // In the newer form names are the file's own.
                prop_assert!(!text.trim_start().starts_with("options") || unique == tasks.len());
                file.warnings.iter().map(ToString::to_string).collect()
            }
            Err(error) => vec![error.to_string()],
        };
        one_line_each(said)?;
    }
    if let Err(error) = parse_names(path, text, &keys()) {
        // Whatever names a file has to have for deleting it, it has to have for adding it.
        prop_assert_eq!(parse(path, text, &keys()).map(|_| ()).map_err(|_| ()), Err(()));
        one_line_each(vec![error.to_string()])?;
    }
    Ok(())
}

fn one_line_each(said: Vec<String>) -> Result<(), TestCaseError> {
    for line in said {
        prop_assert!(line.starts_with("f\\n.yaml:"), "{line}");
        prop_assert!(!line.contains(char::is_control), "{line:?}");
        prop_assert!(line.chars().count() < 500, "{line}");
    }
    Ok(())
}

fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        "name|project|engine|type|value|T|loop|node_pair|cg_dir|Sock|action|scan_type",
        "\\PC{0,20}",
        ".{0,100}"
    ]
}

proptest! {
    #[test]
    fn random_text(text in "(?s).{0,300}") {
        read(&text)?;
    }

    #[test]
    fn random_groups(
        groups in prop::collection::vec(
            ("project|engine|task|.{0,9}", prop::collection::vec((key(), "[0-9]{1,25}|slide|.{0,90}"), 0..9)),
            0..5,
        )
    ) {
        let mut text = String::new();
        for (name, pairs) in groups {
            text += &format!("[{name}]\n");
            for (key, value) in pairs {
                text += &format!("{key}={value}\n");
            }
        }
        read(&text)?;
    }

    #[test]
    fn random_lines_of_the_older_form(
        lines in prop::collection::vec(
            ("[ \t]{0,4}", "policies:|param:|options:|type|value|max_threads|engine|T|loop|sleep|.{0,9}",
             "( ?: ?)?", "name|slide|[0-9]{0,25}|.{0,30}"),
            0..20,
        )
    ) {
        let mut text = "options:\nloop : 3\ninterval : 1\nsleep : 1\n".to_owned();
        for (space, key, colon, value) in lines {
            let value = if key.ends_with(':') { String::new() } else { value };
            text += &format!("{space}{key}{colon}{value}\n");
        }
        read(&text)?;
    }

    #[test]
    fn mutated_samples(
        sample in prop::sample::select(&SAMPLES[..]),
        mutations in prop::collection::vec((any::<prop::sample::Index>(), 0..4, any::<u8>()), 1..8),
    ) {
        let mut bytes = sample.as_bytes().to_vec();
        for (place, kind, byte) in mutations {
            if bytes.is_empty() {
                break;
            }
            let place = place.index(bytes.len());
            match kind {
                0 => bytes[place] = byte,
                1 => bytes.insert(place, byte),
                2 => { bytes.remove(place); }
                _ => bytes.truncate(place + 1),
            }
        }
        read(&String::from_utf8_lossy(&bytes))?;
    }

    #[test]
    fn values_of_a_sample_replaced(
        sample in prop::sample::select(&SAMPLES[..]),
        line in any::<prop::sample::Index>(),
        value in "-?[0-9]{1,25}|[0-9]{0,3}\\.[0-9]{0,20}|[0-9,;]{0,12}|.{0,90}",
    ) {
        let mut lines: Vec<String> = sample.lines().map(ToOwned::to_owned).collect();
        let line = line.index(lines.len());
        for separator in ["=", " : "] {
            if let Some((key, _)) = lines[line].clone().split_once(separator) {
                lines[line] = format!("{key}{separator}{value}");
            }
        }
        read(&lines.join("\n"))?;
    }
}
