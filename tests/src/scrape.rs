use std::collections::{BTreeMap, BTreeSet};

/// What `/metrics` said: the text format 0.0.4 of Prometheus, checked while it is read.
#[derive(Debug, Default)]
pub struct Scrape {
    types: BTreeMap<String, String>,
    samples: Vec<Sample>,
}

/// One line of a [`Scrape`].
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The name, with its `_bucket`, `_sum` or `_count`.
    pub name: String,
    /// The labels.
    pub labels: BTreeMap<String, String>,
    /// The value.
    pub value: f64,
}

impl Scrape {
    /// Reads the text.
    ///
    /// # Errors
    /// A sentence about the first thing that is not as the format demands: a line that is none, a
    /// sample without a TYPE or HELP before it, a series twice, a histogram whose buckets fall, lack
    /// `+Inf`, or contradict its count.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut scrape = Self::default();
        let mut helped = BTreeSet::new();
        let mut seen = BTreeSet::new();
        for (index, line) in text.lines().enumerate() {
            let place = |problem: String| format!("line {}: {problem}: {line}", index + 1);
            if let Some(help) = line.strip_prefix("# HELP ") {
                helped.insert(help.split(' ').next().unwrap_or_default().to_owned());
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').ok_or_else(|| place("no type".into()))?;
                if !["counter", "gauge", "histogram", "summary", "untyped"].contains(&kind) {
                    return Err(place(format!("unknown type '{kind}'")));
                }
                if scrape.types.insert(name.to_owned(), kind.to_owned()).is_some() {
                    return Err(place("a second TYPE".into()));
                }
            } else if !line.is_empty() && !line.starts_with('#') {
                let sample = parse_sample(line).map_err(place)?;
                let family = scrape.family(&sample.name);
                if !scrape.types.contains_key(family) || !helped.contains(family) {
                    return Err(place(format!("no HELP and TYPE of {family} before it")));
                }
                if !seen.insert(format!("{}{:?}", sample.name, sample.labels)) {
                    return Err(place("a series twice".into()));
                }
                scrape.samples.push(sample);
            }
        }
        if !text.ends_with('\n') {
            return Err("the last line does not end".into());
        }
        scrape.check_histograms()?;
        Ok(scrape)
    }

    /// The names of all metrics.
    pub fn families(&self) -> impl Iterator<Item = &str> + std::fmt::Debug {
        self.types.keys().map(String::as_str)
    }

    /// `counter`, `gauge` or `histogram`; `None` where there is no such metric.
    #[must_use]
    pub fn kind(&self, family: &str) -> Option<&str> {
        self.types.get(family).map(String::as_str)
    }

    /// The samples of a name that hold at least these labels.
    pub fn samples<'a>(
        &'a self,
        name: &'a str,
        labels: &'a [(&'a str, &'a str)],
    ) -> impl Iterator<Item = &'a Sample> {
        self.samples.iter().filter(move |sample| {
            sample.name == name
                && labels
                    .iter()
                    .all(|(key, value)| sample.labels.get(*key).is_some_and(|found| found == value))
        })
    }

    /// The sum over [`Self::samples`], 0 where there are none.
    #[must_use]
    pub fn total(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.samples(name, labels).map(|sample| sample.value).sum()
    }

    /// The metric to which a sample belongs.
    fn family<'a>(&self, name: &'a str) -> &'a str {
        ["_bucket", "_sum", "_count"]
            .iter()
            .filter_map(|suffix| name.strip_suffix(suffix))
            .find(|family| self.kind(family) == Some("histogram"))
            .unwrap_or(name)
    }

    fn check_histograms(&self) -> Result<(), String> {
        let histograms = self.types.iter().filter(|(_, kind)| *kind == "histogram");
        for (family, _) in histograms {
            let mut series: BTreeMap<_, Vec<&Sample>> = BTreeMap::new();
            let buckets = format!("{family}_bucket");
            for bucket in self.samples(&buckets, &[]) {
                let mut labels = bucket.labels.clone();
                labels.remove("le");
                series.entry(labels).or_default().push(bucket);
            }
            let counts = self.samples(&format!("{family}_count"), &[]).count();
            let sums = self.samples(&format!("{family}_sum"), &[]).count();
            if (counts, sums) != (series.len(), series.len()) {
                return Err(format!(
                    "{family}: {} series of buckets, {counts} counts, {sums} sums",
                    series.len()
                ));
            }
            for (labels, buckets) in series {
                self.check_buckets(family, &labels, &buckets)
                    .map_err(|problem| format!("{family}{labels:?}: {problem}"))?;
            }
        }
        Ok(())
    }

    fn check_buckets(
        &self,
        family: &str,
        labels: &BTreeMap<String, String>,
        buckets: &[&Sample],
    ) -> Result<(), String> {
        let bounds: Vec<f64> = buckets
            .iter()
            .map(|bucket| bucket.labels.get("le").and_then(|le| parse_value(le)))
            .collect::<Option<_>>()
            .ok_or("a bucket without a bound")?;
        if !bounds.windows(2).all(|pair| pair[0] < pair[1]) {
            return Err(format!("bounds that do not rise: {bounds:?}"));
        }
        if bounds.last() != Some(&f64::INFINITY) {
            return Err("no bucket +Inf".into());
        }
        if !buckets.windows(2).all(|pair| pair[0].value <= pair[1].value) {
            return Err("buckets that fall".into());
        }
        let name = format!("{family}_count");
        let count = self.samples(&name, &[]).find(|sample| sample.labels == *labels);
        if count.map(|sample| sample.value) != buckets.last().map(|bucket| bucket.value) {
            return Err("bucket +Inf is not the count".into());
        }
        Ok(())
    }
}

