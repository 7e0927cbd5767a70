//! Changes of single fields in the text of a manifest. Everything else stays as it was written: order, spaces, what people wrote.

use std::collections::HashMap;

use jsonc_parser::ast::{Object, Value};
use jsonc_parser::common::Ranged;

use super::super::name::Name;
use super::{Manifest, read};
use crate::error::{Error, Result};

/// A field of a module with its new value; `None` is `null`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Whose.
    pub module: Name,
    /// Which.
    pub key: &'static str,
    /// What it says from now on.
    pub value: Option<String>,
}

/// The text with these changes, each of another field. A module that is not there is left out: somebody has removed it.
///
/// # Errors
/// [`Error::Usage`] if the text is no manifest.
pub fn change(text: &str, file: &str, changes: &[Change]) -> Result<String> {
    Manifest::parse(text, file)?;
    let tree = read::tree(text, file)?;
    let modules = read::updates(&tree).map(|list| list.elements.as_slice()).unwrap_or_default();
    let by_name: HashMap<&str, &Object> =
        modules.iter().filter_map(Value::as_object).filter_map(|object| Some((name(object)?, object))).collect();
    let mut splices: Vec<(usize, usize, String)> = Vec::new();
    for change in changes {
        if let Some(object) = by_name.get(change.module.as_str()) {
            splices.push(splice(text, object, change));
        }
    }
    // Stable: two new fields of one module come in the order of the changes.
    splices.sort_by_key(|(begin, _, _)| *begin);
    let (mut result, mut at) = (String::with_capacity(text.len() + 64 * splices.len()), 0);
    for (begin, end, new) in splices {
        result.push_str(&text[at..begin]);
        result.push_str(&new);
        at = end;
    }
    result.push_str(&text[at..]);
    Manifest::parse(&result, file).map_err(|error| Error::failed("change", file, error))?;
    Ok(result)
}

fn name<'t>(object: &'t Object) -> Option<&'t str> {
    Some(&object.get("name")?.value.as_string_lit()?.value)
}

fn splice(text: &str, object: &Object, change: &Change) -> (usize, usize, String) {
    let value = serde_json::Value::from(change.value.clone()).to_string();
    if let Some(prop) = object.get(change.key) {
        let range = prop.value.range();
        return (range.start, range.end, value);
    }
    let last = object.properties.last().map_or(object.range.start + 1, |prop| prop.range.end);
    let colon = object.properties.first().map_or(": ", |prop| &text[prop.name.range().end..prop.value.range().start]);
    (last, last, format!("{}\"{}\"{colon}{value}", gap(text, object), change.key))
}

/// What stands between two fields of this module: a comma, and mostly a line end and spaces.
fn gap(text: &str, object: &Object) -> String {
    match object.properties.as_slice() {
        [.., before, last] => text[before.range.end..last.range.start].to_string(),
        [only] => format!(",{}", &text[object.range.start + 1..only.range.start]),
        [] => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(text: &str, changes: &[(&str, &'static str, Option<&str>)]) -> String {
        let changes: Vec<Change> = changes
            .iter()
            .map(|(module, key, value)| Change {
                module: Name::new(module).unwrap(),
                key,
                value: value.map(String::from),
            })
            .collect();
        change(text, "m.json", &changes).unwrap()
    }

    #[test]
    fn a_changed_field_leaves_everything_else_as_it_was_written() {
        let text = "{\n\t\"updates\" : [\n    {\"name\": \"a\",   \"version\": \"1\"},\n    {\n      \"name\": \"b\",\n      \"lastApplied\": null\n    }\n  ]}\n";
        let new = changed(text, &[("b", "lastApplied", Some("2026-11-21T02:00:07Z")), ("a", "version", Some("2"))]);
        let expected = text.replace("null", "\"2026-11-21T02:00:07Z\"").replace("\"1\"", "\"2\"");
        assert_eq!(new, expected);
    }

    #[test]
    fn a_new_field_stands_behind_the_others_and_looks_like_them() {
        let text =
            "{\"updates\": [\n    {\n      \"name\": \"b\",\n      \"enabled\": true\n    }, {\"name\":\"c\"}\n]}";
        let new = changed(
            text,
            &[
                ("b", "checksum", None),
                ("b", "version", Some("1")),
                ("c", "version", Some("2")),
                ("gone", "version", None),
            ],
        );
        let expected = text
            .replace("true", "true,\n      \"checksum\": null,\n      \"version\": \"1\"")
            .replace("\"c\"}", "\"c\",\"version\":\"2\"}");
        assert_eq!(new, expected);
    }
}
