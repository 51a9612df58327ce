//! Whatever the text is, reading it gives a file or one line that says what is wrong: never a panic.

use etmem_config::parse;
use proptest::prelude::*;
use std::path::Path;

const SAMPLES: [&str; 7] = [
    include_str!("../../../etc/etmem/cslide.yaml"),
    include_str!("../../../etc/etmem/damon.yaml"),
    include_str!("../../../etc/etmem/memdcd.yaml"),
    include_str!("../../../etc/etmem/psi.yaml"),
    include_str!("../../../etc/etmem/slide-dram-percent.yaml"),
    include_str!("../../../etc/etmem/slide.yaml"),
    include_str!("../../../etc/etmem/thirdparty.yaml"),
];

fn read(text: &str) -> Result<(), TestCaseError> {
    let said = match parse(Path::new("f\n.yaml"), text) {
        Ok(file) => file.warnings.iter().map(ToString::to_string).collect(),
        Err(error) => vec![error.to_string()],
    };
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
        if let Some((key, _)) = lines[line].clone().split_once('=') {
            lines[line] = format!("{key}={value}");
        }
        read(&lines.join("\n"))?;
    }
}
