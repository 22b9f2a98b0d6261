//! The table of `docs/metrics.md`.

use std::fmt::Write;

use crate::declarations::{ALL, Family, LABELS, Shown};

/// Every family and label as tables in Markdown.
#[must_use]
pub fn markdown() -> String {
    let mut text = "| metric | type | what |\n| --- | --- | --- |\n".to_owned();
    for family in ALL {
        let kind = family.kind.name();
        let _ = writeln!(text, "| `{}` | {kind} | {} |", with_labels(family), about(family));
    }
    text.push_str("\n| label | values |\n| --- | --- |\n");
    for label in LABELS {
        let _ = writeln!(text, "| `{}` | {} |", label.name, label.values);
    }
    text
}

fn with_labels(family: &Family) -> String {
    let labels: Vec<_> = family.labels.iter().map(|label| label.name).collect();
    match labels.is_empty() {
        true => family.name.to_owned(),
        false => format!("{}{{{}}}", family.name, labels.join(",")),
    }
}

fn about(family: &Family) -> String {
    let mut about = family.help.to_owned();
    if !family.more.is_empty() {
        let _ = write!(about, " {}", family.more);
    }
    match family.shown {
        Shown::Always => {}
        Shown::WhenThereIsSome => about.push_str(" Absent while there is none."),
        Shown::OverTls => about.push_str(" Only where the page is served over [HTTPS](tls.md)."),
        Shown::WhenAskedFor => {
            about.push_str(" Only with `participant_readings = true` in `[metrics]`.")
        }
    }
    about
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;

    use super::*;
    use crate::Metrics;
    use crate::declarations::Kind;

    const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/metrics.md");
    const BEGIN: &str = "<!-- begin: made from crates/metrics -->\n";
    const END: &str = "<!-- end -->\n";

    #[test]
    fn the_documentation_has_what_is_declared() {
        let text = fs::read_to_string(FILE).expect("the documentation is there");
        let (before, rest) = text.split_once(BEGIN).expect("its tables begin somewhere");
        let (found, after) = rest.split_once(END).expect("its tables end somewhere");
        let expected = markdown();
        if std::env::var_os("WRITE_METRICS_DOC").is_some() {
            fs::write(FILE, [before, BEGIN, &expected, END, after].concat())
                .expect("it is written");
        } else {
            assert_eq!(
                found, expected,
                "write it anew: WRITE_METRICS_DOC=1 cargo test -p foldback-metrics documentation"
            );
        }
    }

    #[test]
    fn what_is_registered_is_declared() {
        let declared: BTreeSet<_> = ALL.iter().map(|family| family.name).collect();
        assert_eq!(declared.len(), ALL.len(), "a name twice");
        let text = Metrics::default().encode(&[], None);
        for name in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
            let name = name.split(' ').next().expect("a name");
            assert!(declared.contains(name), "{name}");
        }
    }

    #[test]
    fn names_follow_one_grammar() {
        let units = ["seconds", "total"];
        for family in ALL {
            let name = family.name;
            let parts: Vec<_> = name.split('_').collect();
            assert_eq!(parts[0], "foldback", "{name}");
            let is_word =
                |part: &&str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase());
            assert!(parts.iter().all(is_word), "{name}");
            let last = parts[parts.len() - 1];
            match family.kind {
                Kind::Counter => assert_eq!(last, "total", "{name}"),
                Kind::Histogram(bounds) => {
                    assert_eq!(last, "seconds", "{name}");
                    assert!(bounds.is_sorted(), "{name}");
                }
                Kind::Gauge => assert_ne!(last, "total", "{name}"),
            }
            assert!(!units.contains(&parts[parts.len() - 2]), "{name}: one unit, at the end");
            assert!(family.help.ends_with('.'), "{name}: a sentence");
            assert!(family.labels.iter().all(|label| LABELS.contains(label)), "{name}");
        }
    }
}
