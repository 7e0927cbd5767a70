//! Which dialect a text is written in. Pure.

use super::Dialect;
use super::load::CalledAs;
use crate::config::ini::Ini;
use crate::error::{Error, Result};

/// The section that both old INI dialects have everything in.
pub const MAIN: &str = "main";

/// A text, recognised.
#[derive(Debug)]
pub enum Text {
    /// Key by key, as dotenv files are.
    Dotenv,
    /// With sections, and in which dialect.
    Ini(Ini, Dialect),
}

/// Recognises a text. Where it says too little (an empty file), the name decides that the tool was called by.
///
/// # Errors
/// [`Error::Usage`] if it is no INI file though it looks like one, or mixes two dialects.
pub fn recognise(text: &str, file: &str, called_as: CalledAs) -> Result<Text> {
    if !has_sections(text, called_as) {
        return match sectionless(text) {
            Some(line) => {
                Err(Error::Usage(format!("{file}:{line}: a key before the first [section]; write [main] above it")))
            }
            None => Ok(Text::Dotenv),
        };
    }
    let ini = Ini::parse(text, file)?;
    if !ini.section_names().any(|name| name == MAIN) {
        if let Some(name) = ini.section_names().find(|name| name.trim().eq_ignore_ascii_case(MAIN)) {
            let line = ini.section_line(name);
            return Err(Error::Usage(format!("{file}:{line}: unknown section [{name}]; did you mean [main]?")));
        }
        return Ok(Text::Ini(ini, Dialect::Ours));
    }
    // A value that cannot be interpolated is there all the same.
    let has = |key| ini.get(MAIN, key).map_or(true, |value| value.is_some());
    let dialect = match (has("endpoint"), has("foreman_url")) {
        (true, true) => {
            let line = ini.section_line(MAIN);
            let words = "[main] has endpoint = and foreman_url =; a run has one lock service, so take one out";
            return Err(Error::Usage(format!("{file}:{line}: {words}")));
        }
        (false, true) => Dialect::Foreman,
        // Who is to be told what is missing has the key of a certificate, or the other name.
        (false, false) if called_as == CalledAs::ForemanDlmUpdater || has("client_key") => Dialect::Foreman,
        (true | false, false) => Dialect::DlmIni,
    };
    Ok(Text::Ini(ini, dialect))
}

/// The line of a key that only the INI dialects have, in a text that has no section.
fn sectionless(text: &str) -> Option<usize> {
    let is_ini = |line: &str| {
        let key = line.split_once(['=', ':']).map_or("", |(key, _)| key.trim());
        ["lock_name", "secret_id", "foreman_url"].iter().any(|known| key.eq_ignore_ascii_case(known))
    };
    text.lines().position(is_ini).map(|at| at + 1)
}

/// An INI file says nothing before its first section; a dotenv file has no line that begins with a bracket.
fn has_sections(text: &str, called_as: CalledAs) -> bool {
    let said = |line: &&str| !line.is_empty() && !line.starts_with(['#', ';']);
    match text.trim_start_matches('\u{feff}').split(['\n', '\r']).map(str::trim).find(said) {
        Some(line) => line.starts_with('['),
        None => called_as != CalledAs::DlmEngineUpdater,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str, called_as: CalledAs) -> Dialect {
        match recognise(text, "f", called_as).unwrap() {
            Text::Dotenv => Dialect::Dotenv,
            Text::Ini(_, dialect) => dialect,
        }
    }

    #[test]
    fn a_dialect_is_known_by_what_is_written_whatever_the_tool_is_called() {
        for called_as in [CalledAs::PatchRun, CalledAs::DlmEngineUpdater, CalledAs::ForemanDlmUpdater] {
            for (text, dialect) in [
                ("# c\n\nmain_api_lockname=web\n", Dialect::Dotenv),
                ("export MAIN_WAIT=true", Dialect::Dotenv),
                ("; c\n[main]\nendpoint = https://x/api/v2/\n", Dialect::DlmIni),
                ("[scripts]\na=b\n[main]\nendpoint = 5%\n", Dialect::DlmIni),
                ("[DEFAULT]\nendpoint = x\n[main]\n", Dialect::DlmIni),
                ("[main]\nclient_key = /k\n", Dialect::Foreman),
                ("[main]\nForeman_URL = https://x\n", Dialect::Foreman),
                ("[run]\n", Dialect::Ours),
                ("[lock]\nbackend = lockd\n", Dialect::Ours),
            ] {
                assert_eq!(of(text, called_as), dialect, "{text}");
            }
        }
    }

    #[test]
    fn the_name_of_the_tool_decides_where_the_text_says_nothing() {
        assert_eq!(of("", CalledAs::PatchRun), Dialect::Ours);
        assert_eq!(of("\n# nothing\n", CalledAs::DlmEngineUpdater), Dialect::Dotenv);
        assert_eq!(of("[main]\nlog = /l\n", CalledAs::ForemanDlmUpdater), Dialect::Foreman);
        assert_eq!(of("[main]\nlog = /l\n", CalledAs::DlmEngineUpdater), Dialect::DlmIni);
    }

    #[test]
    fn a_main_section_that_is_misspelt_or_missing_is_named() {
        let words = |text| recognise(text, "f", CalledAs::DlmEngineUpdater).unwrap_err().to_string();
        assert_eq!(words("; c\n[Main]\nlog = /l\n"), "f:2: unknown section [Main]; did you mean [main]?");
        assert!(words("[ main ]\n").ends_with("[ main ]; did you mean [main]?"));
        assert_eq!(
            words("log = /l\nLock_Name = web\n"),
            "f:2: a key before the first [section]; write [main] above it"
        );
    }

    #[test]
    fn two_services_in_one_file_are_refused() {
        let text = "[main]\nendpoint = a\nforeman_url = b\n";
        assert!(
            recognise(text, "f", CalledAs::PatchRun).unwrap_err().to_string().starts_with("f:1: [main] has endpoint")
        );
    }
}
