//! A command in a configuration: split into words as a shell would split it, and run without one. Pure.

/// What a shell acts on, and a program would take for an argument.
const SHELLS: [&str; 9] = ["&", "&&", "|", "||", ";", "<", ">", ">>", "2>&1"];

/// The words of a command: blanks separate them, quotes and backslashes keep them together (POSIX, Shell Command Language, 2.2).
///
/// # Errors
/// If there is none, a quote is open, or a word would need a shell.
pub fn words(text: &str) -> Result<Vec<String>, String> {
    let words = split(text)?;
    match words.first() {
        None => return Err("it names no command".into()),
        Some(first) if first.is_empty() => return Err("its first word is empty".into()),
        Some(_) => {}
    }
    if words.iter().any(|word| word.contains('\0')) {
        return Err("it holds a character that no argument has".into());
    }
    match words.iter().find(|word| SHELLS.contains(&word.as_str())) {
        Some(word) => Err(format!("{word} needs a shell, and there is none; put the command into a script")),
        None => Ok(words),
    }
}

/// Inside which quotes a character stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Quotes {
    None,
    Single,
    Double,
}

fn split(text: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quotes = Quotes::None;
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match (quotes, c) {
            (Quotes::None, c) if c.is_ascii_whitespace() => words.extend(word.take()),
            (Quotes::None | Quotes::Single, '\'') | (Quotes::None | Quotes::Double, '"') => {
                word.get_or_insert_default();
                quotes = match (quotes, c) {
                    (Quotes::None, '\'') => Quotes::Single,
                    (Quotes::None, _) => Quotes::Double,
                    _ => Quotes::None,
                };
            }
            (Quotes::None, '\\') => {
                let next = rest.next().ok_or("a backslash stands at its end")?;
                word.get_or_insert_default().push(next);
            }
            (Quotes::Double, '\\') if rest.peek().is_some_and(|next| "\"\\$`".contains(*next)) => {
                word.get_or_insert_default().extend(rest.next());
            }
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    if quotes != Quotes::None {
        return Err("a quote is not closed".into());
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::name::quoted;
    use proptest::prelude::*;

    /// W15: a reboot command with arguments cannot work.
    #[test]
    fn w15_a_command_may_have_arguments() {
        for (text, expected) in [
            ("/usr/sbin/shutdown -r now", vec!["/usr/sbin/shutdown", "-r", "now"]),
            ("  reboot\t\n", vec!["reboot"]),
            ("shutdown -r +1 'patched, going down'", vec!["shutdown", "-r", "+1", "patched, going down"]),
            (r#"a "b \"c\" \n" d\ e '' f"g"'h'"#, vec!["a", r#"b "c" \n"#, "d e", "", "fgh"]),
            ("echo $HOME # x", vec!["echo", "$HOME", "#", "x"]),
        ] {
            assert_eq!(words(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn what_needs_a_shell_or_is_no_command_is_refused() {
        for (text, word) in [
            ("", "no command"),
            (" ", "no command"),
            ("''", "empty"),
            ("reboot 'now", "quote"),
            ("reboot \"now", "quote"),
            ("reboot \\", "backslash"),
            ("sync && reboot", "needs a shell"),
            ("reboot > /dev/null", "needs a shell"),
            ("reboot a\0b", "character"),
        ] {
            assert!(words(text).unwrap_err().contains(word), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn what_was_quoted_is_one_word_again(word in "[^\0]{1,20}") {
            prop_assert_eq!(split(&format!("x {} y", quoted(&word))).unwrap(), ["x", &word, "y"]);
        }

        #[test]
        fn no_text_upsets_it(text in any::<String>()) {
            let _ = words(&text);
        }
    }
}
