//! A plain text page that reads well on a phone: short lines, headings, nothing that moves a cursor. Pure.

use super::message::one_line;

/// No line of words is longer.
pub const WIDTH: usize = 72;

/// A page that grows from top to bottom.
#[derive(Debug, Default)]
pub struct Page {
    text: String,
}

impl Page {
    /// A paragraph, wrapped.
    pub fn paragraph(&mut self, words: &str) {
        self.gap();
        self.wrapped("", "", words);
    }

    /// A heading with its lines; without lines nothing at all.
    pub fn section<I: IntoIterator<Item = S>, S: AsRef<str>>(&mut self, heading: &str, lines: I) {
        let mut lines = lines.into_iter().peekable();
        if lines.peek().is_none() {
            return;
        }
        self.gap();
        self.line(heading);
        for line in lines {
            self.wrapped("  ", "    ", line.as_ref());
        }
    }

    /// The text.
    pub fn finish(self) -> String {
        self.text
    }

    fn gap(&mut self) {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
    }

    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    /// Breaks between words only: a path or a command that is too long stands whole on a line of its own, so that it can be
    /// copied.
    fn wrapped(&mut self, first: &str, rest: &str, words: &str) {
        let mut line = String::from(first);
        let mut is_bare = true;
        for word in one_line(words).split(' ') {
            let long = line.chars().count() + 1 + word.chars().count() > WIDTH;
            if !is_bare && long {
                self.line(&line);
                line = String::from(rest);
                is_bare = true;
            }
            if !is_bare {
                line.push(' ');
            }
            line.push_str(word);
            is_bare = false;
        }
        self.line(&line);
    }
}

/// `1 package`, `9 packages`, `no package`.
pub fn count(number: usize, thing: &str) -> String {
    match number {
        0 => format!("no {thing}"),
        1 => format!("1 {thing}"),
        _ => format!("{number} {thing}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_section_without_lines_is_not_there() {
        let mut page = Page::default();
        page.section("Packages", Vec::<String>::new());
        page.paragraph("words");
        assert_eq!(page.finish(), "words\n");
    }

    #[test]
    fn numbers_agree_with_their_things() {
        assert_eq!(
            [count(0, "reboot"), count(1, "reboot"), count(2, "reboot")],
            ["no reboot", "1 reboot", "2 reboots"]
        );
    }

    proptest! {
        #[test]
        fn lines_are_short_and_no_word_is_lost(words in proptest::collection::vec("[!-~]{1,100}", 1..40)) {
            let mut page = Page::default();
            page.section("Heading", [words.join(" ")]);
            let text = page.finish();
            prop_assert!(text.lines().all(|l| l.chars().count() <= WIDTH || !l.trim().contains(' ')), "{}", text);
            let found: Vec<&str> = text.split_whitespace().skip(1).collect();
            prop_assert_eq!(found, words);
        }
    }
}
