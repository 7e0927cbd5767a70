//! The keys of a module, one by one.

use std::time::Duration;

use jsonc_parser::ast::{Object, Value};

use super::super::name::Name;
use super::super::version::Version;
use super::{Module, Resources};
use crate::cluster::manifest::is_sha256;
use crate::config::values;
use crate::phase::settings::command;
use crate::sys::clock::{self, Moment};

/// What a module may say.
pub const KEYS: [&str; 13] = [
    "name",
    "version",
    "checksum",
    "lastApplied",
    "lastSafeVersion",
    "enabled",
    "description",
    "children",
    "requires",
    "timeout",
    "resources",
    "health",
    "soak_days",
];
/// What `resources` may say.
pub const RESOURCES: [&str; 2] = ["memory", "cpu"];

/// What is left to do with a field.
pub enum Field<'v, 'a> {
    /// Nothing.
    Plain,
    /// Its names are to be found.
    Children,
    /// The same.
    Requires,
    /// Its keys are to be judged.
    Resources(&'v Object<'a>),
}

type Read<T> = Result<T, String>;

/// A module of which nothing but the name is known.
pub fn named(value: &Value) -> Read<Module> {
    Ok(Module {
        name: text(value)?.ok_or("a module has a name").map_err(String::from).and_then(|text| Name::new(&text))?,
        version: None,
        checksum: None,
        last_applied: None,
        last_safe: None,
        enabled: true,
        description: None,
        children: Vec::new(),
        requires: Vec::new(),
        timeout: None,
        resources: Resources::default(),
        health: None,
        soak_days: None,
    })
}

/// Reads one field into the module. `null` is as good as not there.
pub fn read<'v, 'a>(module: &mut Module, key: &str, value: &'v Value<'a>) -> Read<Field<'v, 'a>> {
    match key {
        "version" => module.version = version(value)?,
        "checksum" => module.checksum = checksum(value)?,
        "lastApplied" => module.last_applied = moment(value)?,
        "lastSafeVersion" => module.last_safe = version(value)?,
        "enabled" => module.enabled = enabled(value)?,
        "description" => module.description = text(value)?,
        "timeout" => module.timeout = duration(value)?,
        "health" => module.health = words(value)?,
        "soak_days" => module.soak_days = days(value)?,
        "children" => return Ok(Field::Children),
        "requires" => return Ok(Field::Requires),
        "resources" => return resources(module, value),
        _ => {}
    }
    Ok(Field::Plain)
}

fn text(value: &Value) -> Read<Option<String>> {
    match value {
        Value::NullKeyword(_) => Ok(None),
        Value::StringLit(text) => Ok(Some(text.value.to_string())),
        _ => Err("it must be a text or null".into()),
    }
}

fn version(value: &Value) -> Read<Option<Version>> {
    text(value)?.map(|text| Version::new(&text)).transpose()
}

fn checksum(value: &Value) -> Read<Option<String>> {
    let sum = text(value)?;
    match sum.filter(|sum| !is_sha256(sum)) {
        Some(_) => Err("it must be 64 lower-case hexadecimal digits or null; see patch-modules checksum".into()),
        None => text(value),
    }
}

fn moment(value: &Value) -> Read<Option<Moment>> {
    text(value)?.map(|text| clock::parse(&text).map_err(|why| why.to_string())).transpose()
}

fn enabled(value: &Value) -> Read<bool> {
    value.as_boolean_lit().map(|value| value.value).ok_or_else(|| "it must be true or false".into())
}

fn duration(value: &Value) -> Read<Option<Duration>> {
    let wrong = "it must be a duration like \"90s\", \"15m\" or \"2h\", or seconds";
    let time = match value {
        Value::NullKeyword(_) => return Ok(None),
        Value::StringLit(text) => values::duration(&text.value)?,
        Value::NumberLit(number) => values::duration(number.value).map_err(|_| wrong.to_string())?,
        _ => return Err(wrong.into()),
    };
    if time.is_zero() { Err("it leaves no time at all".into()) } else { Ok(Some(time)) }
}

fn words(value: &Value) -> Read<Option<Vec<String>>> {
    let wrong = "it must be a command: a text, or a list of words";
    let words = match value {
        Value::NullKeyword(_) => return Ok(None),
        Value::StringLit(text) => command::words(&text.value)?,
        Value::Array(list) => {
            let word = |value: &Value| value.as_string_lit().map(|text| text.value.to_string());
            list.elements.iter().map(word).collect::<Option<Vec<String>>>().ok_or(wrong)?
        }
        _ => return Err(wrong.into()),
    };
    let is_fit = words.first().is_some_and(|word| !word.is_empty()) && !words.iter().any(|word| word.contains('\0'));
    if is_fit { Ok(Some(words)) } else { Err(wrong.into()) }
}

fn days(value: &Value) -> Read<Option<u32>> {
    match value {
        Value::NullKeyword(_) => Ok(None),
        Value::NumberLit(number) => match number.value.parse() {
            Ok(days) if days <= 3650 => Ok(Some(days)),
            _ => Err("it must be a whole number of days, at most 3650".into()),
        },
        _ => Err("it must be a number of days".into()),
    }
}

fn resources<'v, 'a>(module: &mut Module, value: &'v Value<'a>) -> Read<Field<'v, 'a>> {
    let object = match value {
        Value::NullKeyword(_) => return Ok(Field::Plain),
        other => other.as_object().ok_or("it must be an object like {\"memory\": \"512M\", \"cpu\": 1.5}")?,
    };
    module.resources.memory = object.get("memory").map(|prop| memory(&prop.value)).transpose()?.flatten();
    module.resources.cpu = object.get("cpu").map(|prop| cpu(&prop.value)).transpose()?.flatten();
    Ok(Field::Resources(object))
}

fn memory(value: &Value) -> Read<Option<u64>> {
    let size = match value {
        Value::NullKeyword(_) => return Ok(None),
        Value::StringLit(text) => values::size(&text.value),
        Value::NumberLit(number) => values::size(number.value),
        _ => Err("memory must be a size like \"512M\"".into()),
    };
    // Less than a page of code and one of stack starts nothing.
    size.and_then(
        |size| if size < 1 << 20 { Err("memory of less than 1M starts nothing".into()) } else { Ok(Some(size)) },
    )
}

/// In hundredths, which a kernel can tell apart.
fn cpu(value: &Value) -> Read<Option<u32>> {
    let wrong = "cpu must be a number of processors from 0.01 to 1000, like 0.5 or 2";
    let number = match value {
        Value::NullKeyword(_) => return Ok(None),
        other => other.as_number_lit().ok_or(wrong)?.value,
    };
    let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(part) || whole.len() > 4 || part.trim_end_matches('0').len() > 2 {
        return Err(wrong.into());
    }
    let hundredths = format!("{:0<2}", part.trim_end_matches('0'));
    let sum = whole.parse::<u32>().ok().zip(hundredths.parse::<u32>().ok()).map(|(whole, part)| whole * 100 + part);
    sum.filter(|sum| (1..=100_000).contains(sum)).map(Some).ok_or_else(|| wrong.into())
}