fn parse_sample(line: &str) -> Result<Sample, String> {
    let name_end = line.find(['{', ' ']).ok_or("no value")?;
    let (name, mut rest) = line.split_at(name_end);
    check_name(name)?;
    let mut labels = BTreeMap::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = parse_labels(inside, &mut labels)?;
    }
    let value = rest.trim();
    let value = parse_value(value).ok_or_else(|| format!("'{value}' is no value"))?;
    Ok(Sample { name: name.to_owned(), labels, value })
}

/// Reads up to the closing brace and returns what follows it.
fn parse_labels<'a>(
    mut text: &'a str,
    labels: &mut BTreeMap<String, String>,
) -> Result<&'a str, String> {
    loop {
        if let Some(rest) = text.strip_prefix('}') {
            return Ok(rest);
        }
        let (key, rest) = text.split_once("=\"").ok_or("a label without a value")?;
        check_name(key)?;
        let mut value = String::new();
        let mut characters = rest.char_indices();
        let end = loop {
            match characters.next().ok_or("a label that does not end")? {
                (place, '"') => break place,
                (_, '\\') => match characters.next() {
                    Some((_, 'n')) => value.push('\n'),
                    Some((_, escaped @ ('\\' | '"'))) => value.push(escaped),
                    _ => return Err("an unknown escape in a label".into()),
                },
                (_, character) => value.push(character),
            }
        };
        if labels.insert(key.to_owned(), value).is_some() {
            return Err(format!("label {key} twice"));
        }
        text = &rest[end + 1..];
        text = text.strip_prefix(',').unwrap_or(text);
    }
}

fn check_name(name: &str) -> Result<(), String> {
    let starts = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    let goes_on = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == ':');
    if starts && goes_on { Ok(()) } else { Err(format!("'{name}' is no name")) }
}

fn parse_value(text: &str) -> Option<f64> {
    match text {
        "+Inf" => Some(f64::INFINITY),
        "-Inf" => Some(f64::NEG_INFINITY),
        "NaN" => Some(f64::NAN),
        number => number.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "\
# HELP rooms How many rooms.
# TYPE rooms gauge
rooms 2
# HELP tick_seconds How long.
# TYPE tick_seconds histogram
tick_seconds_bucket{chain=\"a \\\"b\\\"\",le=\"0.01\"} 3
tick_seconds_bucket{chain=\"a \\\"b\\\"\",le=\"+Inf\"} 4
tick_seconds_sum{chain=\"a \\\"b\\\"\"} 0.25
tick_seconds_count{chain=\"a \\\"b\\\"\"} 4
";

    #[test]
    fn good_text_is_read() {
        let scrape = Scrape::parse(GOOD).expect("it is good");
        assert_eq!(scrape.kind("rooms"), Some("gauge"));
        assert_eq!(scrape.total("rooms", &[]), 2.0);
        assert_eq!(scrape.total("tick_seconds_count", &[("chain", "a \"b\"")]), 4.0);
        assert_eq!(scrape.total("tick_seconds_count", &[("chain", "b")]), 0.0);
    }

    #[test]
    fn each_mistake_is_named() {
        // (what stands there, what is put in its place, what the error says)
        let mistakes = [
            ("rooms 2", "rooms two", "'two' is no value"),
            ("rooms 2", "ro-oms 2", "is no name"),
            ("rooms 2", "rooms 2\nrooms 2", "a series twice"),
            ("# TYPE rooms gauge\n", "", "no HELP and TYPE of rooms"),
            ("# HELP rooms How many rooms.\n", "", "no HELP and TYPE of rooms"),
            ("rooms gauge", "rooms gage", "unknown type 'gage'"),
            ("\",le=\"0.01\"} 3", "\",le=\"0.01\"} 5", "buckets that fall"),
            ("le=\"+Inf\"} 4", "le=\"1\"} 4", "no bucket +Inf"),
            ("le=\"+Inf\"} 4", "le=\"+Inf\"} 5", "is not the count"),
            ("tick_seconds_sum{chain=\"a \\\"b\\\"\"} 0.25\n", "", "0 sums"),
            ("\\\"b\\\"\",le=\"0.01\"", "b,le=0.01", "label"),
        ];
        for (right, wrong, expected) in mistakes {
            let text = GOOD.replacen(right, wrong, 1);
            assert_ne!(text, GOOD, "{right} is not there");
            let error = Scrape::parse(&text).expect_err(wrong);
            assert!(error.contains(expected), "{wrong}: {error}");
        }
        assert!(Scrape::parse(GOOD.trim_end()).is_err(), "the last line must end");
    }
}
