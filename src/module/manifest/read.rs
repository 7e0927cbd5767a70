//! From JSON to modules. Whether it is JSON at all `serde_json` says, strictly; where everything is, the syntax tree.

use std::collections::HashMap;

use jsonc_parser::ast::{Array, Object, ObjectProp, Value};
use jsonc_parser::common::Ranged;
use jsonc_parser::{CollectOptions, ParseOptions, parse_to_ast};

use super::fields::{self, Field};
use super::place::wrong;
use super::{Manifest, Module};
use crate::config::values;
use crate::error::{Error, Result};

const TOP: [&str; 2] = ["updates", "entrypoint"];

/// The syntax tree of a text that is JSON.
///
/// # Errors
/// [`Error::Usage`] with file, line and column.
pub fn tree<'a>(text: &'a str, file: &str) -> Result<Value<'a>> {
    if let Err(why) = serde_json::from_str::<serde::de::IgnoredAny>(text) {
        let (line, column) = (why.line(), why.column());
        let words = why.to_string();
        let words = words.strip_suffix(&format!(" at line {line} column {column}")).unwrap_or(&words);
        return Err(Error::Usage(format!("{file}:{line}:{column}: it is not JSON: {words}")));
    }
    let tree = parse_to_ast(text, &CollectOptions::default(), &ParseOptions::default())
        .map_err(|why| wrong(text, file, why.range().start, &format!("it is not JSON: {}", why.kind())))?;
    tree.value.ok_or_else(|| wrong(text, file, 0, "it is not JSON: it is empty"))
}

/// The list of modules in a syntax tree.
pub fn updates<'t, 'a>(tree: &'t Value<'a>) -> Option<&'t Array<'a>> {
    tree.as_object()?.get("updates")?.value.as_array()
}

/// The modules, and where in the text the name of each is.
pub fn read(text: &str, file: &str) -> Result<(Manifest, Vec<usize>)> {
    if text.starts_with('\u{feff}') {
        return Err(wrong(text, file, 0, "it begins with a byte order mark; save it as UTF-8 without one"));
    }
    let tree = tree(text, file)?;
    let reader = Reader { text, file };
    let top = tree.as_object().ok_or_else(|| reader.wrong(&tree, "a manifest is an object: {\"updates\": [...]}"))?;
    reader.keys(top, &TOP)?;
    let list = top.get("updates").ok_or_else(|| reader.wrong(top, "key updates is missing, the list of modules"))?;
    let list =
        list.value.as_array().ok_or_else(|| reader.wrong(&list.value, "updates: it must be a list of modules"))?;
    let drafts: Vec<Draft> = list.elements.iter().map(|value| reader.module(value)).collect::<Result<_>>()?;
    let mut places = HashMap::with_capacity(drafts.len());
    for (at, draft) in drafts.iter().enumerate() {
        if places.insert(draft.module.name.as_str().to_string(), at).is_some() {
            return Err(reader.at(draft.place, &format!("module {} is there twice; remove one", draft.module.name)));
        }
    }
    let where_names_are = drafts.iter().map(|draft| draft.place).collect();
    let modules = drafts.into_iter().map(|draft| reader.join(draft, &places)).collect::<Result<_>>()?;
    let entrypoint = match top.get("entrypoint").map(|prop| &prop.value) {
        None | Some(Value::NullKeyword(_)) => None,
        Some(Value::StringLit(name)) => Some(reader.place_of(&places, "entrypoint", &name.value, name.range.start)?),
        Some(other) => return Err(reader.wrong(other, "entrypoint: it must be the name of a module")),
    };
    Ok((Manifest { modules, entrypoint }, where_names_are))
}

/// A module whose relations are still names.
struct Draft {
    module: Module,
    place: usize,
    children: Vec<(String, usize)>,
    requires: Vec<(String, usize)>,
}

struct Reader<'a> {
    text: &'a str,
    file: &'a str,
}

