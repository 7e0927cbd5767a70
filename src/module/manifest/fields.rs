//! The keys of a module, one by one.

use std::time::Duration;

use jsonc_parser::ast::{Object, Value};

use super::super::name::Name;
use super::super::version::Version;
use super::{Module, Resources};
use crate::cluster::manifest::is_sha256;
use crate::config::command;
use crate::config::values;
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

/// What a field says, whoever has read it.
#[derive(Debug, Clone)]
pub enum Said<'v> {
    /// `null`.
    Null,
    /// A text.
    Text(&'v str),
    /// A number, as it is written.
    Number(&'v str),
    /// `true` or `false`.
    Flag(bool),
    /// A list of texts.
    Words(Vec<&'v str>),
    /// Anything else.
    Other,
}

impl<'v> From<&'v Value<'_>> for Said<'v> {
    fn from(value: &'v Value<'_>) -> Self {
        let word = |value: &'v Value<'_>| value.as_string_lit().map(|text| text.value.as_ref());
        match value {
            Value::NullKeyword(_) => Self::Null,
            Value::StringLit(text) => Self::Text(&text.value),
            Value::NumberLit(number) => Self::Number(number.value),
            Value::BooleanLit(flag) => Self::Flag(flag.value),
            Value::Array(list) => {
                list.elements.iter().map(word).collect::<Option<_>>().map_or(Self::Other, Self::Words)
            }
            Value::Object(_) => Self::Other,
        }
    }
}

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
pub fn named(said: &Said) -> Read<Module> {
    Ok(Module {
        name: text(said).ok().flatten().ok_or_else(|| "it must be a text".to_string()).and_then(Name::new)?,
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
        "children" => return Ok(Field::Children),
        "requires" => return Ok(Field::Requires),
        "resources" => return resources(module, value),
        _ => put(module, key, &Said::from(value))?,
    }
    Ok(Field::Plain)
}

/// The same for a field that stands for itself.
///
/// # Errors
/// What is wrong with it.
pub fn put(module: &mut Module, key: &str, said: &Said) -> Read<()> {
    match key {
        "version" => module.version = version(said)?,
        "checksum" => module.checksum = checksum(said)?,
        "lastApplied" => module.last_applied = moment(said)?,
        "lastSafeVersion" => module.last_safe = version(said)?,
        "enabled" => module.enabled = enabled(said)?,
        "description" => module.description = text(said)?.map(String::from),
        "timeout" => module.timeout = duration(said)?,
        "health" => module.health = words(said)?,
        "soak_days" => module.soak_days = days(said)?,
        "memory" => module.resources.memory = memory(said)?,
        "cpu" => module.resources.cpu = cpu(said)?,
        _ => {}
    }
    Ok(())
}

fn text<'v>(said: &Said<'v>) -> Read<Option<&'v str>> {
    match said {
        Said::Null => Ok(None),
        Said::Text(text) => Ok(Some(text)),
        _ => Err("it must be a text or null".into()),
    }
}

fn version(said: &Said) -> Read<Option<Version>> {
    text(said)?.map(Version::new).transpose()
}

fn checksum(said: &Said) -> Read<Option<String>> {
    match text(said)? {
        Some(sum) if !is_sha256(sum) => {
            Err("it must be 64 lower-case hexadecimal digits or null; see patch-modules checksum".into())
        }
        sum => Ok(sum.map(String::from)),
    }
}

fn moment(said: &Said) -> Read<Option<Moment>> {
    text(said)?.map(|text| clock::parse(text).map_err(|why| why.to_string())).transpose()
}

fn enabled(said: &Said) -> Read<bool> {
    if let Said::Flag(flag) = said { Ok(*flag) } else { Err("it must be true or false".into()) }
}

fn duration(said: &Said) -> Read<Option<Duration>> {
    let wrong = "it must be a duration like \"90s\", \"15m\" or \"2h\", or seconds";
    let time = match said {
        Said::Null => return Ok(None),
        Said::Text(text) => values::duration(text)?,
        Said::Number(number) => values::duration(number).map_err(|_| wrong.to_string())?,
        _ => return Err(wrong.into()),
    };
    if time.is_zero() { Err("it leaves no time at all".into()) } else { Ok(Some(time)) }
}

fn words(said: &Said) -> Read<Option<Vec<String>>> {
    let wrong = "it must be a command: a text, or a list of words";
    let words = match said {
        Said::Null => return Ok(None),
        Said::Text(text) => command::words(text)?,
        Said::Words(words) => words.iter().map(ToString::to_string).collect(),
        _ => return Err(wrong.into()),
    };
    let program = words.first().filter(|word| !word.is_empty()).ok_or(wrong)?;
    if !program.starts_with('/') && program.split('/').any(|part| part == "..") {
        return Err("its program is outside of the module; put it in there, or write its whole path".into());
    }
    if words.iter().any(|word| word.contains('\0')) { Err(wrong.into()) } else { Ok(Some(words)) }
}

fn days(said: &Said) -> Read<Option<u32>> {
    match said {
        Said::Null => Ok(None),
        Said::Number(number) => match number.parse() {
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
    for key in RESOURCES {
        if let Some(prop) = object.get(key) {
            put(module, key, &Said::from(&prop.value))?;
        }
    }
    Ok(Field::Resources(object))
}

fn memory(said: &Said) -> Read<Option<u64>> {
    let size = match said {
        Said::Null => return Ok(None),
        Said::Text(text) => values::size(text),
        Said::Number(number) => values::size(number),
        _ => Err("memory must be a size like \"512M\"".into()),
    };
    // Less than a page of code and one of stack starts nothing.
    size.and_then(
        |size| if size < 1 << 20 { Err("memory of less than 1M starts nothing".into()) } else { Ok(Some(size)) },
    )
}

/// In hundredths, which a kernel can tell apart.
fn cpu(said: &Said) -> Read<Option<u32>> {
    let wrong = "cpu must be a number of processors from 0.01 to 1000, like 0.5 or 2";
    let number = match said {
        Said::Null => return Ok(None),
        Said::Number(number) => number,
        _ => return Err(wrong.into()),
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
