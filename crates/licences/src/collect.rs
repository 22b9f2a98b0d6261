//! The licences of what foldback is made with, as one text.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::{Path, PathBuf};

use spdx::{Expression, ParseMode};

use crate::{Package, Policy};

/// How names of files with licences begin, in lower case.
const NAMES: &[&str] =
    &["licen", "copying", "copyright", "notice", "patents", "unlicense", "authors"];
/// Programs and pages, not texts.
const NO_TEXTS: &[&str] = &["rs", "c", "h", "cc", "py", "go", "json", "toml", "html", "svg"];
/// What is in the binary and in no crate: name, version, licence and where it comes from.
const OTHERS: &[(&str, &str)] = &[
    ("abseil LTS 20250127, copyright The Abseil Authors", "scripts/build-abseil.sh"),
    ("the Rust standard library, copyright The Rust Project Contributors", "rustc"),
];

/// What a crate carries that is no text of its own: name, version, what it is, and its licences.
const CARRIED: &[(&str, &str, &str, &str)] = &[(
    "utoipa-swagger-ui-vendored",
    "0.2.0",
    "Swagger UI 5.32.6, copyright 2020-2021 SmartBear Software Inc.",
    // `swagger-ui-bundle.js.LICENSE.txt` of the npm package `swagger-ui-dist` of that version.
    include_str!("../texts/swagger-ui-5.32.6.txt"),
)];

/// All of their licences: a list of the crates, and each text once, with whose it is.
///
/// `apache` is the text of the Apache License 2.0, for crates that offer it and carry no text.
///
/// # Errors
/// A sentence for each crate whose licence, or its text, is not to be found.
pub fn document(
    packages: &[&Package],
    policy: &Policy,
    apache: &str,
) -> Result<String, BTreeSet<String>> {
    let mut mistakes = BTreeSet::new();
    let mut list = String::new();
    let mut texts = Texts::default();
    for package in packages {
        let whose = format!("{} {}", package.name, package.version);
        match of_one(package, policy, apache) {
            Ok((licence, found)) => {
                let repository = package.repository.as_deref().unwrap_or("");
                let _ = writeln!(list, "{whose}: {licence} {repository}");
                for (file, text) in found {
                    texts.add(&text, &format!("{whose}{file}"));
                }
            }
            Err(sentence) => drop(mistakes.insert(sentence)),
        }
        for (name, version, what, text) in CARRIED.iter().filter(|it| it.0 == package.name) {
            if *version != package.version {
                mistakes.insert(format!(
                    "{name} {} carries other software than {version} did, whose licences are in crates/licences/texts: have those of the new one there",
                    package.version
                ));
            }
            let _ = writeln!(list, "{what}: Apache-2.0, and what it is made with (in {whose})");
            texts.add(apache, what);
            texts.add(text, &format!("what {what} is made with"));
        }
    }
    for (name, from) in OTHERS {
        let _ = writeln!(list, "{name}: Apache-2.0 ({from})");
        texts.add(apache, name);
    }
    match mistakes.is_empty() {
        true => Ok(format!("{HEAD}\n{list}\n{texts}")),
        false => Err(mistakes),
    }
}

const HEAD: &str = "\
Licences of others
==================

foldback is made with the following software of others. Each is named with its licence and where it is from; the texts
of the licences follow, each with those whose it is.
";

type Found = Vec<(String, String)>;

/// The licence of a crate, and its texts, each with the path of its file within the crate.
fn of_one(package: &Package, policy: &Policy, apache: &str) -> Result<(String, Found), String> {
    let expression = expression(package, policy)?;
    let folder = package.folder();
    let files = files(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut found = Found::new();
    for file in files {
        let bytes = std::fs::read(&file).map_err(|error| format!("{}: {error}", file.display()))?;
        let within = file.strip_prefix(folder).unwrap_or(&file);
        // Which one it is tells where others are in the crate.
        let within = match within.components().count() {
            1 => String::new(),
            _ => format!(" ({})", within.display()),
        };
        found.push((within, String::from_utf8_lossy(&bytes).into_owned()));
    }
    let has_own = found.iter().any(|(within, _)| within.is_empty());
    let is_apache = |licence: &spdx::LicenseReq| licence.to_string() == "Apache-2.0";
    if !has_own && expression.evaluate(is_apache) {
        found.push((String::new(), apache.to_owned()));
    } else if !has_own {
        return Err(format!(
            "{} {} ({expression}) carries no text of its licence",
            package.name, package.version
        ));
    }
    Ok((expression.to_string(), found))
}

/// The licence of a crate.
fn expression(package: &Package, policy: &Policy) -> Result<Expression, String> {
    let Package { name, version, license, .. } = package;
    let Some(text) = license.as_deref().or_else(|| policy.clarified(name)) else {
        return Err(format!(
            "{name} {version} tells no licence: look it up, and say it by [[licenses.clarify]] in deny.toml"
        ));
    };
    // Old crates write `MIT/Apache-2.0`.
    let lax = ParseMode { allow_slash_as_or_operator: true, ..ParseMode::STRICT };
    Expression::parse_mode(text, lax).map_err(|error| {
        format!("{name} {version} has a licence that is none: '{text}': {}", error.reason)
    })
}

/// All files with licences in a folder and below: those of libraries that a crate carries too.
fn files(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
        let extension = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
        let kind = path.symlink_metadata()?;
        if kind.is_dir() {
            found.extend(files(&path)?);
        } else if kind.is_file()
            && NAMES.iter().any(|start| name.starts_with(start))
            && !NO_TEXTS.contains(&extension.as_str())
        {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Each text once.
#[derive(Debug, Default)]
struct Texts {
    /// By its words: lines break where they like.
    by_words: BTreeMap<String, (String, BTreeSet<String>)>,
}

impl Texts {
    fn add(&mut self, text: &str, whose: &str) {
        let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let (_, all) =
            self.by_words.entry(words).or_insert_with(|| (text.to_owned(), BTreeSet::new()));
        all.insert(whose.to_owned());
    }
}

impl std::fmt::Display for Texts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut sorted: Vec<_> = self.by_words.values().collect();
        sorted.sort_by_key(|(_, whose)| whose);
        for (text, whose) in sorted {
            let rule = "-".repeat(80);
            writeln!(f, "{rule}")?;
            for one in whose {
                writeln!(f, "{one}")?;
            }
            writeln!(f, "{rule}\n\n{}\n", text.trim_matches('\n').trim_end())?;
        }
        Ok(())
    }
}
