//! The keys of 1.0 from its file and its environment, of which the latter has the last word. Pure.

use std::collections::HashMap;
use std::fmt::Display;

use super::text::{self, Binding, Statement};
use crate::config::values;
use crate::error::{Error, Result};

/// Everything that 1.0 can be told, but plugins.
pub const KEYS: [&str; 19] = [
    "main_api_lockname",
    "main_api_endpoint",
    "main_api_secretid",
    SECRET,
    "main_api_ca",
    NOOP,
    "main_log_level",
    "main_log_retention",
    "main_log_file",
    "main_basedir",
    "main_wait",
    "main_waitmax",
    "main_acquireattempts",
    "main_acquirebackoffbase",
    "main_acquirebackoffmax",
    "main_releaseattempts",
    "main_releasebackoffbase",
    "main_releasebackoffmax",
    "main_resetstateonreleasefailure",
];
/// The twentieth.
pub const USERS: &str = "main_userscriptusers";
/// Whose value is shown nowhere and expanded by nothing.
pub const SECRET: &str = "main_api_secret";
/// Which the environment cannot set (W8).
pub const NOOP: &str = "main_api_noop";

/// What 1.0 also took: all keys below one, as JSON.
const GROUPS: [&str; 4] = ["main", "main_api", "main_log", "plugin"];

/// Where a value stands, and what it is.
#[derive(Debug)]
struct Value {
    text: String,
    place: String,
}

/// The keys that were set, in small letters, and what is wrong with others.
#[derive(Debug)]
pub struct Keys {
    file: String,
    set: HashMap<String, Value>,
    /// What will hurt.
    pub warnings: Vec<String>,
}

impl Keys {
    /// Joins a file and an environment.
    ///
    /// # Errors
    /// [`Error::Usage`] if the file has several keys in one.
    pub fn join(text: &str, file: &str, env: &[(String, String)]) -> Result<Self> {
        let mut keys = Self { file: file.to_string(), set: HashMap::new(), warnings: Vec::new() };
        let mut bindings = Vec::new();
        for statement in text::parse(text) {
            match statement {
                Statement::Binding(binding) => bindings.push(binding),
                Statement::Nonsense(line) => keys.warn(line, "this line cannot be understood, and is not read"),
            }
        }
        keys.note_secrets(&bindings);
        text::expand(&mut bindings, env, |key| key.eq_ignore_ascii_case(SECRET));
        for binding in bindings {
            keys.take(binding)?;
        }
        for (name, value) in env {
            keys.overrule(name, value);
        }
        Ok(keys)
    }

    /// A value understood by `read`, whose complaint gets place and key before it.
    ///
    /// # Errors
    /// [`Error::Usage`].
    pub fn read<T, E: Display>(
        &self,
        key: &'static str,
        read: impl FnOnce(&str) -> std::result::Result<T, E>,
    ) -> Result<Option<T>> {
        let Some(value) = self.set.get(key) else { return Ok(None) };
        read(&value.text).map(Some).map_err(|why| Error::Usage(format!("{}: {key}: {why}", value.place)))
    }

    /// A value that must be there. An empty one counts as missing, as it did.
    ///
    /// # Errors
    /// As [`Keys::read`], or if it is missing.
    pub fn required<T, E: Display>(
        &self,
        key: &'static str,
        read: impl FnOnce(&str) -> std::result::Result<T, E>,
    ) -> Result<T> {
        let is_set = self.set.get(key).is_some_and(|value| !value.text.is_empty());
        let found = if is_set { self.read(key, read)? } else { None };
        found.ok_or_else(|| Error::Usage(format!("{}: {key} is required; set it", self.file)))
    }

    /// Whether a key was set.
    pub fn has(&self, key: &str) -> bool {
        self.set.contains_key(key)
    }

    /// Something about a key that will hurt.
    pub fn warn_of(&mut self, key: &str, words: &str) {
        let place = self.set.get(key).map_or_else(|| self.file.clone(), |value| value.place.clone());
        self.warnings.push(format!("{place}: {key}: {words}"));
    }

    fn warn(&mut self, line: usize, words: &str) {
        self.warnings.push(format!("{}:{line}: {words}", self.file));
    }

    fn note_secrets(&mut self, bindings: &[Binding]) {
        for binding in bindings.iter().filter(|binding| binding.key.eq_ignore_ascii_case(SECRET)) {
            if binding.value.as_deref().is_some_and(text::has_variable) {
                let words = format!(
                    "{SECRET}: ${{…}} in a secret is taken as it stands; set MAIN_API_SECRET in the environment instead"
                );
                self.warn(binding.line, &words);
            }
        }
    }

    fn take(&mut self, Binding { key, value, line }: Binding) -> Result<()> {
        let name = key.to_lowercase();
        if GROUPS.contains(&name.as_str()) {
            let words =
                format!("{name} holds several keys as JSON; write each on a line of its own, like main_wait=true");
            return Err(Error::Usage(format!("{}:{line}: {words}", self.file)));
        }
        match value {
            None => self.warn(line, &format!("{name} has no value and is not read; write {name}=…")),
            Some(_) if !is_known(&name) => self.warn(line, &stranger(&name)),
            Some(text) => {
                let place = format!("{}:{line}", self.file);
                self.set.insert(name, Value { text, place });
            }
        }
        Ok(())
    }

    fn overrule(&mut self, variable: &str, text: &str) {
        let name = variable.to_lowercase();
        if name == NOOP {
            self.warnings
                .push(format!("environment: {variable} is not read: locking cannot be switched off from there"));
        } else if is_known(&name) {
            self.set.insert(name, Value { text: text.to_string(), place: "environment".into() });
        } else if name.starts_with("main_") {
            self.warnings.push(format!("environment: {}", stranger(&name)));
        }
    }
}

fn is_known(name: &str) -> bool {
    KEYS.contains(&name) || name == USERS
}

fn stranger(name: &str) -> String {
    if name.starts_with("plugin_") {
        return format!(
            "{name}: Python plugins are not loaded; what their phase hooks did is done by programs in phase_pre_hook.d and phase_post_hook.d, see patch-hooks(5)"
        );
    }
    let known: Vec<&str> = KEYS.into_iter().chain([USERS]).collect();
    let hint = values::nearest(name, &known).map(|near| format!("; did you mean {near}?")).unwrap_or_default();
    format!("unknown key {name}{hint} (it is not read)")
}
