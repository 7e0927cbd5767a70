//! The good case in one pass: a manifest in which nothing is wrong, without remembering where anything in it is.
//!
//! `None` is no judgement: `read` then says what is wrong and where, or that nothing is. Whatever this takes, `read` takes as well and
//! finds the same in it.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::fields::{self, Said};
use super::{Manifest, Module};

/// The modules, if nothing is wrong with any of them. Whether they need one another in a circle is not looked at.
pub fn read(text: &str) -> Option<Manifest> {
    let Object(top): Object<Top> = serde_json::from_str(text).ok()?;
    let Updates { mut modules, names, ends } = top.updates;
    let places = places(&modules)?;
    let find = |Text(name): &Text| places.get(&**name).copied();
    let entrypoint = match &top.entrypoint {
        None => None,
        Some(name) => Some(find(name)?),
    };
    let found = names.iter().map(find).collect::<Option<Vec<usize>>>()?;
    relate(&mut modules, &found, &ends)?;
    Some(Manifest { modules, entrypoint })
}

/// Where each module is, if there is none twice.
fn places(modules: &[Module]) -> Option<HashMap<&str, usize>> {
    let mut places = HashMap::with_capacity(modules.len());
    for (at, module) in modules.iter().enumerate() {
        if places.insert(module.name.as_str(), at).is_some() {
            return None;
        }
    }
    Some(places)
}

/// Gives every module what it names, if it names nothing twice.
fn relate(modules: &mut [Module], found: &[usize], ends: &[usize]) -> Option<()> {
    let mut last = vec![usize::MAX; modules.len()];
    let mut begin = 0;
    for (list, end) in ends.iter().enumerate() {
        let its = &found[begin..*end];
        if its.iter().any(|at| std::mem::replace(&mut last[*at], list) == list) {
            return None;
        }
        let module = &mut modules[list / 2];
        let slot = if list % 2 == 0 { &mut module.children } else { &mut module.requires };
        *slot = its.to_vec();
        begin = *end;
    }
    Some(())
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields, bound(deserialize = "'de: 't"))]
struct Top<'t> {
    updates: Updates<'t>,
    entrypoint: Option<Text<'t>>,
}

/// The modules without their relations, and these as they are named.
#[derive(Default)]
struct Updates<'t> {
    modules: Vec<Module>,
    /// Of each module first its children, then what it requires.
    names: Vec<Text<'t>>,
    /// Where each of these lists ends.
    ends: Vec<usize>,
}

impl<'de: 't, 't> Deserialize<'de> for Updates<'t> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_seq(UpdatesVisitor)
    }
}

struct UpdatesVisitor;

impl<'de> Visitor<'de> for UpdatesVisitor {
    type Value = Updates<'de>;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a list of modules")
    }

    /// One by one: all drafts at once would take more memory than the manifest.
    fn visit_seq<S: SeqAccess<'de>>(self, mut list: S) -> Result<Self::Value, S::Error> {
        let mut all = Updates::default();
        while let Some(Object(draft)) = list.next_element::<Object<Draft>>()? {
            all.modules.push(draft.module().ok_or_else(|| S::Error::custom("a field is wrong"))?);
            for names in [draft.children, draft.requires] {
                all.names.extend(names.into_iter().flatten());
                all.ends.push(all.names.len());
            }
        }
        Ok(all)
    }
}

/// A module as the text has it.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", bound(deserialize = "'de: 't"))]
struct Draft<'t> {
    name: Text<'t>,
    version: Option<Text<'t>>,
    checksum: Option<Text<'t>>,
    last_applied: Option<Text<'t>>,
    last_safe_version: Option<Text<'t>>,
    #[serde(default = "yes")]
    enabled: bool,
    description: Option<Text<'t>>,
    children: Option<Vec<Text<'t>>>,
    requires: Option<Vec<Text<'t>>>,
    timeout: Option<&'t RawValue>,
    resources: Option<Object<Resources<'t>>>,
    health: Option<&'t RawValue>,
    #[serde(rename = "soak_days")]
    soak_days: Option<&'t RawValue>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields, bound(deserialize = "'de: 't"))]
struct Resources<'t> {
    memory: Option<&'t RawValue>,
    cpu: Option<&'t RawValue>,
}

fn yes() -> bool {
    true
}

impl Draft<'_> {
    /// All of it but its relations.
    fn module(&self) -> Option<Module> {
        let mut module = fields::named(&Said::Text(&self.name.0)).ok()?;
        module.enabled = self.enabled;
        let texts = [
            ("version", &self.version),
            ("checksum", &self.checksum),
            ("lastApplied", &self.last_applied),
            ("lastSafeVersion", &self.last_safe_version),
            ("description", &self.description),
        ];
        for (key, text) in texts {
            if let Some(Text(text)) = text {
                fields::put(&mut module, key, &Said::Text(text)).ok()?;
            }
        }
        put(&mut module, "timeout", self.timeout)?;
        put(&mut module, "health", self.health)?;
        put(&mut module, "soak_days", self.soak_days)?;
        if let Some(Object(resources)) = &self.resources {
            put(&mut module, "memory", resources.memory)?;
            put(&mut module, "cpu", resources.cpu)?;
        }
        let is_soaked_for_nothing = module.soak_days.is_some() && module.version.is_none();
        (!is_soaked_for_nothing).then_some(module)
    }
}

/// Of a number its digits count, not the number that they make.
fn put(module: &mut Module, key: &str, raw: Option<&RawValue>) -> Option<()> {
    let Some(raw) = raw.map(RawValue::get) else { return Some(()) };
    match raw.as_bytes().first()? {
        b'"' => {
            let Text(text) = serde_json::from_str(raw).ok()?;
            fields::put(module, key, &Said::Text(&text)).ok()
        }
        b'[' => {
            let words: Vec<Text> = serde_json::from_str(raw).ok()?;
            fields::put(module, key, &Said::Words(words.iter().map(|Text(word)| &**word).collect())).ok()
        }
        b'-' | b'0'..=b'9' => fields::put(module, key, &Said::Number(raw)).ok(),
        _ => None,
    }
}

/// A text, as it stands in the file where it can.
struct Text<'t>(Cow<'t, str>);

impl<'de: 't, 't> Deserialize<'de> for Text<'t> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_str(TextVisitor).map(Text)
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_string()))
    }
}

/// An object, and not the list of its values, which serde would take for it.
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(ObjectVisitor(PhantomData)).map(Object)
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'de>>(self, map: M) -> Result<T, M::Error> {
        T::deserialize(MapAccessDeserializer::new(map))
    }
}