impl Reader<'_> {
    fn at(&self, at: usize, words: &str) -> Error {
        wrong(self.text, self.file, at, words)
    }

    fn wrong(&self, what: &impl Ranged, words: &str) -> Error {
        self.at(what.range().start, words)
    }

    /// Every key is known, and there once.
    fn keys(&self, object: &Object, known: &[&str]) -> Result<()> {
        for (at, prop) in object.properties.iter().enumerate() {
            let key = prop.name.as_str();
            if !known.contains(&key) {
                let hint =
                    values::nearest(key, known).map(|near| format!("; did you mean {near}?")).unwrap_or_default();
                return Err(self.wrong(prop, &format!("unknown key {key:?}{hint}")));
            }
            if object.properties[..at].iter().any(|before| before.name.as_str() == key) {
                return Err(self.wrong(prop, &format!("key {key} is there twice; remove one")));
            }
        }
        Ok(())
    }

    fn module(&self, value: &Value) -> Result<Draft> {
        let object = value.as_object().ok_or_else(|| self.wrong(value, "a module is an object: {\"name\": ...}"))?;
        self.keys(object, &fields::KEYS)?;
        let name = object.get("name").ok_or_else(|| self.wrong(object, "key name is missing"))?;
        let mut module = fields::named(&fields::Said::from(&name.value))
            .map_err(|why| self.wrong(&name.value, &format!("name: {why}")))?;
        let mut draft = (Vec::new(), Vec::new());
        for prop in &object.properties {
            let read = fields::read(&mut module, prop.name.as_str(), &prop.value);
            match read.map_err(|why| self.of(&module, prop, &why))? {
                Field::Plain => {}
                Field::Children => draft.0 = self.names(&module, prop)?,
                Field::Requires => draft.1 = self.names(&module, prop)?,
                Field::Resources(object) => self.keys(object, &fields::RESOURCES)?,
            }
        }
        if module.soak_days.is_some() && module.version.is_none() {
            return Err(
                self.wrong(object, &format!("module {}: soak_days without a version says nothing", module.name))
            );
        }
        Ok(Draft { module, place: name.value.range().start, children: draft.0, requires: draft.1 })
    }

    fn of(&self, module: &Module, prop: &ObjectProp, why: &str) -> Error {
        self.wrong(&prop.value, &format!("module {}: {}: {why}", module.name, prop.name.as_str()))
    }

    fn names(&self, module: &Module, prop: &ObjectProp) -> Result<Vec<(String, usize)>> {
        let wrong = || self.of(module, prop, "it must be a list of names of modules");
        let list = match &prop.value {
            Value::NullKeyword(_) => return Ok(Vec::new()),
            other => other.as_array().ok_or_else(wrong)?,
        };
        let mut names: Vec<(String, usize)> = Vec::with_capacity(list.elements.len());
        for value in &list.elements {
            let name = value.as_string_lit().ok_or_else(wrong)?;
            names.push((name.value.to_string(), name.range.start));
        }
        let mut seen = std::collections::HashSet::new();
        if let Some((name, at)) = names.iter().find(|(name, _)| !seen.insert(name.as_str())) {
            return Err(self.at(*at, &format!("module {}: {name} is there twice", module.name)));
        }
        Ok(names)
    }

    fn join(&self, draft: Draft, places: &HashMap<String, usize>) -> Result<Module> {
        let Draft { mut module, children, requires, .. } = draft;
        let all = |names: Vec<(String, usize)>, what: &str| {
            names.iter().map(|(name, at)| self.place_of(places, what, name, *at)).collect::<Result<Vec<usize>>>()
        };
        module.children = all(children, &format!("module {}: children", module.name))?;
        module.requires = all(requires, &format!("module {}: requires", module.name))?;
        Ok(module)
    }

    fn place_of(&self, places: &HashMap<String, usize>, what: &str, name: &str, at: usize) -> Result<usize> {
        places.get(name).copied().ok_or_else(|| {
            let names: Vec<&str> = places.keys().map(String::as_str).collect();
            let hint = values::nearest(name, &names).map(|near| format!("; did you mean {near}?")).unwrap_or_default();
            self.at(at, &format!("{what}: there is no module {name:?}{hint}"))
        })
    }
}
